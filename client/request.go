package client

import (
	"context"
	"sync"
	"time"

	"github.com/protoo-go/protoo/core"
)

// A RequestOption is an exception that one request makes.
type RequestOption func(*requestOptions)

type requestOptions struct {
	timeout       time.Duration
	onProvisional func(*core.Response)
}

// Timeout says how long the server may take for its final response. Without it the deadline of the context
// counts, and without that 120 s for the method "session", 10 s for others.
func Timeout(d time.Duration) RequestOption {
	return func(o *requestOptions) { o.timeout = d }
}

// OnProvisional has a function called with every provisional response, in order, on the goroutine that
// received it. It is not called any more once Request has returned.
func OnProvisional(fn func(*core.Response)) RequestOption {
	return func(o *requestOptions) { o.onProvisional = fn }
}

// Request sends a request and returns the final response to it if that accepts the request, and otherwise
// an [*Error] with what it says. Data is anything encoding/json can encode, nil for none.
//
// When ctx ends first, Request gives the transaction up and returns the cause; the server is not told. A handler
// that makes a request gives the context of its own, so that others are served while it waits.
func (c *Client) Request(ctx context.Context, method, path string, data any, opts ...RequestOption) (*core.Response, error) {
	var o requestOptions
	for _, set := range opts {
		set(&o)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	req := core.NewRequest(method, path, data)
	req.SetTimeout(o.timeout)
	if deadline, ok := ctx.Deadline(); ok && o.timeout == 0 {
		// A little more, so that it is always the context that ends the wait.
		req.SetTimeout(time.Until(deadline) + time.Second)
	}
	t := c.Send(req)
	if o.onProvisional != nil {
		l := &provisionalListener{fn: o.onProvisional}
		defer l.stop()
		t.OnResponse(l.receive)
	}
	res, err := t.Wait(ctx)
	switch {
	case err != nil:
		t.Cancel()
		return nil, err
	case res.IsReject():
		return nil, &Error{res.Status(), res.Reason(), res.Data(), res.IsLocal()}
	}
	return res, nil
}

// Send sends a request made with [core.NewRequest] and does not wait: the transaction has the responses.
func (c *Client) Send(req *core.Request) *core.Transaction { return c.peer.Send(req) }

// provisionalListener passes responses on until it is stopped.
type provisionalListener struct {
	mu      sync.Mutex
	fn      func(*core.Response)
	stopped bool
}

func (l *provisionalListener) receive(res *core.Response) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.stopped && res.IsProvisional() {
		l.fn(res)
	}
}

func (l *provisionalListener) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
}
