package core

import (
	"cmp"
	"time"
)

// An Introduction lets a connection in that has not said who it is: its first request does. An [Accept] listener returns
// one in place of a name where the handshake has no room for a token, or where one should not be in a URL.
//
// Until then the connection belongs to a peer without a name that no listener and no search sees. Its first request, whatever
// its method and path are, is given to Accept and to no router. If that succeeds, the connection belongs to the peer that Accept names, and the request
// is answered with 200 and {"username":...,"uuid":...} as its data before anything else is sent. If it fails, the request is answered with the status
// and the reason, and the connection is closed with a code of 4000 and the status, such as 4401. A bad message closes it as well, with 1007, and so does
// the want of a request, with 4408.
type Introduction struct {
	// Accept decides as an [Accept] listener does. It may block: nothing more is read from the connection meanwhile. The request's context ends when
	// the connection does. The connection keeps its Meter: one that Accept names is told that it is closed.
	Accept func(*Request) (Identity, error)
	// Timeout is how long the connection may take until its first request has come. Default 5 s.
	Timeout time.Duration
	// Ended, if it is not nil, is called once: when Accept has decided and its decision is in effect, when the connection has ended before
	// that, or when it could not begin.
	Ended func()
}

// CloseIntroduction is what a connection is closed with that takes too long to say who it is: 4000 and the HTTP status 408.
const CloseIntroduction = closeRefused + 408

// closeRefused and the status of a refusal are a close code.
const closeRefused = 4000

// guest is what a peer has that has yet to say who it is.
type guest struct {
	in     *Introduction
	timer  *time.Timer
	asked  bool   // its first request has come
	code   int    // that the connection has ended with, 0 if it has not
	reason string // guarded by the peer's lock, as the others are
}

func (in *Introduction) ended() {
	if in.Ended != nil {
		in.Ended()
	}
}

// invite gives a connection to a peer without a name.
func (a *App) invite(l *Link, in *Introduction) error {
	if a.isClosed() {
		return ErrClosed
	}
	g := &guest{in: in}
	p := &Peer{app: a, link: l, number: l.number, guest: g, serving: true}
	l.peer.Store(p)
	p.mu.Lock()
	defer p.mu.Unlock()
	g.timer = time.AfterFunc(cmp.Or(in.Timeout, 5*time.Second), func() {
		p.mu.Lock()
		if p.gone || g.asked {
			p.mu.Unlock()
			return
		}
		p.end(CloseIntroduction, "the first request took too long")
	})
	return nil
}

// introduce lets the first request decide who the peer is, on a goroutine of its own: that may take its time, and the connection is not read
// until then. p.mu is held, and is released.
func (l *Link) introduce(req *Request) Flow {
	p := req.peer
	first := !p.guest.asked
	p.guest.asked = true
	p.mu.Unlock()
	if first {
		go l.decide(req)
	}
	return Pause
}

func (l *Link) decide(req *Request) {
	defer l.conn.Resume() // also after a close, whose answer is to be read
	p := req.peer
	id, refused := p.app.identify(func() (Identity, error) {
		id, err := p.guest.in.Accept(req)
		closed(id.Meter)
		id.Meter, id.Introduction = nil, nil // once is enough
		return id, err
	})
	if p.app.isClosed() {
		_ = p.Close(CloseGoingAway, "shutting down")
		return
	}
	if refused != nil {
		_ = req.Reply(refused.Status, refused.Reason)
		_ = p.Close(closeRefused+refused.Status, refused.Reason)
		return
	}
	if !p.isOnline() {
		return
	}
	var welcome []byte
	if req.ended.CompareAndSwap(false, true) {
		welcome = appendResponse(nil, 200, "OK", req.id, senderOf(id.Username, id.UUID))
	}
	if p.app.connect(id, l, welcome) != nil {
		_ = p.Close(CloseGoingAway, "shutting down")
		return
	}
	l.leave(p)
}

// leave ends the peer without a name, whose connection is now another's. If the connection has ended in the meantime, that one does not know.
func (l *Link) leave(p *Peer) {
	p.mu.Lock()
	if !p.gone {
		p.link = nil
		p.end(0, "")
		return
	}
	code, reason := p.guest.code, p.guest.reason
	p.mu.Unlock()
	if code != 0 {
		l.Peer().lost(l, code, reason)
	}
}
