// Package memory connects clients with an application in the same process. It serves tests,
// examples and programs that have no network, and it is the shortest complete
// transport: who writes another may want to read it first.
//
//	transport := memory.New(app, accept, memory.Options{})
//	conn, err := transport.Dial(ctx, core.ConnectRequest{Query: query})
//	err = conn.Send([]byte(`{"method":"message","path":"/users/bob","id":"1"}`))
//	msg, err := conn.Receive(ctx)
//
// Package coretest checks what all transports have in common.
package memory

import (
	"cmp"
	"context"
	"fmt"
	"sync"

	"github.com/protoo-go/protoo/core"
)

// Options are a transport's limits. The zero value is what most programs want.
type Options struct {
	// QueueSize bounds the bytes that wait in each direction of a connection; each
	// message counts with 64 bytes more than it has. Default 1 MiB.
	QueueSize int
	// MaxMessage is the length in bytes of the longest message that the server takes; a
	// longer one closes the connection with 1009. Default 64 KiB.
	MaxMessage int
}

// A Transport accepts connections for an application.
type Transport struct {
	app     *core.App
	accept  core.Accept
	options Options

	mu     sync.Mutex
	closed bool
	dialed int
	conns  map[*Conn]struct{} // the server's ends
	open   sync.WaitGroup
}

// New returns a transport that asks accept about every connection.
func New(app *core.App, accept core.Accept, o Options) *Transport {
	o.QueueSize = cmp.Or(o.QueueSize, 1<<20)
	o.MaxMessage = cmp.Or(o.MaxMessage, 64<<10)
	return &Transport{app: app, accept: accept, options: o, conns: make(map[*Conn]struct{})}
}

// Dial connects a client and returns its end of the connection. Transport and RemoteAddr of r are
// filled in where they are empty, and its Context is ctx. The accept listener and the application's
// online listeners run on the calling goroutine, so Dial returns when they have,
// even if ctx ends first.
//
// A refusal is a [*core.StatusError].
func (t *Transport) Dial(ctx context.Context, r core.ConnectRequest) (*Conn, error) {
	r.Context = ctx
	r.Transport = cmp.Or(r.Transport, "memory")
	r.RemoteAddr = cmp.Or(r.RemoteAddr, t.newAddr())
	id, refused := t.app.Admit(t.accept, &r)
	if refused != nil {
		return nil, cmp.Or[error](context.Cause(ctx), refused)
	}
	if ctx.Err() != nil {
		id.Abandon()
		return nil, context.Cause(ctx)
	}
	client, server := newPair(r.RemoteAddr, t.options)
	if !t.enter(server) {
		id.Abandon()
		return nil, errShuttingDown
	}
	link, err := t.app.Connect(id, server)
	if err != nil {
		t.leave(server)
		return nil, errShuttingDown
	}
	server.start(link, func() { t.leave(server) })
	return client, nil
}

var errShuttingDown = &core.StatusError{Status: 503, Reason: "shutting down"}

func (t *Transport) newAddr() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dialed++
	return fmt.Sprintf("client:%d", t.dialed)
}

func (t *Transport) enter(server *Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.conns[server] = struct{}{}
	t.open.Add(1)
	return true
}

func (t *Transport) leave(server *Conn) {
	t.mu.Lock()
	delete(t.conns, server)
	t.mu.Unlock()
	t.open.Done()
}

// Close closes all connections with 1001 "shutting down", waits until the application has
// taken note of it, and refuses new ones with 503. The application's listeners must not
// call it. Give the transport to [core.App.Attach] to have it closed with the application.
func (t *Transport) Close() error {
	t.mu.Lock()
	t.closed = true
	for c := range t.conns {
		_ = c.Close(core.CloseGoingAway, "shutting down")
	}
	t.mu.Unlock()
	t.open.Wait()
	return nil
}
