package coretest

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/protoo-go/protoo/core"
)

var handlerTests = []test{
	{"blocked", testBlocked},
	{"blocked for many", testManyBlocked},
	{"queue full", testQueueFull},
	{"queue full again and again", testQueueFullAgain},
	{"closed while the queue is full", testCloseWhileQueueFull},
	{"asks its own peer", testAskOwnPeer},
	{"next later", testNextLater},
	{"ends its goroutine", testGoexit},
}

// block adds a route /block whose handler does not return before release is closed, and a
// route /note that says which requests were handled.
func (s *server) block() (release chan struct{}) {
	release = make(chan struct{})
	s.app.Message("/block", func(req *core.Request, _ core.Next) error {
		s.journal.add("block %v", req.Peer())
		select {
		case <-release:
		case <-s.ctx.Done():
		}
		return req.Reply(200, "released")
	})
	s.app.Message("/note", func(req *core.Request, _ core.Next) error {
		return req.Reply(200, "noted")
	})
	return release
}

// detain has a handler block for alice, and makes sure that her connection is read on.
func (s *server) detain(alice *client) {
	s.t.Helper()
	alice.send(request("/block", "block", nil))
	s.await("online alice/1", "online bob/1", "block alice/1")
	tr := s.app.Peer("alice", "1").Send(core.NewRequest("message", "/", "responses arrive"))
	alice.answer(alice.receive())
	s.final(tr, 200, "ok")
}

func testBlocked(t *testing.T, start Start) {
	s := newServer(t, start, core.Options{}, byQuery)
	release := s.block()
	c, other := s.connect("alice", "1"), s.connect("bob", "1")
	s.detain(c)
	const waiting = 30
	for i := range waiting {
		c.send(request("/note", strconv.Itoa(i), nil))
	}
	other.echo("others are served")
	tr := s.app.Peer("alice", "1").Send(core.NewRequest("message", "/", "responses overtake requests"))
	c.answer(c.receive())
	s.final(tr, 200, "ok")

	close(release)
	if m := c.receive(); m.ID != "block" {
		t.Errorf("the client got %s, want the response to block", m.encode())
	}
	for i := range waiting {
		if m := c.receive(); m.ID != strconv.Itoa(i) {
			t.Fatalf("the client got %s, want the response to %d", m.encode(), i)
		}
	}
}

func testManyBlocked(t *testing.T, start Start) {
	s := newServer(t, start, core.Options{}, byQuery)
	release := s.block()
	const blocked = 50
	var clients []*client
	for i := range blocked {
		clients = append(clients, s.connect("alice", strconv.Itoa(i)))
	}
	other := s.connect("bob", "1")
	for _, c := range clients {
		c.send(request("/block", "1", nil))
		other.echo("others are served")
	}
	s.until("all handlers", func(got []string) bool { return len(got) == 2*blocked+1 })
	other.echo("others are served")
	close(release)
	for _, c := range clients {
		if m := c.receive(); m.Reason != "released" {
			t.Errorf("the client got %s", m.encode())
		}
	}
}

// testQueueFull fills the queue behind a handler. What comes then must not be read until there is room: not even
// a bad message.
func testQueueFull(t *testing.T, start Start) {
	for _, flood := range []struct{ count, size int }{{1000, 10}, {20, 32 << 10}} {
		t.Run(fmt.Sprint(flood.count), func(t *testing.T) {
			s := newServer(t, start, core.Options{}, byQuery)
			release := s.block()
			c, other := s.connect("alice", "1"), s.connect("bob", "1")
			s.detain(c)
			data := strings.Repeat("x", flood.size)
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				for i := range flood.count {
					c.send(request("/note", strconv.Itoa(i), data))
				}
				_ = c.Send([]byte("bad"))
			}()
			// Sending may have to wait for the server. One that goes on reading has the time for it now.
			for round, done := 0, false; round < 1000 && !done; round++ {
				other.echo("others are served")
				select {
				case <-sent:
					done = true
				default:
				}
			}
			for range 200 {
				other.echo("others are served")
			}
			tr := s.app.Peer("alice", "1").Send(core.NewRequest("message", "/", "sending goes on"))
			asked := c.receive()
			if n := s.app.Stats().BadMessages; n != 0 {
				t.Error("the server went on reading")
			}

			close(release)
			if m := c.receive(); m.ID != "block" {
				t.Errorf("the client got %s, want the response to block", m.encode())
			}
			for i := range flood.count {
				if m := c.receive(); m.ID != strconv.Itoa(i) {
					t.Fatalf("the client got %s, want the response to %d", m.encode(), i)
				}
			}
			s.wait("the last message", sent)
			c.answer(asked)
			s.final(tr, 200, "ok")
			if n := s.app.Stats().BadMessages; n != 1 {
				t.Errorf("%d bad messages were read, want 1", n)
			}
		})
	}
}

