package core

import "time"

// reconnect gives the peer a connection in place of the one it has or had. A peer
// that has gone cannot take it: then the result is closed when its identity is free.
func (p *Peer) reconnect(id Identity, l *Link, welcome []byte) (departed chan struct{}) {
	p.mu.Lock()
	if p.gone {
		defer p.mu.Unlock()
		return p.departed
	}
	p.data.merge(id.Data)
	old := p.link
	p.link = l
	p.take(l, welcome)
	p.losses++
	if p.grace != nil {
		p.grace.Stop()
	}
	unsent := p.release()
	if old != nil {
		_ = old.conn.Close(CloseOnlineElsewhere, "online elsewhere")
	} else {
		p.news = append(p.news, p.reconnected)
	}
	p.connected(id)
	p.tell()
	for _, t := range unsent {
		t.endLocally(503, "peer too slow")
	}
	return nil
}

// take makes a connection the peer's own. The welcome, if there is one, is sent before anything else. p.mu is held.
func (p *Peer) take(l *Link, welcome []byte) {
	l.peer.Store(p)
	if welcome != nil {
		_ = l.conn.Send(welcome) // if it fails, the connection ends and that is reported
	}
}

// connected announces a connection to whoever let it in. p.mu is held.
func (p *Peer) connected(id Identity) {
	if id.Connected != nil {
		p.news = append(p.news, func() { p.app.Guard(func() { id.Connected(p) }) })
	}
}

// lost begins the grace period after a connection has ended, or takes the peer offline.
func (p *Peer) lost(l *Link, code int, reason string) {
	p.mu.Lock()
	if p.link != l {
		p.mu.Unlock()
		if next := l.Peer(); next != p {
			next.lost(l, code, reason) // it was introduced meanwhile
		}
		return
	}
	p.link = nil
	if p.guest != nil {
		p.guest.code, p.guest.reason = code, reason
		p.end(code, reason)
		return
	}
	p.losses++
	loss := p.losses
	p.news = append(p.news, func() { p.disconnected(code, reason) })
	if grace := time.Duration(p.app.settings.grace.Load()); grace > 0 {
		p.grace = time.AfterFunc(grace, func() { p.expire(loss) })
	} else {
		p.news = append(p.news, func() { p.expire(loss) })
	}
	p.tell()
}

// expire takes the peer offline unless it has come back since the given loss.
func (p *Peer) expire(loss int) {
	p.mu.Lock()
	if p.gone || p.losses != loss {
		p.mu.Unlock()
		return
	}
	p.end(0, "")
}

func (p *Peer) goOffline(code int, reason string) {
	p.mu.Lock()
	if p.gone {
		p.mu.Unlock()
		return
	}
	p.end(code, reason)
}

// end ends the peer's life, its connection if it has one, and everything that
// waits for it. p.mu is held, and is released.
func (p *Peer) end(code int, reason string) {
	p.gone = true
	p.departed = make(chan struct{})
	p.settle()
	l := p.link
	p.link = nil
	if p.grace != nil {
		p.grace.Stop()
	}
	pending := p.pending
	p.pending, p.held, p.heldSize = nil, nil, 0
	if p.cancel != nil {
		p.cancel()
	}
	if l != nil {
		p.news = append(p.news, func() { p.disconnected(code, reason) })
	}
	p.news = append(p.news, p.departs)
	p.mu.Unlock()
	if l != nil {
		_ = l.conn.Close(code, reason)
	}
	for _, t := range pending {
		t.deliver(localResponse(t, 410, "peer offline"))
	}
	p.mu.Lock()
	p.tell()
}

// tell announces the news, and releases p.mu, which it needs held. Of several goroutines one does
// the telling, so that all listeners see one order of events: the one in which the news was
// added under p.mu.
func (p *Peer) tell() {
	if p.telling {
		p.mu.Unlock()
		return
	}
	p.telling = true
	defer func() {
		p.telling = false
		if len(p.news) > 0 {
			// A listener has ended its goroutine.
			go func() {
				p.mu.Lock()
				p.tell()
			}()
		}
		p.mu.Unlock()
	}()
	for len(p.news) > 0 {
		fn := p.news[0]
		p.news = p.news[1:]
		p.announce(fn)
	}
	p.news = nil
}

func (p *Peer) announce(fn func()) {
	p.mu.Unlock()
	defer p.mu.Lock()
	fn()
}

func (p *Peer) disconnected(code int, reason string) {
	p.mu.Lock()
	listeners := p.onDisconnect
	p.mu.Unlock()
	for _, fn := range listeners {
		p.app.Guard(func() { fn(code, reason) })
	}
}

func (p *Peer) reconnected() {
	p.mu.Lock()
	listeners := p.onReconnect
	p.mu.Unlock()
	for _, fn := range listeners {
		p.app.Guard(fn)
	}
}

// arrives announces the peer and then begins to handle its requests. There may be some already, of
// a connection that has taken the peer over meanwhile.
func (p *Peer) arrives() {
	defer func() {
		if req := p.dequeue(); req != nil {
			go p.serve(req)
		}
	}()
	for _, fn := range p.app.online.all() {
		p.app.Guard(func() { fn(p) })
	}
}

// departs announces that the peer has gone, and makes room for another with its identity.
func (p *Peer) departs() {
	if p.guest != nil {
		p.guest.ended()
		return
	}
	defer p.app.leave(p)
	for _, fn := range p.app.offline.all() {
		p.app.Guard(func() { fn(p) })
	}
}
