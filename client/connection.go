package client

import (
	"context"
	"time"

	"github.com/protoo-go/protoo/core"
)

// settled is how long a connection must have lasted for the backoff to begin anew
// after it: a server may be able to accept connections and nothing else.
const settled = 5 * time.Second

// run keeps the client connected for as long as that makes sense.
func (c *Client) run(ctx context.Context) {
	defer close(c.done)
	defer c.cancel()
	for attempt := 0; ; attempt++ {
		conn, link, err := c.connect(ctx)
		lasted := false
		if err == nil {
			began := time.Now()
			err = c.serve(ctx, conn, link)
			lasted = time.Since(began) >= settled
		}
		hint, hinted := reconnectHint(err)
		if lasted && (hinted || !overloaded(err)) {
			attempt = 0
		}
		if ctx.Err() != nil {
			err = core.ErrClosed
		}
		if final(err) && !c.expired(err, lasted) || c.peer == nil && !c.o.WaitForServer {
			c.err = err
			if c.peer != nil {
				_ = c.peer.Close(0, "")
			}
			return
		}
		wait := c.o.Backoff.delay(attempt)
		if hinted {
			if lasted {
				wait = 0
			}
			wait = max(wait, hint) // a server that closes each connection at once must not be asked all the time
		}
		if c.o.OnRetry != nil {
			c.o.OnRetry(err, wait)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

func (c *Client) connect(ctx context.Context) (Conn, *core.Link, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.DialTimeout)
	defer cancel()
	conn, err := c.o.Dial(ctx, c.url.String())
	if err != nil {
		return nil, nil, c.dialError(err)
	}
	if err := c.introduce(ctx, conn); err != nil {
		_ = conn.Close(core.CloseGoingAway, "")
		return nil, nil, c.dialError(err)
	}
	link, err := c.app.Connect(server, conn)
	if err != nil {
		_ = conn.Close(core.CloseGoingAway, "")
		return nil, nil, err
	}
	switch c.peer {
	case link.Peer():
	case nil:
		c.peer = link.Peer()
		close(c.connected)
	default:
		// The client was closed meanwhile, so for the application this is somebody new.
		_ = link.Peer().Close(core.CloseGoingAway, "")
		conn.Run(link)
		return nil, nil, core.ErrClosed
	}
	return conn, link, nil
}

// serve reads from the connection until its end, and says what that was.
func (c *Client) serve(ctx context.Context, conn Conn, link *core.Link) error {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer cancel()
		conn.Run(link)
	}()
	if c.o.OnConnect != nil {
		c.o.OnConnect(ctx, c)
	}
	<-ended
	// The report of the end may come a little later, from another goroutine.
	var err error = <-c.lost
	if c.app.Peer(server.Username, server.UUID) == nil {
		err = core.ErrClosed
	}
	if c.o.OnDisconnect != nil {
		c.o.OnDisconnect(c, err)
	}
	return err
}
