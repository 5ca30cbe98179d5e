package wasmhost

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/protoo-go/protoo/core"
)

// A rig is an application with modules in it, and peers whose connections the test looks at.
type rig struct {
	t    testing.TB
	app  *core.App
	host *Host
	log  journal
}

// newRig returns a rig that is taken apart at the end of the test.
func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t, app: core.New(core.Options{})}
	var err error
	r.host, err = New(Options{
		OnLog:   func(e LogEntry) { r.log.add("log %d %s", e.Level, e.Text) },
		OnError: func(e *Error) { r.log.add("fail %s %s", e.Event, e.Kind) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = r.app.Close(true)
		if err := r.host.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// load loads a module with every capability.
func (r *rig) load(g *guest, change ...func(*ModuleOptions)) *Module {
	r.t.Helper()
	m, err := r.try(g, change...)
	if err != nil {
		r.t.Fatalf("loading: %v", err)
	}
	return m
}

func (r *rig) try(g *guest, change ...func(*ModuleOptions)) (*Module, error) {
	return r.host.Load(context.Background(), g.bytes(), r.options(change...))
}

func (r *rig) options(change ...func(*ModuleOptions)) ModuleOptions {
	o := ModuleOptions{App: r.app, Grants: Capabilities(), Limits: Limits{Instances: 2}}
	for _, f := range change {
		f(&o)
	}
	return o
}

// journal is a list of what has happened.
type journal struct {
	mu   sync.Mutex
	list []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.list = append(j.list, fmt.Sprintf(format, args...))
}

func (j *journal) take() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	list := j.list
	j.list = nil
	return list
}

func (j *journal) want(t *testing.T, want ...string) {
	t.Helper()
	if got := j.take(); !slices.Equal(got, want) {
		t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// A conn is a connection whose other end is the test.
type conn struct {
	journal
	link *core.Link
	loop *core.Loop
	both func(msg string) // gets what is sent to this and other connections, if it is not nil
}

// dial connects a peer.
func (r *rig) dial(username, uuid string) *conn {
	r.t.Helper()
	c := &conn{}
	c.loop = core.NewLoop(func() {})
	link, err := r.app.Connect(core.Identity{Username: username, UUID: uuid}, c)
	if err != nil {
		r.t.Fatal(err)
	}
	c.link = link
	return c
}

// ask sends a request with method message.
func (c *conn) ask(path, id, data string) {
	c.tell(`{"method":"message","path":%q,"id":%q,"data":%s}`, path, id, data)
}

func (c *conn) tell(format string, args ...any) {
	c.link.Receive(c.loop, fmt.Appendf(nil, format, args...))
}

func (c *conn) Send(msg []byte) error {
	c.add("%s", msg)
	if c.both != nil {
		c.both(string(msg))
	}
	return nil
}

func (c *conn) Close(code int, reason string) error {
	if c.both != nil {
		c.both(fmt.Sprintf("close %d %s", code, reason))
	}
	c.add("close %d %s", code, reason)
	return nil
}

func (c *conn) Resume()        {}
func (c *conn) String() string { return "test/1.2.3.4:5" }

// last is a handler that answers with what it sees.
func last(req *core.Request, _ core.Next) error {
	return req.Reply(200, req.Path(), req.Data())
}

// kind returns the kind of a failure, "" if err is none.
func kind(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return ""
}
