package core

import (
	"fmt"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// An eventLoop reads several connections on one loop.
type eventLoop struct {
	loop     *Loop
	messages chan input
	detached atomic.Int32
}

type input struct {
	link *Link
	text string
}

func newEventLoop() *eventLoop {
	e := &eventLoop{messages: make(chan input, 1<<14)}
	e.loop = NewLoop(e.read)
	return e
}

func (e *eventLoop) read() {
	for in := range e.messages {
		if e.receive(in) == Detached {
			e.detached.Add(1)
			return
		}
	}
}

func (e *eventLoop) receive(in input) Flow { return in.link.Receive(e.loop, []byte(in.text)) }

func (e *eventLoop) write(c *fakeConn, text string) { e.messages <- input{c.link, text} }

// TestLoopHandOver measures for how long a handler that blocks holds up other connections.
func TestLoopHandOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := New(Options{})
		release := make(chan struct{})
		app.Message("/block", func(req *Request, _ Next) error {
			<-release
			return req.Reply(200, "released")
		})
		reached := make(chan time.Duration, 100)
		began := time.Now()
		app.Message("/quick", func(req *Request, _ Next) error {
			reached <- time.Since(began)
			return req.Reply(200, "ok")
		})
		loop := newEventLoop()
		alice, bob := dial(t, app, "alice", "1"), dial(t, app, "bob", "1")
		go loop.read()

		loop.write(alice, ask("/block", "1", ""))
		loop.write(bob, ask("/quick", "1", ""))
		if held := <-reached; held == 0 || held > 2*loopTick {
			t.Errorf("a handler that blocks held up the loop for %v, want at most %v", held, 2*loopTick)
		}
		close(release)
		settle()
		alice.want(t, answer(200, "released", "1"))
		if n := loop.detached.Load(); n != 1 {
			t.Errorf("Receive answered Detached %d times, want 1", n)
		}

		// The handler is known to be slow now.
		release = make(chan struct{})
		for i := range 50 {
			carol := dial(t, app, "carol", strconv.Itoa(i))
			began = time.Now()
			loop.write(carol, ask("/block", "1", ""))
			loop.write(bob, ask("/quick", "1", ""))
			if held := <-reached; held != 0 {
				t.Errorf("a handler that is known to be slow held up the loop for %v", held)
			}
		}
		close(release)
		settle()
		if n := loop.detached.Load(); n != 51 {
			t.Errorf("Receive answered Detached %d times, want 51", n)
		}
		close(loop.messages)
	})
}

// TestLoopManyBlocked has a thousand handlers block on one loop, at once.
func TestLoopManyBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const peers = 1000
		app := New(Options{})
		release := make(chan struct{})
		var blocked atomic.Int32
		app.Use("/", func(_ *Request, next Next) error {
			next()
			return nil
		})
		app.Message("/block/:n", func(req *Request, _ Next) error {
			blocked.Add(1)
			<-release
			return req.Reply(200, "released")
		})
		reached := make(chan struct{})
		app.Message("/quick", func(*Request, Next) error {
			close(reached)
			return nil
		})
		loop := newEventLoop()
		var conns []*fakeConn
		for i := range peers {
			c := dial(t, app, "alice", strconv.Itoa(i))
			loop.write(c, ask(fmt.Sprintf("/block/%d", i), "1", ""))
			conns = append(conns, c)
		}
		last := dial(t, app, "bob", "1")
		loop.write(last, ask("/quick", "1", ""))
		began := time.Now()
		go loop.read()
		<-reached
		if held := time.Since(began); held > 4*loopTick {
			t.Errorf("%d handlers that block held up the loop for %v, want at most %v", peers, held, 4*loopTick)
		}
		synctest.Wait()
		if n := blocked.Load(); n != peers {
			t.Errorf("%d handlers have begun, want %d", n, peers)
		}
		close(release)
		settle()
		for _, c := range conns {
			c.want(t, answer(200, "released", "1"))
		}
		close(loop.messages)
	})
}

