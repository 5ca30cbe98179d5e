// Package trial runs a WebAssembly module against one request or connection, in an application that has nothing else.
package trial

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/memory"
	"github.com/protoo-go/protoo/wasmhost"
)

// Options say what the module meets.
type Options struct {
	Module wasmhost.ModuleOptions
	Mount  string          // the path that the module is mounted at, "/" by default
	Peer   core.Identity   // who sends the request
	Others []core.Identity // who else is online; each answers every request with 200 and the request's data
	// Timeout is how long the final response may take, 10 s by default.
	Timeout time.Duration
}

// A Result is what has come of it.
type Result struct {
	// Action is what the module has done: next, reply, error or pending, or accept or refuse for a connection. It
	// is none when the request did not come to it.
	Action   string
	Error    error          // with which the request or connection has failed
	Passed   *core.Request  // as the handlers behind the module got it, nil if they did not
	Messages []string       // responses, as they were sent
	Identity *core.Identity // of a connection that was accepted
	Sent     []string       // requests that others got
	Fuel     uint64
	Log      []wasmhost.LogEntry
}

// A bench is what a module is tried on.
type bench struct {
	app    *core.App
	host   *wasmhost.Host
	module *wasmhost.Module
	fuel   uint64 // that making the first instance has taken

	mu     sync.Mutex
	result Result
}

// newBench loads a module.
func newBench(ctx context.Context, file []byte, o Options) (*bench, error) {
	b := &bench{app: core.New(core.Options{}), result: Result{Action: "none"}}
	var err error
	b.host, err = wasmhost.New(wasmhost.Options{OnLog: func(e wasmhost.LogEntry) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.result.Log = append(b.result.Log, e)
	}})
	if err != nil {
		return nil, err
	}
	o.Module.App = b.app
	if b.module, err = b.host.Load(ctx, file, o.Module); err != nil {
		_ = b.host.Close() // err says what matters
		return nil, err
	}
	b.fuel = b.module.Stats().Fuel
	return b, nil
}

// end returns the result.
func (b *bench) end() *Result {
	_ = b.app.Close(true) // the transport is in memory
	fuel := b.module.Stats().Fuel - b.fuel
	_ = b.host.Close() // nobody else closes it
	b.mu.Lock()
	defer b.mu.Unlock()
	b.result.Fuel = fuel
	return &b.result
}

// Request shows the module a request: a JSON object with method, path and data.
func Request(ctx context.Context, file, request []byte, o Options) (*Result, error) {
	message, err := complete(request)
	if err != nil {
		return nil, err
	}
	b, err := newBench(ctx, file, o)
	if err != nil {
		return nil, err
	}
	if o.Mount == "" {
		o.Mount = "/"
	}
	b.app.Use(o.Mount, b.handle)
	b.app.Use("/", b.behind)
	transport := memory.New(b.app, func(r *core.ConnectRequest) (core.Identity, error) {
		return r.Raw.(core.Identity), nil
	}, memory.Options{})
	b.app.Attach(transport)
	var others sync.WaitGroup
	defer others.Wait()
	for _, id := range o.Others {
		conn, err := transport.Dial(ctx, core.ConnectRequest{Raw: id})
		if err != nil {
			return b.end(), fmt.Errorf("%s/%s: %w", id.Username, id.UUID, err)
		}
		others.Go(func() { b.answer(conn, id) })
	}
	conn, err := transport.Dial(ctx, core.ConnectRequest{Raw: o.Peer})
	if err != nil {
		return b.end(), fmt.Errorf("%s/%s: %w", o.Peer.Username, o.Peer.UUID, err)
	}
	err = b.converse(ctx, conn, message, o.Timeout)
	return b.end(), err
}

// complete makes a message of a request, of which only the path has to be given.
func complete(request []byte) ([]byte, error) {
	fields := make(map[string]json.RawMessage)
	if err := json.Unmarshal(request, &fields); err != nil {
		return nil, fmt.Errorf("the request is not a JSON object: %w", err)
	}
	for name := range fields {
		if !slices.Contains([]string{"method", "path", "id", "data"}, name) {
			return nil, fmt.Errorf("the request has %q, want method, path, id and data", name)
		}
	}
	if fields["path"] == nil {
		return nil, fmt.Errorf("the request has no path")
	}
	for name, standard := range map[string]string{"method": `"message"`, "id": `"1"`} {
		if fields[name] == nil {
			fields[name] = json.RawMessage(standard)
		}
	}
	return json.Marshal(fields)
}

