package core

import (
	"slices"
	"strings"
)

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
	if err := id.check(); err != nil {
		return nil, err
	}
	for {
		l, departed, err := a.connect(id, c)
		if departed == nil {
			return l, err
		}
		<-departed // an earlier life of the same peer is still being announced offline
	}
}

func (a *App) connect(id Identity, c Conn) (l *Link, departed chan struct{}, err error) {
	key := peerKey{id.Username, id.UUID}
	l = &Link{conn: c}
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return nil, nil, ErrClosed
	}
	if p := a.peers[key]; p != nil {
		a.mu.Unlock()
		l.peer = p
		departed = p.reconnect(l, id.Data)
		return l, departed, nil
	}
	// Cloned, because a transport cuts them out of something larger, such as a URL.
	key = peerKey{strings.Clone(id.Username), strings.Clone(id.UUID)}
	p := &Peer{app: a, username: key.username, uuid: key.uuid, link: l, serving: true}
	p.news = append(p.news, p.arrives)
	p.data.merge(id.Data)
	l.peer = p
	a.peers[key] = p
	a.enter(p)
	a.mu.Unlock()

	p.mu.Lock()
	p.tell()
	return l, nil, nil
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