// TestLoopQuickAgain: a handler that was slow goes back to the loop when it has been quick for a while.
func TestLoopQuickAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := New(Options{})
		var pause time.Duration
		app.Use("/", func(req *Request, _ Next) error {
			time.Sleep(pause)
			return req.Reply(200, "ok")
		})
		loop := newEventLoop()
		c := dial(t, app, "alice", "1")
		go loop.read()
		handle := func(n int) (detached int32) {
			before := loop.detached.Load()
			for range n {
				loop.write(c, ask("/", "1", ""))
				settle()
			}
			return loop.detached.Load() - before
		}
		if n := handle(100); n != 0 {
			t.Errorf("a quick handler was detached %d times", n)
		}
		pause = 10 * loopTick
		if n := handle(3); n != 3 {
			t.Errorf("a slow handler was detached %d times out of 3", n)
		}
		pause = 0
		if n := handle(slowFor - 1); n != slowFor-1 {
			t.Errorf("a handler that was slow was detached %d times out of %d", n, slowFor-1)
		}
		pause = 2 * loopTick
		if n := handle(1); n != 1 {
			t.Error("a handler that was slow was not detached")
		}
		pause = 0
		if n := handle(1 + slowAgain); n != 1+slowAgain {
			t.Errorf("a handler that was slow again was detached %d times out of %d", n, 1+slowAgain)
		}
		if n := handle(100); n != 0 {
			t.Errorf("a handler that was quick for %d requests was detached %d times", slowFor, n)
		}
		if got := c.take(); len(got) != 204+slowFor+slowAgain {
			t.Errorf("%d responses were sent", len(got))
		}
		close(loop.messages)
	})
}

// TestLoopBlamesTheRightOne: middleware that waits for a slow handler below it, in next, is not slow itself.
func TestLoopBlamesTheRightOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := New(Options{})
		app.Use("/", func(_ *Request, next Next) error {
			next()
			return nil
		})
		app.Message("/slow", func(*Request, Next) error {
			time.Sleep(10 * loopTick)
			return nil
		})
		app.Message("/quick", func(req *Request, _ Next) error { return req.Reply(200, "ok") })
		loop := newEventLoop()
		c, other := dial(t, app, "alice", "1"), dial(t, app, "bob", "1")
		go loop.read()
		loop.write(c, ask("/slow", "1", ""))
		settle()
		if n := loop.detached.Load(); n != 1 {
			t.Fatalf("the slow handler was detached %d times", n)
		}
		for range 10 {
			loop.write(other, ask("/quick", "1", ""))
			settle()
		}
		if n := loop.detached.Load(); n != 1 {
			t.Errorf("requests that pass the same middleware were detached %d times", n-1)
		}
		close(loop.messages)
	})
}

// TestLoopMiddlewareAfterNext blocks in middleware after next has returned.
func TestLoopMiddlewareAfterNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := New(Options{})
		app.Use("/", func(_ *Request, next Next) error {
			next()
			time.Sleep(10 * loopTick)
			return nil
		})
		app.Message("/", func(req *Request, _ Next) error { return req.Reply(200, "ok") })
		loop := newEventLoop()
		go loop.read()
		for i := range 3 {
			c := dial(t, app, "alice", strconv.Itoa(i))
			loop.write(c, ask("/", "1", ""))
			settle()
			c.want(t, answer(200, "ok", "1"))
			if n := int(loop.detached.Load()); n != i+1 {
				t.Errorf("detached %d times after %d requests", n, i+1)
			}
		}
		var use, route int32
		for _, l := range app.Router.stack.Load().layers {
			if l.use != nil {
				use = l.use.slow.Load()
			} else {
				_, c := l.route.from(0, "message")
				route = c.slow.Load()
			}
		}
		if use == 0 || route != 0 {
			t.Errorf("the middleware's mark is %d, the handler's %d; only the first is slow", use, route)
		}
		close(loop.messages)
	})
}

func TestLoopGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := New(Options{})
		app.Message("/exit", func(*Request, Next) error {
			runtime.Goexit()
			return nil
		})
		app.Message("/exit/later", func(*Request, Next) error {
			time.Sleep(10 * loopTick)
			runtime.Goexit()
			return nil
		})
		app.Message("/quick", func(req *Request, _ Next) error { return req.Reply(200, "ok") })
		loop := newEventLoop()
		alice, bob := dial(t, app, "alice", "1"), dial(t, app, "bob", "1")
		go loop.read()
		for range 3 {
			for _, path := range []string{"/exit", "/exit/later"} {
				loop.write(alice, ask(path, "1", ""))
				loop.write(alice, ask("/quick", "2", ""))
				loop.write(bob, ask("/quick", "3", ""))
				if path == "/exit" {
					synctest.Wait() // at once, not after some ticks
				} else {
					settle()
				}
				alice.want(t, answer(200, "ok", "2"))
				bob.want(t, answer(200, "ok", "3"))
			}
		}
		close(loop.messages)
	})
}

