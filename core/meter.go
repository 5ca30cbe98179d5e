package core

import (
	"strconv"
	"time"
)

// A Meter bounds what one connection may use up. [Accept] ties it to the connection, with [Identity].Meter.
type Meter interface {
	// Receive takes note of a message of size bytes: a request, or anything else. It tells whether that is too much, and if so, what.
	// A request that is too much is answered with 429 and goes no further; what is no request does, so
	// that nobody waits for an answer that has come. A binary message counts as one of no bytes.
	//
	// It is called for one message after the other, before anything else is done about it, by the goroutine that reads. It must
	// not wait.
	Receive(size int, request bool) (Excess, bool)
	// Closed takes note of the connection's end. It is called once, also when the connection has not come about, by any goroutine.
	Closed()
}

// An Excess is what a connection has sent beyond its limits.
type Excess struct {
	// Reason is that of the answer, or of the close frame.
	Reason string
	// RetryAfter is how long the peer should wait before it tries again. The answer has it in its data, in seconds.
	RetryAfter time.Duration
	// Close closes the peer with 1008 instead, without a grace period.
	Close bool
}

// Data returns what the answer to a request that is too much says in its data: {"retryAfter":1.5}, in seconds and rounded up
// to milliseconds.
func (e Excess) Data() JSON {
	ms := (max(e.RetryAfter, 0) + time.Millisecond - 1) / time.Millisecond
	b := append(make([]byte, 0, 32), `{"retryAfter":`...)
	b = strconv.AppendFloat(b, float64(ms)/1000, 'f', -1, 64)
	return JSON(append(b, '}'))
}

// Meter returns what bounds the peer's current connection, nil if nothing does or while there is none.
func (p *Peer) Meter() Meter {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.link == nil {
		return nil
	}
	return p.link.meter
}

// closed tells a meter, if there is one, that its connection has ended.
func closed(m Meter) {
	if m != nil {
		m.Closed()
	}
}

// refuse does what an excess asks for. id is the request's.
func (l *Link) refuse(loop *Loop, id string, e Excess) Flow {
	p := l.Peer()
	p.mu.Lock()
	if p.link != l {
		p.mu.Unlock()
		return Continue
	}
	if e.Close {
		p.mu.Unlock()
		return loop.run(p.app.watch, true, func(uint64) {
			p.mu.Lock()
			if p.link != l {
				p.mu.Unlock()
				return
			}
			p.end(ClosePolicy, cut(e.Reason, maxCloseReason))
		})
	}
	p.mu.Unlock()
	_ = p.reply(429, e.Reason, id, e.Data(), nil)
	p.app.observed("", 429, clock())
	return Continue
}
