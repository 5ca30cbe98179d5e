package webtransport

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/internal/wire"
)

// MaxDatagram is the length in bytes of the longest frame that is sent as a datagram, so that it fits any path: a
// message has three bytes less.
const MaxDatagram = 1150

var (
	// ErrDatagramTooLarge is returned by SendDatagram for a message that does not fit a datagram.
	ErrDatagramTooLarge = errors.New("webtransport: message is too large for a datagram")
	// ErrNoDatagrams is returned by SendDatagram when datagrams are not turned on, or the other side takes none.
	ErrNoDatagrams = errors.New("webtransport: no datagrams")
)

// post is a queue of datagrams. A goroutine empties it while there are any.
type post struct {
	queue   [32]*wire.Buffer
	first   int
	count   int
	sending bool
}

// put queues a datagram, in the place of the oldest one if there is no room. It reports whether one was dropped.
func (p *post) put(b *wire.Buffer) (dropped bool) {
	if p.count == len(p.queue) {
		p.take().Put()
		dropped = true
	}
	p.queue[(p.first+p.count)%len(p.queue)] = b
	p.count++
	return dropped
}

func (p *post) take() *wire.Buffer {
	b := p.queue[p.first]
	p.queue[p.first] = nil
	p.first = (p.first + 1) % len(p.queue)
	p.count--
	return b
}

func (p *post) discard() {
	for p != nil && p.count > 0 {
		p.take().Put()
	}
}

// SendDatagram sends a text message that may get lost, and that may overtake others or come after them. It
// is for requests that ask for no answer and are outdated soon: where a cursor is, that somebody is typing. Whoever makes such
// a request encodes it with an id that nobody else uses. At most 32 wait; then each drops the oldest.
//
// It does not wait, and may be called by any goroutine.
func (c *Conn) SendDatagram(msg []byte) error {
	if len(msg) > MaxDatagram-3 {
		return ErrDatagramTooLarge
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.state != open || c.session == nil:
		return core.ErrClosed
	case !c.config.datagrams || !c.session.SessionState().ConnectionState.SupportsDatagrams.Remote:
		return ErrNoDatagrams
	}
	if c.post == nil {
		c.post = new(post)
	}
	b := wire.GetBuffer()
	b.B = appendFrame(b.B, opText, msg)
	if c.post.put(b) {
		c.config.counters.dropped.Add(1)
	}
	if !c.post.sending {
		c.post.sending = true
		go c.sendDatagrams()
	}
	return nil
}

// sendDatagrams gives away what is queued. The network's own queue makes it wait.
func (c *Conn) sendDatagrams() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.post.count > 0 {
		b := c.post.take()
		c.mu.Unlock()
		err := c.session.SendDatagram(b.B)
		b.Put()
		c.mu.Lock()
		if err != nil { // too large for this path after all, or the end
			c.config.counters.dropped.Add(1)
		}
	}
	c.post.sending = false
}

// inbox reads datagrams, and hands its loop over like the goroutine that reads the stream.
type inbox struct {
	*Conn
	loop *core.Loop
}

// receiveDatagrams starts a goroutine of its own: in the place of the one that reads the stream, nothing could wait for both.
func (c *Conn) receiveDatagrams() {
	in := &inbox{Conn: c}
	in.loop = core.NewLoop(in.run)
	go in.run()
}

func (in *inbox) run() {
	for {
		b, err := in.session.ReceiveDatagram(context.Background())
		if err != nil {
			return
		}
		if in.receive(b) == core.Detached {
			return
		}
	}
}

var errDatagram = errors.New("invalid message: datagram without exactly one message")

func (in *inbox) receive(b []byte) core.Flow {
	in.mu.Lock()
	skip := in.state != open || in.skipping || in.paused
	in.mu.Unlock()
	if skip {
		in.config.counters.dropped.Add(1)
		return core.Continue
	}
	d := decoder{limit: MaxDatagram}
	f, rest, err := d.next(b)
	d.abandon()
	var flow core.Flow
	if err != nil || len(rest) > 0 || f.op != opText && f.op != opBinary {
		flow = in.link.ReceiveBad(in.loop, errDatagram)
	} else {
		flow = in.deliver(in.loop, f)
	}
	if flow == core.Pause {
		// The stream may wait, a datagram need not come at all.
		in.mu.Lock()
		in.skipping = !in.skipped
		in.skipped = false
		in.mu.Unlock()
	}
	return flow
}

// counters count what a server has seen.
type counters struct {
	migrations, stuck, dropped atomic.Uint64
}