// TestLoopListeners: responses and bad messages have listeners, which may block like handlers.
func TestLoopListeners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := New(Options{})
		release := make(chan struct{})
		app.OnBadMessage(func(*Peer, error) { <-release })
		app.Message("/quick", func(req *Request, _ Next) error { return req.Reply(200, "ok") })
		loop := newEventLoop()
		alice, bob := dial(t, app, "alice", "1"), dial(t, app, "bob", "1")
		go loop.read()
		tr := alice.peer().Send(NewRequest("message", "/", nil)).OnResponse(func(*Response) { <-release })
		for i, text := range []string{"bad", answer(200, "ok", tr.ID())} {
			loop.write(alice, text)
			loop.write(bob, ask("/quick", "1", ""))
			settle()
			bob.want(t, answer(200, "ok", "1"))
			if n := int(loop.detached.Load()); n != 0 {
				t.Errorf("Receive has returned %d times before %d listeners have", n, i+1)
			}
		}
		close(release)
		settle()
		if n := int(loop.detached.Load()); n != 2 {
			t.Errorf("Receive answered Detached %d times, want 2", n)
		}
		close(loop.messages)
	})
}

// TestLoopSlowListeners: listeners that block hold the loop up once, and not each time.
func TestLoopSlowListeners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := New(Options{})
		app.OnBadMessage(func(*Peer, error) { time.Sleep(10 * loopTick) })
		app.Message("/quick", func(req *Request, _ Next) error { return req.Reply(200, "ok") })
		loop := newEventLoop()
		bob := dial(t, app, "bob", "1")
		go loop.read()
		for i := range 10 {
			c := dial(t, app, "alice", strconv.Itoa(i))
			text := "bad"
			if i%2 == 1 {
				text = answer(200, "ok", c.peer().Send(NewRequest("message", "/", nil)).OnResponse(func(*Response) { time.Sleep(10 * loopTick) }).ID())
			}
			loop.write(c, text)
			loop.write(bob, ask("/quick", "1", ""))
			if i == 0 {
				settle()
			} else {
				synctest.Wait() // at once, not after some ticks
			}
			bob.want(t, answer(200, "ok", "1"))
		}
		settle()
		close(loop.messages)
	})
}

// TestLoopRest: a loop on which nothing happens costs nothing.
func TestLoopRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := New(Options{})
		app.Use("/", func(req *Request, _ Next) error { return req.Reply(200, "ok") })
		loop := newEventLoop()
		c := dial(t, app, "alice", "1")
		for range 3 {
			if flow := loop.receive(input{c.link, ask("/", "1", "")}); flow != Continue {
				t.Fatalf("flow: got %v", flow)
			}
			if loop.loop.care.Load() != closely {
				t.Error("nobody watches the loop while it is in use")
			}
			settle()
			if loop.loop.care.Load() != unwatched || !resting(app.watch) {
				t.Error("the timer goes on without work")
			}
		}
	})
}

// TestLoopUnderLoad hands a loop over at random moments; run it with -race.
func TestLoopUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const peers, each = 20, 200
		app := New(Options{})
		app.Use("/", func(_ *Request, next Next) error {
			next()
			return nil
		})
		counts := map[string]*int{}
		app.Message("/:n", func(req *Request, _ Next) error {
			count := counts[req.Peer().UUID()]
			if req.Param("n") != strconv.Itoa(*count) {
				t.Errorf("%v: got request %s, want %d", req.Peer(), req.Param("n"), *count)
			}
			*count++ // no lock: requests of one peer are handled one after the other
			if *count%7 == 0 {
				time.Sleep(time.Duration(*count) * loopTick / 50)
			}
			return req.Reply(200, "ok")
		})
		loop := newEventLoop()
		var conns []*fakeConn
		for i := range peers {
			counts[strconv.Itoa(i)] = new(int)
			conns = append(conns, dial(t, app, "alice", strconv.Itoa(i)))
		}
		go loop.read()
		for n := range each {
			for _, c := range conns {
				loop.write(c, ask(fmt.Sprintf("/%d", n), strconv.Itoa(n), ""))
			}
			if n%25 == 24 {
				settle() // so that no queue becomes full
			}
		}
		settle()
		for _, c := range conns {
			sent := c.take()
			if len(sent) != each {
				t.Errorf("%d responses were sent, want %d", len(sent), each)
			}
			for n, text := range sent {
				if text != answer(200, "ok", strconv.Itoa(n)) {
					t.Fatalf("response %d is %s", n, text)
				}
			}
		}
		close(loop.messages)
	})
}
