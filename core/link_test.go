package core

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
)

func TestLinkRequest(t *testing.T) {
	app := New(Options{})
	app.All("/echo", func(req *Request, _ Next) error { return req.Reply(200, "ok", req.Data()) })
	c := dial(t, app, "alice", "1")
	for _, id := range []string{`"abc"`, `7`, `0`, `9007199254740991`, `"\u0061"`, `"日本"`} {
		c.receive(`{"method":"x","path":"/echo","id":` + id + `,"data":[1.50]}`)
		c.want(t, `{"status":200,"reason":"ok","id":`+id+`,"data":[1.50]}`)
	}
}

func TestLinkSender(t *testing.T) {
	const spoofed = `{"method":"x","path":"/","id":"1","sender":{"username":"root","uuid":"0"}}`
	for _, tt := range []struct {
		trust bool
		text  string
		want  JSON
	}{
		{false, spoofed, `{"username":"al\"ice","uuid":"1"}`},
		{true, spoofed, `{"username":"root","uuid":"0"}`},
		{false, `{"method":"x","path":"/","id":"1"}`, `{"username":"al\"ice","uuid":"1"}`},
		{true, `{"method":"x","path":"/","id":"1"}`, ``},
	} {
		app := New(Options{TrustSender: tt.trust})
		var got JSON
		app.Use("/", func(req *Request, _ Next) error {
			got = req.Sender()
			return req.Reply(200, "ok")
		})
		dial(t, app, `al"ice`, "1").receive(tt.text)
		if got != tt.want {
			t.Errorf("trust %v: %s: got sender %s, want %s", tt.trust, tt.text, got, tt.want)
		}
	}
}

// TestLinkOrder blocks a handler: the requests that follow wait, in order, and the responses do not.
func TestLinkOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := New(Options{})
		var e events
		release := make(chan struct{})
		app.Message("/block", func(req *Request, _ Next) error {
			e.add("begin")
			<-release
			e.add("end")
			return req.Reply(200, "released")
		})
		app.Message("/:n", func(req *Request, _ Next) error {
			e.add("%s", req.Param("n"))
			return req.Reply(200, "ok")
		})
		c, other := dial(t, app, "alice", "1"), dial(t, app, "bob", "1")
		c.serve()
		c.write(ask("/block", "0", ""), ask("/1", "1", ""), ask("/2", "2", ""))
		settle()
		e.want(t, "begin")

		tr := c.peer().Send(NewRequest("message", "/", nil))
		c.write(answer(200, "ok", tr.ID()))
		<-tr.Done()
		if res := tr.Final(); res.IsLocal() {
			t.Errorf("got %d %s: responses wait behind requests", res.Status(), res.Reason())
		}
		other.receive(ask("/3", "3", ""))
		other.want(t, answer(200, "ok", "3"))
		e.want(t, "3")
		c.take()

		close(release)
		settle()
		e.want(t, "end", "1", "2")
		c.want(t, answer(200, "released", "0"), answer(200, "ok", "1"), answer(200, "ok", "2"))
		c.hangUp()
	})
}

// TestLinkPause fills the queue behind a handler, by number and by size.
func TestLinkPause(t *testing.T) {
	big := strconv.Quote(strings.Repeat("x", 60<<10))
	for _, tt := range []struct {
		name   string
		data   string
		paused int // requests in the queue when reading pauses
		resume int // and when it goes on
	}{
		{"number", "1", maxQueued, maxQueued / 2},
		{"size", big, maxQueuedSize/len(big) + 1, maxQueuedSize / 2 / len(big)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := New(Options{})
				step := make(chan struct{})
				handled := 0
				app.Message("/:n", func(req *Request, _ Next) error {
					<-step
					if req.Param("n") != strconv.Itoa(handled) {
						t.Errorf("got request %s, want %d", req.Param("n"), handled)
					}
					handled++
					return nil
				})
				c := dial(t, app, "alice", "1")
				c.serve()
				for i := range 2 * tt.paused {
					c.write(ask(fmt.Sprintf("/%d", i), "1", tt.data))
				}
				settle()
				if left := len(c.in); left != tt.paused-1 {
					t.Errorf("%d messages are not read, want %d", left, tt.paused-1)
				}
				for range tt.paused - tt.resume - 1 {
					step <- struct{}{}
				}
				settle()
				if n := c.count(&c.resumed); n != 0 {
					t.Errorf("reading went on too early")
				}
				step <- struct{}{}
				settle()
				if n := c.count(&c.resumed); n != 1 {
					t.Errorf("Resume was called %d times, want 1", n)
				}
				if left, want := len(c.in), tt.paused-1-(tt.paused-tt.resume); left != want {
					t.Errorf("%d messages are not read after going on, want %d", left, want)
				}
				close(step)
				settle()
				if handled != 2*tt.paused {
					t.Errorf("%d requests were handled, want %d", handled, 2*tt.paused)
				}
				c.hangUp()
			})
		})
	}
}

