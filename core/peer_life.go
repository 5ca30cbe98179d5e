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
	p.number = l.number
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
	if p.absence == nil {
		p.absence = new(absence)
	}
	a := p.absence
	p.news = append(p.news, func() { p.disconnected(code, reason) })
	if grace := time.Duration(p.app.settings.grace.Load()); grace > 0 {
		a.timer = time.AfterFunc(grace, func() { p.expire(a) })
	} else {
		p.news = append(p.news, func() { p.expire(a) })
	}
	p.tell()
}

// expire takes the peer offline unless it has come back from that absence.
func (p *Peer) expire(a *absence) {
	p.mu.Lock()
	if p.gone || p.absence != a {
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
	p.endAbsence()
	if p.guest != nil {
		p.guest.timer.Stop()
	}
	pending := p.pending
	p.pending = nil
	if p.lifetime != nil {
		p.lifetime.cancel()
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
	for _, fn := range p.app.disconnect.all() {
		p.app.Guard(func() { fn(p, code, reason) })
	}
	for _, fn := range p.ownListeners().disconnect {
		p.app.Guard(func() { fn(code, reason) })
	}
}

func (p *Peer) reconnected() {
	for _, fn := range p.app.reconnect.all() {
		p.app.Guard(func() { fn(p) })
	}
	for _, fn := range p.ownListeners().reconnect {
		p.app.Guard(fn)
	}
}

func (p *Peer) ownListeners() peerListeners {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listeners == nil {
		return peerListeners{}
	}
	return *p.listeners
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
		p.guest.in.ended()
		return
	}
	defer p.app.leave(p)
	for _, fn := range p.app.offline.all() {
		p.app.Guard(func() { fn(p) })
	}
}
