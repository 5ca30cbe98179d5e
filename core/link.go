package core

import (
	"errors"
	"strings"
	"sync/atomic"
)

// A Link ties a transport's connection to its peer: what the transport reads goes
// into it. When another connection takes the peer over, or the peer is closed, the link goes deaf: it
// ignores what it is given.
type Link struct {
	peer  atomic.Pointer[Peer] // changes once at most, when an introduction succeeds
	conn  Conn
	meter Meter // nil if nothing bounds the connection

	number uint64

	// Guarded by peer.mu.
	loop   *Loop // that the last request came on
	paused bool
	bad    int32
}

// Peer returns the peer that the connection belongs to. Until an [Introduction] has succeeded it is one without a name.
func (l *Link) Peer() *Peer { return l.peer.Load() }

// Receive takes one message. A response is delivered at once. A request is handled
// on the calling goroutine, which is the one that runs loop: see [Loop] for what happens when that takes
// long, and [Flow] for what to do next. msg is not used after the loop has been handed over, and not kept.
//
// The messages of a connection must be given in the order in which they came.
func (l *Link) Receive(loop *Loop, msg []byte) Flow {
	// The loop may be handed over, and msg overwritten, only when msg has been parsed: hence
	// each turn begins as late as it can.
	var m message
	if err := parseMessage(msg, &m); err != nil {
		return l.receiveBad(loop, err, len(msg))
	}
	if l.meter != nil {
		if excess, over := l.meter.Receive(len(msg), m.status == 0); over && (excess.Close || m.status == 0) {
			return l.refuse(loop, m.id, excess)
		}
	}
	if m.status != 0 {
		return l.receiveResponse(loop, &m, len(msg))
	}
	return l.receiveRequest(loop, &m, len(msg))
}

// ReceiveBad takes note of a message that is not a protoo message, and answers it with
// 400 if it had an id. A transport calls it for what it cannot give to Receive, such as binary messages. Too many of
// them close the connection with 1007.
func (l *Link) ReceiveBad(loop *Loop, err error) Flow { return l.receiveBad(loop, err, 0) }

func (l *Link) receiveBad(loop *Loop, err error, size int) Flow {
	if l.meter != nil {
		if excess, over := l.meter.Receive(size, false); over && excess.Close {
			return l.refuse(loop, "", excess)
		}
	}
	p := l.Peer()
	p.mu.Lock()
	if p.link != l {
		p.mu.Unlock()
		return Continue
	}
	l.bad++
	unknown := p.guest != nil
	many := unknown || int(l.bad) >= p.app.limits.badMessages
	p.mu.Unlock()

	p.app.stats.badMessages.Add(1)
	var bad *messageError
	if errors.As(err, &bad) && bad.id != "" {
		_ = p.reply(400, bad.reason, bad.id, "", nil)
	}
	if many {
		_ = l.conn.Close(CloseInvalidData, "too many bad messages")
	}
	if unknown {
		return Continue // the application knows nothing of this peer
	}
	return loop.run(p.app.watch, true, func(turn uint64) {
		p.app.listening.run(loop, turn, func() {
			for _, fn := range p.app.badMessage.all() {
				p.app.Guard(func() { fn(p, err) })
			}
		})
	})
}

func (l *Link) receiveResponse(loop *Loop, m *message, size int) Flow {
	p := l.Peer()
	p.mu.Lock()
	if p.link != l {
		p.mu.Unlock()
		return Continue
	}
	t := p.pending[m.key]
	if t != nil && m.status >= 200 {
		delete(p.pending, m.key)
		p.settle()
	}
	awaited := len(p.pending) > 0
	p.mu.Unlock()
	if t == nil {
		if !strings.HasPrefix(m.key, broadcastPrefix) {
			p.app.stats.strayResponses.Add(1)
		}
		return Continue
	}
	if !t.add(&Response{peer: p, status: m.status, reason: m.reason, id: m.id, data: m.data, size: int32(size)}) {
		return Continue
	}
	// Whoever waits for the response has it now. The listeners learn of it in the order in
	// which responses came, even if the loop is handed over before they are called.
	p.mu.Lock()
	p.news = append(p.news, t.tell)
	p.mu.Unlock()
	return loop.run(p.app.watch, awaited, func(turn uint64) {
		p.app.listening.run(loop, turn, func() {
			p.mu.Lock()
			p.tell()
		})
	})
}

func (l *Link) receiveRequest(loop *Loop, m *message, size int) Flow {
	p := l.Peer()
	p.mu.Lock()
	if p.link != l {
		p.mu.Unlock()
		return Continue
	}
	if reason := p.overloaded(size); reason != "" {
		p.mu.Unlock()
		_ = p.reply(429, reason, m.id, "", nil)
		p.app.observed("", 429, clock())
		return Continue
	}
	if d := p.drain; d != nil {
		p.mu.Unlock()
		_ = p.reply(503, d.reason, m.id, "", nil)
		return Continue
	}
	req := &Request{peer: p, method: m.method, id: m.id, full: m.path, data: m.data, size: int32(size)}
	req.params = req.space[:0]
	if p.app.observe.Request != nil {
		req.began = loop.arrival()
	}
	if m.trace != "" {
		req.change().trace = m.trace
	}
	if p.app.trustSender && m.sender != "" {
		req.change().sender = m.sender
	}
	p.begin(req)
	if p.serving {
		if p.guest != nil {
			return l.introduce(req)
		}
		p.queue = append(p.queue, req)
		p.queueSize += req.size
		l.paused = p.queueFull()
		flow := Continue
		if l.paused {
			flow = Pause
		}
		p.mu.Unlock()
		return flow
	}
	p.serving = true
	l.loop = loop
	awaited := len(p.pending) > 0
	p.mu.Unlock()
	return loop.run(p.app.watch, awaited, func(turn uint64) {
		req.loop, req.loopTurn = loop, turn
		p.serve(req)
	})
}

// overloaded tells why another request of so many bytes may not begin, "" if it may. p.mu is held.
func (p *Peer) overloaded(size int) string {
	switch max := &p.app.limits; {
	case int(p.inProgress) >= max.requests:
		return "too many requests in progress"
	case p.inProgress > 0 && int(p.underWay)+size > max.requestBytes:
		return "too many bytes in progress"
	}
	return ""
}

// Closed tells that the connection has ended, with the code and reason that the other
// side gave: CloseNoStatus if it gave none, CloseAbnormal if the connection broke. It is called once, after the last Receive.
func (l *Link) Closed(code int, reason string) {
	closed(l.meter)
	l.Peer().lost(l, code, reason)
}
