package wasmhost

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/protoo-go/protoo/core"
)

// benchRequest hands a request of about 300 bytes to fn, as a handler gets it from a router.
func benchRequest(tb testing.TB, fn func(req *core.Request)) {
	app := core.New(core.Options{})
	app.All("/rooms/:room", func(req *core.Request, _ core.Next) error {
		fn(req)
		return req.Reply(200, "")
	})
	c := &conn{loop: core.NewLoop(func() {})}
	link, err := app.Connect(core.Identity{Username: "alice", UUID: "phone"}, c)
	if err != nil {
		tb.Fatal(err)
	}
	c.link = link
	c.ask("/rooms/42", "1", `{"text":"`+strings.Repeat("x", 220)+`"}`)
	_ = app.Close(true)
}

func benchModule(tb testing.TB, g *guest) *Module {
	h, err := New(Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = h.Close() })
	m, err := h.Load(context.Background(), g.bytes(), ModuleOptions{Grants: Capabilities()})
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// passer passes requests on after it has seen six fields and set a property, or not.
func passer(flags int, change func(*frameWriter)) *guest {
	g := &guest{manifest: manifest(EventRequest, EventResponse).push("method", "path", "base", "param:room", "data", "peer")}
	var out []byte
	if change != nil {
		out = frame(change)
	}
	g.on = seq(onEvent(EventRequest, g.give(actionNext, flags, out)))
	return g
}

