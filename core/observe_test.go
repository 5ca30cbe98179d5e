package core

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
)

// observing returns an observer that writes down what it is told.
func observing(seen *events) *Observer {
	return &Observer{
		Request:     func(route string, status int, took time.Duration) { seen.add("%q %d %v", route, status, took) },
		Transaction: func(final *Response, took time.Duration) { seen.add("%d %v %v", final.Status(), final.IsLocal(), took) },
	}
}

// TestRoute asks for the route of requests that end in all ways there are.
func TestRoute(t *testing.T) {
	var seen events
	app := New(Options{Observe: observing(&seen)})
	reply := func(req *Request, _ Next) error { return req.Reply(200, "") }
	fail := func(*Request, Next) error { return Error(403, "no") }
	pass := func(_ *Request, next Next) error {
		next()
		return nil
	}
	app.Use("/", pass)
	app.Message("/top/:id", reply)
	app.Message("/fails/:id", fail)
	app.Message("/passes/:id", pass)
	app.UseOn(AnyOf(Path("/any"), Regexp(regexp.MustCompile("^/re"))), reply)

	inner := app.NewRouter(RouterOptions{})
	inner.Use("/", pass)
	inner.Message("/", reply)
	inner.Message("/:id", reply)
	inner.Message("/:id/fails", fail)
	app.Use("/rooms", inner.Handle)
	app.Use("/:building/rooms", inner.Handle)
	outer := app.NewRouter(RouterOptions{})
	outer.Use("/deep", inner.Handle)
	app.Use("/", outer.Handle)
	app.Use("/guarded", fail)
	app.Use("/slash/", reply)
	app.Catch("/caught", func(_ error, req *Request, _ Next) error { return req.Reply(499, "") })
	app.Use("/caught", func(*Request, Next) error { return errors.New("broken") })
	app.Catch("/caught", func(_ error, req *Request, _ Next) error { return req.Reply(499, "") })
	app.Use("/mended", inner.Handle, fail)
	app.Catch("/mended", func(_ error, _ *Request, next Next) error {
		next()
		return nil
	})
	app.Use("/mended", reply)

	c := dial(t, app, "alice", "1")
	for _, test := range []struct {
		path, route string
		status      int
	}{
		{"/top/1", "/top/:id", 200},
		{"/top/2", "/top/:id", 200},
		{"/fails/1", "/fails/:id", 403},
		{"/passes/1", "", 404},
		{"/nobody", "", 404},
		{"/any/thing", "[/any regexp(^/re)]", 200},
		{"/rooms", "/rooms", 200},
		{"/rooms/1", "/rooms/:id", 200},
		{"/rooms/1/fails", "/rooms/:id/fails", 403},
		{"/rooms/1/fails/", "/rooms/:id/fails", 403},
		{"/rooms/1/2/3", "", 404},
		{"/north/rooms/1", "/:building/rooms/:id", 200},
		{"/south/rooms/2", "/:building/rooms/:id", 200},
		{"/deep/1", "/deep/:id", 200},
		{"/guarded/1", "/guarded", 403},
		{"/slash/1", "/slash/", 200},
		{"/caught", "/caught", 499},
		{"/mended/1/2", "/mended", 200},
		{"/top/%zz", "/top/:id", 400},
	} {
		c.receive(ask(test.path, "1", ""))
		c.take()
		t.Run(test.path, func(t *testing.T) {
			seen.mu.Lock()
			list := seen.list
			seen.list = nil
			seen.mu.Unlock()
			var route string
			var status int
			if len(list) != 1 {
				t.Fatalf("observed %q", list)
			}
			if _, err := fmt.Sscanf(list[0], "%q %d", &route, &status); err != nil {
				t.Fatal(err)
			}
			if route != test.route || status != test.status {
				t.Errorf("observed %s, want %q %d", list[0], test.route, test.status)
			}
		})
	}
	if route := NewRequest("message", "/top/1", nil).Route(); route != "" {
		t.Errorf("a request that was not received has the route %q", route)
	}
}

func TestRouteIsMadeOnce(t *testing.T) {
	app := New(Options{})
	var route string
	inner := app.NewRouter(RouterOptions{})
	inner.Message("/:id", func(req *Request, _ Next) error {
		if n := testing.AllocsPerRun(10, func() { route = req.Route() }); n != 0 {
			t.Errorf("a route takes %v allocations", n)
		}
		return req.Reply(200, "")
	})
	app.Use("/rooms", inner.Handle)
	dial(t, app, "alice", "1").receive(ask("/rooms/1", "1", ""))
	if route != "/rooms/:id" {
		t.Errorf("got %q", route)
	}
}

// TestRequestSize keeps requests in the size class that they are in: the next one has 512 bytes.
func TestRequestSize(t *testing.T) {
	if size := unsafe.Sizeof(Request{}); unsafe.Sizeof(uintptr(0)) == 8 && size > 480 {
		t.Errorf("a Request has %d bytes", size)
	}
}

func TestObserveTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen events
		app := New(Options{Observe: observing(&seen), MaxRequests: 1})
		app.Message("/later", func(req *Request, _ Next) error {
			time.AfterFunc(3*time.Second, func() { _ = req.Reply(200, "") })
			return nil
		})
		c := dial(t, app, "alice", "1")
		c.receive(ask("/later", "1", ""))
		c.receive(ask("/later", "2", "")) // one too many
		seen.want(t, `"" 429 0s`)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		seen.want(t, `"/later" 200 3s`)

		peer := c.peer()
		c.take()
		req := NewRequest("message", "/", nil)
		_ = req.SetID("a")
		peer.Send(req)
		time.Sleep(2 * time.Second)
		c.receive(answer(100, "", "a"))
		c.receive(answer(486, "busy", "a"))
		seen.want(t, "486 false 2s")
		peer.Send(NewRequest("message", "/", nil))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		seen.want(t, "408 true 10s")
		peer.Send(NewRequest("message", "nowhere", nil))
		seen.want(t, "400 true 0s")
		peer.Send(NewRequest("message", "/", nil))
		_ = peer.Close(0, "")
		seen.want(t, "410 true 0s")
		peer.Send(NewRequest("message", "/", nil))
		seen.want(t, "410 true 0s")
	})
}

func TestObserveDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen events
		app := New(Options{Observe: observing(&seen)})
		app.Message("/never", func(*Request, Next) error { return nil })
		c := dial(t, app, "alice", "1")
		c.receive(ask("/never", "1", ""))
		time.Sleep(time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := c.peer().Drain(ctx, CloseRestart, "restart"); err != context.Canceled {
			t.Fatal(err)
		}
		seen.want(t, `"" 503 1s`)
	})
}

// queued is a connection with so many bytes to write.
type queued struct {
	null
	bytes int
}

func (q *queued) Queued() int { return q.bytes }

func TestBacklog(t *testing.T) {
	app := New(Options{GracePeriod: time.Minute})
	app.Message("/never", func(*Request, Next) error { return nil })
	if got := app.Backlog(); got != (Backlog{}) {
		t.Errorf("nobody has %+v", got)
	}
	for i, bytes := range []int{10, 500} {
		if _, err := app.Connect(Identity{Username: "queued", UUID: fmt.Sprint(i)}, &queued{bytes: bytes}); err != nil {
			t.Fatal(err)
		}
	}
	alice, bob := dial(t, app, "alice", "1"), dial(t, app, "bob", "1")
	alice.receive(ask("/never", "1", ""))
	alice.receive(ask("/never", "2", ""))
	bob.receive(ask("/never", "1", ""))
	req := NewRequest("message", "/", nil)
	alice.peer().Send(req)
	bob.link.Closed(CloseAbnormal, "")
	bob.peer().Send(req)
	held := len(alice.take()[0])
	if got, want := app.Backlog(), (Backlog{Requests: 3, Transactions: 2, Held: held, Queued: 510}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	_ = app.Close(false)
	if got := app.Backlog(); got != (Backlog{}) {
		t.Errorf("after the end there is %+v", got)
	}
}

func BenchmarkDispatchObserved(b *testing.B) {
	app := threeMiddlewares()
	var requests int
	app.observe = Observer{Request: func(string, int, time.Duration) { requests++ }}
	dispatch, _ := dispatcher(b, app, "/users/bob")
	b.ReportAllocs()
	for b.Loop() {
		dispatch()
	}
	if requests < b.N {
		b.Fatalf("observed %d of %d requests", requests, b.N)
	}
}

func TestObservedDispatchAllocs(t *testing.T) {
	app := threeMiddlewares()
	app.observe = Observer{Request: func(string, int, time.Duration) {}}
	plain, _ := dispatcher(t, threeMiddlewares(), "/users/bob")
	observed, _ := dispatcher(t, app, "/users/bob")
	if without, with := testing.AllocsPerRun(1000, plain), testing.AllocsPerRun(1000, observed); with > without {
		t.Errorf("an observed request takes %v allocations, %v without", with, without)
	}
}

// TestReadTogether has requests that were read at once: the second waits for the first.
func TestReadTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen events
		app := New(Options{Observe: observing(&seen)})
		app.Message("/", func(req *Request, _ Next) error {
			time.Sleep(time.Millisecond)
			return req.Reply(200, "")
		})
		c := dial(t, app, "alice", "1")
		for range 2 {
			c.loop.Read()
			c.receive(ask("/", "1", ""))
			c.receive(ask("/", "2", ""))
			time.Sleep(time.Second)
		}
		seen.want(t, `"/" 200 1ms`, `"/" 200 2ms`, `"/" 200 1ms`, `"/" 200 2ms`)
	})
}
