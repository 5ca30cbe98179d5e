package core

import "slices"

type peerKey struct{ username, uuid string }

// Peer returns the peer with this username and uuid, or nil. One in its grace period counts.
func (a *App) Peer(username, uuid string) *Peer {
	a.mu.RLock()
	p := a.peers[peerKey{username, uuid}]
	a.mu.RUnlock()
	if p == nil || !p.isOnline() {
		return nil
	}
	return p
}

// Peers returns how many peers are online with this username and uuid, where "" stands
// for any, and calls visit, unless it is nil, for each of them. Peers in their grace period count. visit runs without any lock.
func (a *App) Peers(username, uuid string, visit func(*Peer)) int {
	var few [8]*Peer
	found := a.find(few[:0], username, uuid)
	if visit != nil {
		for _, p := range found {
			visit(p)
		}
	}
	return len(found)
}

func (a *App) find(found []*Peer, username, uuid string) []*Peer {
	a.mu.RLock()
	switch {
	case username != "" && uuid != "":
		if p := a.peers[peerKey{username, uuid}]; p != nil {
			found = append(found, p)
		}
	case username != "":
		if first := a.users[username]; first != nil {
			found = append(found, first)
			for p := first.next; p != first; p = p.next {
				found = append(found, p)
			}
		}
	default:
		if uuid == "" {
			found = slices.Grow(found, len(a.peers))
		}
		for key, p := range a.peers {
			if uuid == "" || key.uuid == uuid {
				found = append(found, p)
			}
		}
	}
	a.mu.RUnlock()
	return slices.DeleteFunc(found, func(p *Peer) bool { return !p.isOnline() })
}

// Connect brings a connection's peer online, or gives an existing peer this connection in place of the one
// it has or had. The transport then reports what it reads to the link. It fails with ErrClosed when
// the application is closed, and when the identity is not valid.
func (a *App) Connect(id Identity, c Conn) (*Link, error) {
	l := &Link{conn: c, meter: id.Meter, number: a.links.Add(1)}
	err := id.check()
	switch {
	case err != nil:
	case id.Introduction != nil:
		err = a.invite(l, id.Introduction)
	default:
		err = a.connect(id, l, nil)
	}
	if err != nil {
		id.Abandon()
		return nil, err
	}
	return l, nil
}

// connect gives a connection to the peer with an identity. welcome is sent to it before anything else.
func (a *App) connect(id Identity, l *Link, welcome []byte) error {
	for {
		departed, err := a.tryConnect(id, l, welcome)
		if departed == nil {
			return err
		}
		<-departed // an earlier life of the same peer is still being announced offline
	}
}

func (a *App) tryConnect(id Identity, l *Link, welcome []byte) (departed chan struct{}, err error) {
	key := peerKey{id.Username, id.UUID}
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return nil, ErrClosed
	}
	if p := a.peers[key]; p != nil {
		a.mu.Unlock()
		return p.reconnect(id, l, welcome), nil
	}
	// Copied, because a transport cuts them out of something larger, such as a URL.
	names := id.Username + id.UUID // neither is empty
	key = peerKey{names[:len(id.Username)], names[len(id.Username):]}
	p := &Peer{app: a, username: key.username, uuid: key.uuid, link: l, serving: true}
	p.news = append(p.news, p.arrives)
	p.data.merge(id.Data)
	p.mu.Lock() // whoever finds the peer waits until it has been welcomed
	a.peers[key] = p
	a.enter(p)
	a.mu.Unlock()

	p.take(l, welcome)
	p.connected(id)
	p.tell()
	return nil, nil
}

// enter adds p to its user's devices. a.mu is held.
func (a *App) enter(p *Peer) {
	first := a.users[p.username]
	if first == nil {
		a.users[p.username] = p
		p.next, p.prev = p, p
		return
	}
	p.next, p.prev = first, first.prev
	first.prev.next, first.prev = p, p
}

// leave makes room for another peer with p's identity.
func (a *App) leave(p *Peer) {
	a.mu.Lock()
	delete(a.peers, peerKey{p.username, p.uuid})
	if p.next == p {
		delete(a.users, p.username)
	} else {
		if a.users[p.username] == p {
			a.users[p.username] = p.next
		}
		p.next.prev, p.prev.next = p.prev, p.next
	}
	a.mu.Unlock()
	close(p.departed)
}
