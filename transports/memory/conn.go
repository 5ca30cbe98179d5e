package memory

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math"
	"sync"

	"github.com/protoo-go/protoo/core"
)

// A CloseError says how a connection has ended.
type CloseError struct {
	Code   int
	Reason string
}

// Error describes e as "closed: 1000 normal closure".
func (e *CloseError) Error() string { return fmt.Sprintf("closed: %d %s", e.Code, e.Reason) }

// A Conn is one end of a connection: [Transport.Dial] returns the client's, the application's peer has
// the server's. Both are a [core.Conn], so that a client can be built on a [core.App] as
// well, which reads with Run. Other clients read with Receive. All other
// methods may be called by any goroutine.
type Conn struct {
	name       string
	other      *Conn
	queueSize  int
	maxMessage int

	mu    *sync.Mutex   // guards both ends
	end   *CloseError   // the same on both ends
	in    [][]byte      // what the other end has sent
	size  int           // what that takes of queueSize
	ready chan struct{} // holds a token after in has grown or end was set

	// What Run reads with.
	link    *core.Link
	loop    *core.Loop
	resumed chan struct{} // holds a token after Resume
	ended   func()
}

// overhead is what a message takes of a queue besides its bytes, so that empty messages are not free.
const overhead = 64

func newPair(clientAddr string, o Options) (client, server *Conn) {
	mu := new(sync.Mutex)
	end := func(name string, maxMessage int) *Conn {
		return &Conn{
			name:       name,
			queueSize:  o.QueueSize,
			maxMessage: maxMessage,
			mu:         mu,
			ready:      make(chan struct{}, 1),
			resumed:    make(chan struct{}, 1),
		}
	}
	client, server = end("memory/server", math.MaxInt), end("memory/"+clientAddr, o.MaxMessage)
	client.other, server.other = server, client
	return client, server
}

// String names the transport and the address of the other end.
func (c *Conn) String() string { return c.name }

// Send queues a copy of msg for the other end. It fails with [core.ErrSlow] when there is no room for
// it in the queue, and with [core.ErrClosed] when the connection has ended.
func (c *Conn) Send(msg []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	to := c.other
	switch {
	case c.end != nil:
		return core.ErrClosed
	case len(msg) > to.maxMessage:
		// As on a network, the sender learns of it when it reads.
		c.finish(core.CloseTooBig, "message too big")
		return nil
	case len(msg)+overhead > to.queueSize-to.size:
		return core.ErrSlow
	}
	to.in = append(to.in, bytes.Clone(msg))
	to.size += len(msg) + overhead
	signal(to.ready)
	return nil
}

// Receive returns the next message. When there are no more it returns a [*CloseError], and when ctx ends
// first, the context's cause. One goroutine at a time may call it.
func (c *Conn) Receive(ctx context.Context) ([]byte, error) {
	for {
		msg, ok, end := c.take()
		if ok {
			return msg, nil
		}
		if end != nil {
			return nil, end
		}
		select {
		case <-c.ready:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (c *Conn) take() (msg []byte, ok bool, end *CloseError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.in) == 0 {
		return nil, false, c.end
	}
	msg = c.in[0]
	c.in[0] = nil
	c.in = c.in[1:]
	c.size -= len(msg) + overhead
	return msg, true, nil
}

// Close ends the connection. The other end still receives what it has been sent, and then
// a [*CloseError] with this code and reason; this end receives nothing more.
// Zero as a code means [core.CloseNoStatus]. Every call after the first does nothing.
func (c *Conn) Close(code int, reason string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end == nil {
		c.discard()
		c.finish(cmp.Or(code, core.CloseNoStatus), reason)
	}
	return nil
}

// Drop ends the connection as the failure of a network does: both ends lose what they have
// not received, and see the code [core.CloseAbnormal].
func (c *Conn) Drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end == nil {
		c.discard()
		c.other.discard()
		c.finish(core.CloseAbnormal, "")
	}
}

// discard forgets what this end has not received. It need not wait for Resume then. c.mu is held.
func (c *Conn) discard() {
	c.in, c.size = nil, 0
	signal(c.resumed)
}

// finish ends both directions. c.mu is held.
func (c *Conn) finish(code int, reason string) {
	end := &CloseError{code, reason}
	c.end, c.other.end = end, end
	signal(c.ready)
	signal(c.other.ready)
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run reads until the connection has ended: it gives the messages, and at last how it has ended, to link. It
// takes the place of Receive and is called once.
func (c *Conn) Run(link *core.Link) {
	ended := make(chan struct{})
	c.start(link, func() { close(ended) })
	<-ended
}

// Resume goes on reading for a link that has asked for a pause.
func (c *Conn) Resume() { signal(c.resumed) }

func (c *Conn) start(link *core.Link, ended func()) {
	c.link, c.ended = link, ended
	c.loop = core.NewLoop(c.read)
	go c.read()
}

// read is what the loop runs. All its state is in c, for when a handler takes long another goroutine
// calls it again, and this one returns.
func (c *Conn) read() {
	for {
		msg, err := c.Receive(context.Background())
		if err != nil {
			defer c.ended()
			c.link.Closed(c.end.Code, c.end.Reason)
			return
		}
		switch c.link.Receive(c.loop, msg) {
		case core.Pause:
			<-c.resumed
		case core.Detached:
			return
		}
	}
}