func BenchmarkRequest(b *testing.B) {
	fresh := passer(0, nil)
	fresh.manifest.on(Fresh)
	for _, c := range []struct {
		name  string
		guest *guest
	}{
		{"pass", passer(0, nil)},
		{"change", passer(flagChanges, text(fieldPath, "/rooms/43"))},
		{"fresh", fresh},
	} {
		b.Run(c.name, func(b *testing.B) {
			m := benchModule(b, c.guest)
			benchRequest(b, func(req *core.Request) {
				next := func(...error) {}
				b.ReportAllocs()
				for b.Loop() {
					if err := m.Handle(req, next); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

func BenchmarkRequestParallel(b *testing.B) {
	m := benchModule(b, passer(0, nil))
	benchRequest(b, func(req *core.Request) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := m.Handle(req, func(...error) {}); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

func TestRequestAllocatesNothing(t *testing.T) {
	for _, g := range []*guest{passer(0, nil), passer(flagChanges, text(fieldPath, "/rooms/43"))} {
		m := benchModule(t, g)
		benchRequest(t, func(req *core.Request) {
			next := func(...error) {}
			if n := testing.AllocsPerRun(100, func() { _ = m.Handle(req, next) }); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

// watcherGuest watches every response with a little carry.
func watcherGuest() *guest {
	g := &guest{manifest: manifest(EventRequest, EventResponse).push("status")}
	g.on = seq(
		onEvent(EventRequest, g.give(actionNext, flagWatch, frame(func(w *frameWriter) { w.addBytes(fieldCarry, []byte("started")) }))),
		onEvent(EventResponse, g.give(actionNext, 0, nil)))
	return g
}

// BenchmarkResponse is for the event response what BenchmarkRequest is for requests.
func BenchmarkResponse(b *testing.B) {
	m := benchModule(b, watcherGuest())
	benchRequest(b, func(req *core.Request) {
		w := takeWatcher()
		w.version, w.req = m.current.Load(), req
		res := &core.Response{} // counts as provisional, so that more can follow
		b.ReportAllocs()
		for b.Loop() {
			w.response(req, res)
		}
	})
}

// BenchmarkWatch is a whole request through core: without a module, with one that passes it on, and with one that also
// watches the response. They take turns, and the least time of each counts, since a noisy machine disturbs all three: the
// differences are what modules cost.
func BenchmarkWatch(b *testing.B) {
	cases := []struct {
		name    string
		receive func()
		best    time.Duration
	}{
		{name: "none", receive: benchReceive(b, nil)},
		{name: "request", receive: benchReceive(b, passer(0, nil))},
		{name: "request-and-response", receive: benchReceive(b, watcherGuest())},
	}
	const rounds = 100 // short enough to be undisturbed now and then
	for i := range cases {
		cases[i].best = 1 << 62
	}
	b.ReportAllocs()
	for b.Loop() {
		for i := range cases {
			c := &cases[i]
			began := time.Now()
			for range rounds {
				c.receive()
			}
			c.best = min(c.best, time.Since(began))
		}
	}
	for i := range cases {
		b.ReportMetric(float64(cases[i].best-cases[0].best)/rounds, "ns-"+cases[i].name)
	}
	b.ReportMetric(float64(cases[0].best)/rounds, "ns-none")
}

// benchReceive returns what receives a request and replies to it, behind a module if there is one.
func benchReceive(tb testing.TB, g *guest) func() {
	app := core.New(core.Options{})
	tb.Cleanup(func() { _ = app.Close(true) })
	if g != nil {
		app.Use("/", benchModule(tb, g).Handle)
	} else {
		app.Use("/", func(_ *core.Request, next core.Next) error { next(); return nil })
	}
	app.All("/rooms/:room", func(req *core.Request, _ core.Next) error { return req.Reply(200, "") })
	link, err := app.Connect(core.Identity{Username: "alice", UUID: "phone"}, deaf{})
	if err != nil {
		tb.Fatal(err)
	}
	loop := core.NewLoop(func() {})
	msg := []byte(`{"method":"message","path":"/rooms/42","id":"1","data":{"text":"` + strings.Repeat("x", 220) + `"}}`)
	return func() { link.Receive(loop, msg) }
}

// slack is how many allocations more the race detector causes.
var slack float64

func TestWatchAllocatesNothing(t *testing.T) {
	const runs = 1000
	without := testing.AllocsPerRun(runs, benchReceive(t, nil))
	if n := testing.AllocsPerRun(runs, benchReceive(t, watcherGuest())); n > without+slack {
		t.Errorf("a watched request takes %v allocations, others %v", n, without)
	}
}

// deaf is a connection that nobody reads from.
type deaf struct{}

func (deaf) Send([]byte) error       { return nil }
func (deaf) Close(int, string) error { return nil }
func (deaf) Resume()                 {}
func (deaf) String() string          { return "deaf" }

// BenchmarkGo is a request through the Go guests: one that passes it on and is told that next has returned, and one that
// answers.
func BenchmarkGo(b *testing.B) {
	h, err := New(Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = h.Close() })
	m, err := h.Load(context.Background(), goGuest(b, "access", manifest(EventRequest, EventReturned).push("path", "param", "peer")), ModuleOptions{})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("pass", func(b *testing.B) {
		benchRequest(b, func(req *core.Request) {
			b.ReportAllocs()
			before := m.Stats()
			for b.Loop() {
				if err := m.Handle(req, func(...error) {}); err != nil {
					b.Fatal(err)
				}
			}
			after := m.Stats()
			b.ReportMetric(float64(after.Fuel-before.Fuel)/float64(after.Events["request"]-before.Events["request"]), "fuel/op")
		})
	})
	b.Run("instantiate", func(b *testing.B) { benchInstantiate(b, m) })
}

func BenchmarkInstantiate(b *testing.B) { benchInstantiate(b, benchModule(b, passer(0, nil))) }

func benchInstantiate(b *testing.B, m *Module) {
	v := m.current.Load()
	for b.Loop() {
		in, err := v.instantiate()
		if err != nil {
			b.Fatal(err)
		}
		in.close()
	}
	// What an instance takes, and what its memory has in pages.
	const n = 20
	all := make([]*instance, n)
	var before, after runtime.MemStats
	v.memories.mu.Lock()
	v.memories.free = nil
	v.memories.mu.Unlock()
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range all {
		var err error
		if all[i], err = v.instantiate(); err != nil {
			b.Fatal(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	pages := int64(all[0].memory.Size())
	b.ReportMetric(float64(int64(after.HeapAlloc-before.HeapAlloc)/n-pages), "B-host/instance")
	b.ReportMetric(float64(pages), "B-memory/instance")
	for _, in := range all {
		in.close()
	}
}

func BenchmarkLoad(b *testing.B) {
	file := passer(0, nil).bytes()
	h, err := New(Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = h.Close() }()
	for b.Loop() {
		m, err := h.Load(context.Background(), file, ModuleOptions{Grants: Capabilities()})
		if err != nil {
			b.Fatal(err)
		}
		_ = m.Close()
	}
}

// BenchmarkRunaway is how long each hostile module of one kind holds its request.
func BenchmarkRunaway(b *testing.B) {
	for _, name := range []string{"endless loop", "exponential calls", "endless recursion", "memory.fill", "memory.grow without end", "host calls", "kv storm"} {
		for _, h := range hostiles {
			if h.name != name {
				continue
			}
			b.Run(strings.ReplaceAll(name, " ", "-"), func(b *testing.B) {
				g := &guest{manifest: manifest(EventNotification).can(Capabilities()...)}
				h.build(g)
				m := benchModule(b, g)
				v := m.current.Load()
				b.ReportAllocs()
				for b.Loop() {
					in, err := v.instantiate()
					if err != nil {
						b.Fatal(err)
					}
					in.event.kind = EventNotification
					_ = v.perform(in, &turn{})
					in.close()
				}
			})
		}
	}
}