// TestLinkPauseTakenOver has another connection take over while the queue is full.
func TestLinkPauseTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := New(Options{})
		step := make(chan struct{})
		app.Use("/", func(req *Request, _ Next) error {
			<-step
			return req.Reply(200, "ok")
		})
		old := dial(t, app, "alice", "1")
		old.serve()
		for range 2 * maxQueued {
			old.write(ask("/", "old", ""))
		}
		settle()
		c := dial(t, app, "alice", "1")
		c.serve()
		c.write(ask("/", "1", ""), ask("/", "2", ""))
		settle()
		if left := len(c.in); left != 1 {
			t.Errorf("%d messages of the new connection are not read, want 1: the queue is still full", left)
		}
		close(step)
		settle()
		got := c.take()
		if len(got) != 1+maxQueued+2 || got[len(got)-1] != answer(200, "ok", "2") {
			t.Errorf("got %d responses, the last of them %s", len(got), got[len(got)-1])
		}
		if n := old.count(&old.resumed); n != 0 {
			t.Error("the old connection was told to go on")
		}
		old.Resume() // as the transport itself would, to end the paused reading
		old.hangUp()
		c.hangUp()
	})
}

func TestLinkRequestLimit(t *testing.T) {
	app := New(Options{MaxRequests: 2})
	var waiting []*Request
	app.Use("/", func(req *Request, _ Next) error {
		waiting = append(waiting, req)
		return nil
	})
	c, other := dial(t, app, "alice", "1"), dial(t, app, "bob", "1")
	for _, id := range []string{"1", "2", "3"} {
		c.receive(ask("/", id, ""))
	}
	c.want(t, answer(429, "too many requests in progress", "3"))
	other.receive(ask("/", "1", ""))
	if len(waiting) != 3 {
		t.Fatalf("%d requests were handled, want 3: the limit is one peer's", len(waiting))
	}
	if err := waiting[0].Reply(100, "working"); err != nil {
		t.Error(err)
	}
	c.take()
	c.receive(ask("/", "4", ""))
	c.want(t, answer(429, "too many requests in progress", "4"))
	if err := waiting[0].Reply(200, "ok"); err != nil {
		t.Error(err)
	}
	c.take()
	c.receive(ask("/", "5", ""))
	c.want(t)
}

func TestLinkRequestBytes(t *testing.T) {
	app := New(Options{MaxRequestBytes: 1000})
	var waiting []*Request
	app.Use("/", func(req *Request, _ Next) error {
		waiting = append(waiting, req)
		return nil
	})
	c := dial(t, app, "alice", "1")
	data := strconv.Quote(strings.Repeat("x", 2000))
	c.receive(ask("/", "1", data)) // larger than the limit, and alone
	c.receive(ask("/", "2", ""))
	c.want(t, answer(429, "too many bytes in progress", "2"))
	for _, req := range waiting {
		if err := req.Reply(200, "ok"); err != nil {
			t.Error(err)
		}
	}
	c.take()
	c.receive(ask("/", "3", data[:500]+`"`))
	c.receive(ask("/", "4", `{"unknown fields count":"`+data[1:300]+`"}`))
	c.receive(ask("/", "5", data[:500]+`"`))
	c.want(t, answer(429, "too many bytes in progress", "5"))
}

func TestLinkLimits(t *testing.T) {
	count := func(o Options) (n int) {
		app := New(o)
		app.Use("/", func(*Request, Next) error { return nil })
		c := dial(t, app, "alice", "1")
		for range 5000 {
			c.receive(ask("/", "1", ""))
			if len(c.take()) > 0 {
				break
			}
			n++
		}
		return n
	}
	if n := count(Options{}); n != 1024 {
		t.Errorf("%d requests may be in progress by default, want 1024", n)
	}
	if n := count(Options{MaxRequests: -1}); n != 5000 {
		t.Errorf("%d requests may be in progress without a limit", n)
	}
}

func TestLinkBadMessage(t *testing.T) {
	app := New(Options{})
	var e events
	app.OnBadMessage(func(*Peer, error) { panic("oops") })
	app.OnBadMessage(func(p *Peer, err error) { e.add("%v: %v", p, err) })
	app.OnRouteError(func(err error, req *Request) { e.add("error %v, request %v", err, req) })
	c := dial(t, app, "alice", "1")

	c.receive(`{"method":"message","id":"7"}`)
	const panicked = "error panic: oops, request <nil>"
	_, err := parse(`{"method":"message","id":"7"}`)
	c.want(t, fmt.Sprintf(`{"status":400,"reason":%s,"id":"7"}`, appendString(nil, err.Error())))
	e.want(t, panicked, "alice/1: "+err.Error())

	c.receive(`hello`)
	_, err = parse(`hello`)
	c.want(t)
	e.want(t, panicked, "alice/1: "+err.Error())

	c.link.ReceiveBad(c.loop, errors.New("binary message"))
	c.want(t)
	e.want(t, panicked, "alice/1: binary message")
	if n := app.Stats().BadMessages; n != 3 {
		t.Errorf("%d bad messages were counted, want 3", n)
	}
}

