package wasmhost

import (
	"context"
	"strings"
	"testing"

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
	for _, c := range []struct {
		name  string
		guest *guest
	}{
		{"pass", passer(0, nil)},
		{"change", passer(flagChanges, text(fieldPath, "/rooms/43"))},
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