// testQueueFullAgain has reading pause and go on many times, at any moment: in the second flood whenever
// the server has read some requests more than it has handled.
func testQueueFullAgain(t *testing.T, start Start) {
	for _, flood := range []struct{ total, size, block, window int }{
		{5000, 10, 200, 1000},
		{300, 32 << 10, 300, 24},
	} {
		t.Run(fmt.Sprint(flood.total), func(t *testing.T) {
			s := newServer(t, start, core.Options{}, byQuery)
			handled := 0 // no lock: the requests of a peer are handled one after the other
			proceed := make(chan struct{})
			s.app.Message("/count", func(req *core.Request, _ core.Next) error {
				if handled%flood.block == 0 {
					select {
					case <-proceed:
					case <-s.ctx.Done():
					}
				}
				number, pad := -1, "" // which take longer to decode than to receive
				if err := req.Bind(&[]any{&number, &pad}); err != nil || number != handled {
					t.Errorf("the server got request %.10s (error %v), want %d", req.Data(), err, handled)
				}
				handled++
				return req.Reply(200, "ok")
			})
			c, other := s.connect("alice", "1"), s.connect("bob", "1")
			pending := make(slots, flood.window)
			go func() {
				pad := strings.Repeat("x", flood.size)
				for i := 0; i < flood.total && pending.take(s.ctx); i++ {
					_ = c.Send(fmt.Appendf(nil, `{"method":"message","path":"/count","id":"%d","data":[%d,"%s"]}`, i, i, pad))
				}
			}()
			for i := range flood.total {
				if i%flood.block == 0 {
					other.echo("others are served")
					select {
					case proceed <- struct{}{}:
					case <-s.ctx.Done():
					}
				}
				if m := c.receive(); m.ID != strconv.Itoa(i) {
					t.Fatalf("the client got %s, want the response to %d", m.encode(), i)
				}
				pending.free()
			}
		})
	}
}

func testCloseWhileQueueFull(t *testing.T, start Start) {
	s := newServer(t, start, core.Options{}, byQuery)
	release := s.block()
	defer close(release)
	c, other := s.connect("alice", "1"), s.connect("bob", "1")
	s.detain(c)
	for i := range 500 {
		c.send(request("/note", strconv.Itoa(i), nil))
	}
	for range 50 {
		other.echo("others are served")
	}
	if err := s.app.Peer("alice", "1").Close(4000, "enough"); err != nil {
		t.Fatal(err)
	}
	c.wantClosed(4000, "enough")
	s.until("offline", func(got []string) bool { return got[len(got)-1] == "offline alice/1" })
}

func testAskOwnPeer(t *testing.T, start Start) {
	s := newServer(t, start, core.Options{}, byQuery)
	ask := func(wait func(*core.Request) context.Context) core.Handler {
		return func(req *core.Request, _ core.Next) error {
			tr := req.Peer().Send(core.NewRequest("message", "/question", req.Data()))
			res, err := tr.Wait(wait(req))
			if err != nil {
				return err
			}
			return req.Reply(res.Status(), res.Reason(), res.Data())
		}
	}
	s.app.Message("/with/context", ask((*core.Request).Context))
	s.app.Message("/without", ask(func(*core.Request) context.Context { return s.ctx }))
	c, other := s.connect("alice", "1"), s.connect("bob", "1")
	for i, path := range strings.Fields(strings.Repeat("/with/context /without ", 20)) {
		c.send(request(path, strconv.Itoa(i), i))
		c.send(request("/echo", "behind it", i))
		question := c.receive()
		if question.Path != "/question" || question.number() != i {
			t.Fatalf("the client got %s, want question %d", question.encode(), i)
		}
		other.echo("others are served")
		c.answer(question)
		if m := c.receive(); m.ID != strconv.Itoa(i) || m.Status != 200 || m.number() != i {
			t.Fatalf("the client got %s, want the response to %d", m.encode(), i)
		}
		if m := c.receive(); m.ID != "behind it" {
			t.Fatalf("the client got %s, want the echo", m.encode())
		}
	}
}

func testNextLater(t *testing.T, start Start) {
	s := newServer(t, start, core.Options{}, byQuery)
	gate := make(chan struct{})
	s.app.Use("/later", func(_ *core.Request, next core.Next) error {
		go func() {
			select {
			case <-gate:
				next()
			case <-s.ctx.Done():
			}
		}()
		return nil
	})
	s.app.Message("/later/:number", func(req *core.Request, _ core.Next) error {
		return req.Reply(200, "ok", req.Param("number"))
	})
	c := s.connect("alice", "1")
	const waiting = 100
	for i := range waiting {
		c.send(request(fmt.Sprintf("/later/%d", i), strconv.Itoa(i), nil))
	}
	c.echo("overtakes them")
	close(gate)
	seen := map[string]bool{}
	for range waiting {
		m := c.receive()
		if want := strconv.Quote(m.ID); m.Status != 200 || string(m.Data) != want || seen[m.ID] {
			t.Fatalf("the client got %s", m.encode())
		}
		seen[m.ID] = true
	}
}

func testGoexit(t *testing.T, start Start) {
	s := newServer(t, start, core.Options{}, byQuery)
	s.app.Message("/exit", func(req *core.Request, _ core.Next) error {
		if err := req.Reply(200, "exit"); err != nil {
			t.Error(err)
		}
		runtime.Goexit()
		return nil
	})
	c, other := s.connect("alice", "1"), s.connect("bob", "1")
	for i := range 10 {
		id := strconv.Itoa(i)
		if m := c.call(request("/exit", id, nil)); m.Reason != "exit" {
			t.Fatalf("the client got %s", m.encode())
		}
		c.echo("reading goes on")
		other.echo("others are served")
	}
}