// handle is the module, and looks at what it has done.
func (b *bench) handle(req *core.Request, next core.Next) error {
	err := b.module.Handle(req, next)
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case err != nil:
		b.result.Action, b.result.Error = "error", err
	case b.result.Passed != nil:
		b.result.Action = "next"
	case req.Ended():
		b.result.Action = "reply"
	default:
		b.result.Action = "pending"
	}
	return err
}

// behind is what the module passes requests on to.
func (b *bench) behind(req *core.Request, _ core.Next) error {
	b.mu.Lock()
	b.result.Passed = req
	b.mu.Unlock()
	return req.Reply(200, "OK", req.Data())
}

// converse sends a message and takes what comes back, up to the final response.
func (b *bench) converse(ctx context.Context, conn *memory.Conn, message []byte, timeout time.Duration) error {
	if timeout <= 0 {
		timeout = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := conn.Send(message); err != nil {
		return err
	}
	for {
		text, err := conn.Receive(ctx)
		if err != nil {
			return fmt.Errorf("waiting for the final response: %w", err)
		}
		var m struct {
			Method string
			Status int
		}
		if err := json.Unmarshal(text, &m); err != nil {
			return err
		}
		b.mu.Lock()
		if m.Method != "" {
			b.result.Sent = append(b.result.Sent, string(text))
		} else {
			b.result.Messages = append(b.result.Messages, string(text))
		}
		b.mu.Unlock()
		if m.Status >= 200 {
			return nil
		}
	}
}

// answer answers what a peer is asked until its connection ends.
func (b *bench) answer(conn *memory.Conn, id core.Identity) {
	for {
		text, err := conn.Receive(context.Background())
		if err != nil {
			return
		}
		b.mu.Lock()
		b.result.Sent = append(b.result.Sent, id.Username+"/"+id.UUID+" "+string(text))
		b.mu.Unlock()
		var m struct {
			ID   json.RawMessage `json:"id"`
			Data json.RawMessage `json:"data,omitempty"`
		}
		if json.Unmarshal(text, &m) != nil {
			continue
		}
		response, err := json.Marshal(struct {
			Status int             `json:"status"`
			Reason string          `json:"reason"`
			ID     json.RawMessage `json:"id"`
			Data   json.RawMessage `json:"data,omitempty"`
		}{200, "OK", m.ID, m.Data})
		if err == nil {
			_ = conn.Send(response) // it fails when the trial is over
		}
	}
}

// Connect asks the module about a connection: a JSON object with path, query, header, origin, remote and secure.
func Connect(ctx context.Context, file, connection []byte, o Options) (*Result, error) {
	var c struct {
		Path           string
		Query, Header  map[string][]string
		Origin, Remote string
		Secure         bool
	}
	c.Path, c.Remote = "/protoo", "127.0.0.1:1"
	if err := json.Unmarshal(connection, &c); err != nil {
		return nil, fmt.Errorf("the connection is not a JSON object with path, query, header, origin, remote and secure: %w", err)
	}
	b, err := newBench(ctx, file, o)
	if err != nil {
		return nil, err
	}
	passed := false
	accept := b.module.Accept(func(*core.ConnectRequest) (core.Identity, error) {
		passed = true
		return o.Peer, nil
	})
	id, err := accept(&core.ConnectRequest{
		Context: ctx, Transport: "memory", Path: c.Path, Query: c.Query, Header: c.Header,
		Origin: c.Origin, RemoteAddr: c.Remote, Secure: c.Secure,
	})
	r := b.end()
	switch {
	case passed:
		r.Action = "next"
	case err != nil:
		r.Action, r.Error = "refuse", err
	default:
		r.Action, r.Identity = "accept", &id
	}
	return r, nil
}
