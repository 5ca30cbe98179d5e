package client

import (
	"context"
	"fmt"
	"math"
	"net/url"
	"time"

	"github.com/protoo-go/protoo/core"
)

// A Client is a connection to a server, in spite of interruptions.
type Client struct {
	url  *url.URL
	o    Options
	app  *core.App
	peer *core.Peer // the server; set with the first connection

	connected chan struct{}    // closed with the first connection
	lost      chan *CloseError // how each connection has ended
	cancel    context.CancelFunc
	done      chan struct{}
	err       error // why it has ended; set before done is closed
}

// server is whom the application takes the other side for.
var server = core.Identity{Username: "server", UUID: "server"}

// Dial connects to the server at a URL, over WebSocket if its scheme is ws, wss or http, over WebTransport if it is https, and
// returns when the client is connected. It fails when the first attempt does, unless [Options.WaitForServer] is set; a server that refuses
// the client does it with a [*core.StatusError]. ctx bounds only this wait.
func Dial(ctx context.Context, rawURL string, o Options) (*Client, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	if o.Dial == nil {
		if o.Dial, err = dialer(u, o); err != nil {
			return nil, err
		}
	}
	if o.DialTimeout <= 0 {
		o.DialTimeout = 10 * time.Second
	}
	o.App.TrustSender = true
	o.App.DropWhenSlow = true
	o.App.GracePeriod = math.MaxInt64
	c := &Client{
		url:       u,
		o:         o,
		app:       core.New(o.App),
		connected: make(chan struct{}),
		lost:      make(chan *CloseError, 1),
		done:      make(chan struct{}),
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c.cancel = cancel
	c.app.OnOnline(func(p *core.Peer) {
		p.OnDisconnect(func(code int, reason string) { c.lost <- &CloseError{code, reason} })
	})
	// The server goes only when it is closed, and then there is nothing left to connect.
	c.app.OnOffline(func(*core.Peer) { cancel() })
	if o.Routes != nil {
		o.Routes(c.app)
	}

	stop := context.AfterFunc(ctx, cancel)
	go c.run(running)
	select {
	case <-c.connected:
		if stop() {
			return c, nil
		}
		_ = c.Close(core.CloseGoingAway, "")
	case <-c.done:
		if stop() {
			return nil, c.err
		}
	}
	return nil, c.dialError(context.Cause(ctx))
}

func (c *Client) dialError(err error) error {
	target := url.URL{Scheme: c.url.Scheme, Host: c.url.Host, Path: c.url.Path} // the query may hold a secret
	return fmt.Errorf("connect to %s: %w", &target, err)
}

// App returns the application that serves the server's requests: it has the router, the
// settings and the listeners.
func (c *Client) App() *core.App { return c.app }

// Peer returns the server.
func (c *Client) Peer() *core.Peer { return c.peer }

// Connected tells whether there is a connection now.
func (c *Client) Connected() bool { return c.peer.Connected() }

// Close ends the client and its pending requests, with a close code and a reason. Zero values mean
// 1000 and "normal closure". It fails only if the code may not be sent. It does not wait: what is queued still goes
// out, and a program that ends should wait for Done first.
func (c *Client) Close(code int, reason string) error { return c.peer.Close(code, reason) }

// Done is closed when the client has ended, for whatever reason, and its hooks have returned.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err says why the client has ended: [core.ErrClosed] after Close, otherwise the [*CloseError] or
// [*core.StatusError] that left no sense in trying again. It is nil until Done is closed.
func (c *Client) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}