func parse(text string) (message, error) {
	var m message
	err := parseMessage([]byte(text), &m)
	return m, err
}

func TestLinkTooManyBadMessages(t *testing.T) {
	for _, tt := range []struct{ option, most int }{{0, 16}, {1, 1}, {3, 3}} {
		app := New(Options{MaxBadMessages: tt.option})
		c := dial(t, app, "alice", "1")
		for range tt.most - 1 {
			c.receive("bad")
		}
		c.wantClosed(t)
		c.receive("bad")
		c.wantClosed(t, "1007 too many bad messages")
	}
	app := New(Options{MaxBadMessages: -1})
	c := dial(t, app, "alice", "1")
	for range 1000 {
		c.receive("bad")
	}
	c.wantClosed(t)

	// Another connection of the same peer starts anew.
	app = New(Options{MaxBadMessages: 2})
	dial(t, app, "alice", "1").receive("bad")
	c = dial(t, app, "alice", "1")
	c.receive("bad")
	c.wantClosed(t)
}

func TestLinkStrayResponse(t *testing.T) {
	app := New(Options{})
	c, other := dial(t, app, "alice", "1"), dial(t, app, "bob", "1")
	tr := c.peer().Send(NewRequest("message", "/", nil))
	other.receive(answer(200, "not yours", tr.ID()))
	if tr.Final() != nil {
		t.Error("another peer's response was taken")
	}
	c.receive(answer(200, "ok", "nothing"))
	c.receive(answer(200, "ok", tr.ID()))
	c.receive(answer(200, "again", tr.ID()))
	if n := app.Stats().StrayResponses; n != 3 {
		t.Errorf("%d stray responses were counted, want 3", n)
	}
	if n, err := app.Broadcast("alice", "", NewRequest("message", "/", nil)); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	sent := c.take()
	m, err := parse(sent[len(sent)-1])
	if err != nil {
		t.Fatal(err)
	}
	c.receive(fmt.Sprintf(`{"status":200,"reason":"","id":%s}`, m.id))
	if n := app.Stats().StrayResponses; n != 3 {
		t.Error("the answer to a broadcast was counted as stray")
	}
}

// TestLinkDeaf gives messages of all kinds to a connection that was replaced, and to one that was closed.
func TestLinkDeaf(t *testing.T) {
	for name, end := range map[string]func(*App, *Peer){
		"replaced": func(app *App, _ *Peer) {
			if err := newFakeConn().connect(app, Identity{Username: "alice", UUID: "1"}); err != nil {
				t.Fatal(err)
			}
		},
		"closed": func(_ *App, p *Peer) {
			if err := p.Close(0, ""); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			app := New(Options{})
			app.Use("/", func(*Request, Next) error {
				t.Error("a request was handled")
				return nil
			})
			app.OnBadMessage(func(*Peer, error) { t.Error("a bad message was reported") })
			c := dial(t, app, "alice", "1")
			p := c.peer()
			tr := p.Send(NewRequest("message", "/", nil))
			end(app, p)
			var e events
			p.OnDisconnect(func(int, string) { e.add("disconnect") })
			app.OnOffline(func(*Peer) { e.add("offline") })
			c.take()
			for _, msg := range []string{ask("/", "1", ""), "bad", answer(200, "ok", tr.ID()), `{"method":"x","id":"2"}`} {
				if flow := c.receive(msg); flow != Continue {
					t.Errorf("flow: got %v", flow)
				}
			}
			c.link.Closed(1000, "")
			c.want(t)
			e.want(t)
			if res := tr.Final(); res != nil && !res.IsLocal() {
				t.Error("a response was taken")
			}
			if stats := app.Stats(); stats.BadMessages != 0 || stats.StrayResponses != 0 {
				t.Errorf("messages were counted: %+v", stats)
			}
		})
	}
}

// TestLinkQueueOutlivesConnection: what a client has asked for before it left is still done.
func TestLinkQueueOutlivesConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := New(Options{})
		var e, handled events
		e.watch(app)
		app.Message("/wait", func(req *Request, _ Next) error {
			<-req.Context().Done()
			handled.add("released: %v", req.Context().Err())
			return nil
		})
		app.Message("/next", func(req *Request, _ Next) error {
			handled.add("next: %v", req.Reply(200, "ok"))
			return nil
		})
		c := dial(t, app, "alice", "1")
		c.serve()
		c.write(ask("/wait", "1", ""), ask("/next", "2", ""))
		settle()
		c.hangUp()
		c.link.Closed(CloseGoingAway, "bye")
		settle()
		e.want(t, "online alice/1", "disconnect alice/1 1001 bye", "offline alice/1")
		handled.want(t, "released: context canceled", "next: core: peer is offline")
		c.want(t)
	})
}
