package wasm

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"sync"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/wasmhost"
)

const (
	flagWatch   = 1
	flagChanges = 2
)

type protooModule struct {
	host   *wasmhost.Host
	module *wasmhost.Module
	link   *core.Link
	loop   *core.Loop
	app    *core.App
	req    *core.Request // of the application, which waits for done
	done   chan struct{}
}

func loadProtoo(o options) (loaded, error) {
	m := &wasmhost.Manifest{
		Name: "rival", Events: []string{"request", "response"}, Fields: []string{"method", "path", "id", "param:room", "data", "peer", "status"},
		Capabilities: []wasmhost.Capability{wasmhost.Clock},
	}
	if o.fresh {
		m.Affinity = wasmhost.Fresh
	}
	flags := flagChanges
	if o.watch {
		flags |= flagWatch
	}
	file, err := wasmhost.AppendManifest(protooGuest(o.variant(), flags), m)
	if err != nil {
		return nil, err
	}
	return newProtoo(file, wasmhost.ModuleOptions{Grants: m.Capabilities})
}

func loadProtooGo(o options) (loaded, error) {
	name, err := goGuest("protoo")
	if err != nil {
		return nil, err
	}
	file, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	m := &wasmhost.Manifest{
		Name: "rival", Events: []string{"request", "response", "returned", "configuration"},
		Fields: []string{"method", "path", "id", "param:room", "data", "peer"}, Memory: 16 << 20, Affinity: wasmhost.Pinned,
	}
	mode := o.runaway
	if o.watch {
		mode = "watch"
	}
	if o.fresh { // an instance for one event, so one event has to do
		mode, m.Affinity = "refuse", wasmhost.Fresh
	}
	if file, err = wasmhost.AppendManifest(file, m); err != nil {
		return nil, err
	}
	settings, err := json.Marshal(mode)
	if err != nil {
		return nil, err
	}
	return newProtoo(file, wasmhost.ModuleOptions{Settings: core.JSON(settings)})
}

// newProtoo loads a module, and has a request that a router has handed to a handler.
func newProtoo(file []byte, o wasmhost.ModuleOptions) (*protooModule, error) {
	m := &protooModule{app: core.New(core.Options{}), loop: core.NewLoop(func() {}), done: make(chan struct{})}
	o.App, o.Limits.Instances = m.app, crowd
	var err error
	if m.host, err = wasmhost.New(wasmhost.Options{}); err != nil {
		return nil, err
	}
	if m.module, err = m.host.Load(context.Background(), file, o); err != nil {
		return nil, err
	}
	handed := make(chan *core.Request)
	m.app.All("/rooms/:room", func(req *core.Request, _ core.Next) error {
		handed <- req
		<-m.done
		return req.Reply(200, "")
	})
	if m.link, err = m.app.Connect(core.Identity{Username: "alice", UUID: "alice"}, deaf{}); err != nil {
		return nil, err
	}
	r := newRequest()
	go m.link.Receive(m.loop, []byte(`{"method":"message","path":"`+r.path+`","id":"1","data":`+r.data+`}`))
	m.req = <-handed
	return m, nil
}

func (m *protooModule) instance(context.Context) (subject, error) { return protooInstance{m}, nil }

func (m *protooModule) close() error {
	close(m.done)
	return errors.Join(m.app.Close(true), m.host.Close())
}

// hold lets n events run at the same time, and tells how many instances there are then. It needs a guest that spins.
func (m *protooModule) hold(n int) int {
	var all sync.WaitGroup
	for range n {
		all.Go(func() { _ = m.module.Handle(m.req, func(...error) {}) })
	}
	all.Wait()
	return m.module.Stats().Instances
}

// protooInstance is the module: its host has the instances.
type protooInstance struct{ *protooModule }

func (s protooInstance) request(r *request) error {
	if err := s.module.Handle(s.req, func(...error) {}); err != nil && s.module.Manifest().Affinity != wasmhost.Fresh {
		return err
	}
	r.path = s.req.Path()
	return nil
}

// response is measured together with the request, see throughCore.
func (s protooInstance) response(int) error { return nil }
func (s protooInstance) close() error       { return nil }

// throughCore returns what lets a request and its response pass through core, with a module that sees both and without one. The
// difference is the module's.
func throughCore(m *wasmhost.Module) (func(), error) {
	app := core.New(core.Options{})
	first := func(_ *core.Request, next core.Next) error { next(); return nil }
	if m != nil {
		first = m.Handle
	}
	app.All("/rooms/:room", first, func(req *core.Request, _ core.Next) error { return req.Reply(200, "") })
	link, err := app.Connect(core.Identity{Username: "alice", UUID: "alice"}, deaf{})
	if err != nil {
		return nil, err
	}
	loop, r := core.NewLoop(func() {}), newRequest()
	msg := []byte(`{"method":"message","path":"` + r.path + `","id":"1","data":` + r.data + `}`)
	return func() { link.Receive(loop, msg) }, nil
}

// deaf is a connection that nobody reads from.
type deaf struct{}

func (deaf) Send([]byte) error       { return nil }
func (deaf) Close(int, string) error { return nil }
func (deaf) Resume()                 {}
func (deaf) String() string          { return "deaf" }
