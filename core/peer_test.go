package core

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestPeer(t *testing.T) {
	app := New(Options{})
	c := newFakeConn()
	if err := c.connect(app, Identity{Username: "alice", UUID: "1", Data: map[string]any{"role": "admin"}}); err != nil {
		t.Fatal(err)
	}
	p := c.peer()
	if p.Username() != "alice" || p.UUID() != "1" || p.String() != "alice/1" || p.App() != app {
		t.Errorf("got %q, %q, %q, %p", p.Username(), p.UUID(), p.String(), p.App())
	}
	if p.Data().Get("role") != "admin" || !p.Connected() || p.Conn() != Conn(c) {
		t.Errorf("got role %v, connected %v, connection %v", p.Data().Get("role"), p.Connected(), p.Conn())
	}
	if app.Peer("alice", "1") != p {
		t.Error("the peer is not online")
	}
	if err := p.Close(0, ""); err != nil {
		t.Fatal(err)
	}
	if p.Connected() || p.Conn() != nil {
		t.Error("the peer is connected after Close")
	}
}

func TestPeerClose(t *testing.T) {
	for _, tt := range []struct {
		code   int
		reason string
		want   string // "" for an error
	}{
		{0, "", "1000 normal closure"},
		{0, "why", "1000 why"},
		{1000, "", "1000 "},
		{1001, "a", "1001 a"},
		{1008, "", "1008 "},
		{1014, "", "1014 "},
		{3000, "", "3000 "},
		{4999, "", "4999 "},
		{4000, strings.Repeat("x", 124), "4000 " + strings.Repeat("x", 123)},
		{4000, strings.Repeat("日", 50), "4000 " + strings.Repeat("日", 41)},
		{-1, "", ""},
		{999, "", ""},
		{1004, "", ""},
		{1005, "", ""},
		{1006, "", ""},
		{1015, "", ""},
		{2999, "", ""},
		{5000, "", ""},
	} {
		t.Run(fmt.Sprintf("%d %.10s", tt.code, tt.reason), func(t *testing.T) {
			c := dial(t, New(Options{}), "alice", "1")
			err := c.peer().Close(tt.code, tt.reason)
			if tt.want == "" {
				if err == nil || !c.peer().Connected() {
					t.Errorf("got error %v, connected %v", err, c.peer().Connected())
				}
				c.wantClosed(t)
				return
			}
			if err != nil {
				t.Error(err)
			}
			c.wantClosed(t, tt.want)
		})
	}
}

// TestPeerClosed is about what ends with a peer.
func TestPeerClosed(t *testing.T) {
	app := New(Options{GracePeriod: time.Hour})
	var e events
	e.watch(app)
	var waiting *Request
	app.Use("/", func(req *Request, _ Next) error {
		waiting = req
		return nil
	})
	c := dial(t, app, "alice", "1")
	p := c.peer()
	c.receive(ask("/", "1", ""))
	before, tr := waiting.Context(), p.Send(NewRequest("message", "/", nil))
	c.take()
	for range 2 {
		if err := p.Close(4000, "enough"); err != nil {
			t.Error(err)
		}
	}
	c.link.Closed(4000, "enough") // what the transport makes of it
	c.wantClosed(t, "4000 enough")
	e.want(t, "online alice/1", "disconnect alice/1 4000 enough", "offline alice/1")
	if app.Peer("alice", "1") != nil || app.Peers("", "", nil) != 0 || app.Stats().Peers != 0 {
		t.Error("the peer is still online")
	}
	if res := tr.Final(); res == nil || res.Status() != 410 || res.Reason() != "peer offline" || !res.IsLocal() {
		t.Errorf("the pending transaction got %+v", res)
	}
	if before.Err() == nil || waiting.Context().Err() == nil {
		t.Error("the request's context has not ended")
	}
	if res := p.Send(NewRequest("message", "/", nil)).Final(); res == nil || res.Status() != 410 {
		t.Errorf("Send: got %+v", res)
	}
	if err := waiting.Reply(200, "late"); err != ErrOffline {
		t.Errorf("Reply: got %v", err)
	}
	if n, err := app.Broadcast("", "", NewRequest("message", "/", nil)); n != 0 || err != nil {
		t.Errorf("Broadcast: got %d, %v", n, err)
	}
	c.want(t)
}

// TestPeerSize: a server may hold a million peers, each with a link. Objects of 320 and 352 bytes are also what every handshake leaves
// behind as garbage; peers among it would keep its memory in use.
func TestPeerSize(t *testing.T) {
	if size := reflect.TypeFor[Peer]().Size(); size > 288 {
		t.Errorf("a Peer has %d bytes, the budget is 288", size)
	}
	if size := reflect.TypeFor[Link]().Size(); size > 64 {
		t.Errorf("a Link has %d bytes, the budget is 64", size)
	}
}

func TestPeerLost(t *testing.T) {
	app := New(Options{})
	var e events
	e.watch(app)
	c := dial(t, app, "alice", "1")
	p := c.peer()
	p.OnDisconnect(func(int, string) {
		if p.Connected() || app.Peer("alice", "1") != p {
			t.Error("the peer is to be online, but not connected, when OnDisconnect is called")
		}
	})
	app.OnOffline(func(*Peer) {
		if app.Peer("alice", "1") != nil || app.Peers("alice", "", nil) != 0 {
			t.Error("the peer is still online when OnOffline is called")
		}
	})
	tr := p.Send(NewRequest("message", "/", nil))
	c.link.Closed(CloseAbnormal, "")
	e.want(t, "online alice/1", "disconnect alice/1 1006 ", "offline alice/1")
	if res := tr.Final(); res == nil || res.Status() != 410 {
		t.Errorf("the pending transaction got %+v", res)
	}
	if again := dial(t, app, "alice", "1"); again.peer() == p {
		t.Error("the peer has come back from the dead")
	}
}

func TestPeerTakeOver(t *testing.T) {
	app := New(Options{})
	var e events
	e.watch(app)
	var waiting *Request
	app.Use("/", func(req *Request, _ Next) error {
		waiting = req
		return nil
	})
	old := dial(t, app, "alice", "1")
	p := old.peer()
	p.Data().Set("old", 1)
	p.Data().Set("both", 1)
	old.receive(ask("/", "1", ""))
	ctx, tr := waiting.Context(), p.Send(NewRequest("message", "/", nil))
	old.take()

	c := newFakeConn()
	if err := c.connect(app, Identity{Username: "alice", UUID: "1", Data: map[string]any{"new": 2, "both": 2}}); err != nil {
		t.Fatal(err)
	}
	old.wantClosed(t, "3000 online elsewhere")
	old.link.Closed(CloseOnlineElsewhere, "online elsewhere")
	if c.peer() != p || !p.Connected() || p.Conn() != Conn(c) {
		t.Error("the peer is not the same, or not connected")
	}
	if d := p.Data(); d.Get("old") != 1 || d.Get("new") != 2 || d.Get("both") != 2 {
		t.Errorf("got data %v", d.Map())
	}
	if tr.Final() != nil || ctx.Err() != nil {
		t.Error("what was pending has ended")
	}
	c.receive(answer(200, "ok", tr.ID()))
	if res := tr.Final(); res == nil || res.Status() != 200 {
		t.Errorf("the pending transaction got %+v", res)
	}
	if err := waiting.Reply(200, "late"); err != nil {
		t.Error(err)
	}
	c.want(t, answer(200, "late", "1"))
	old.want(t)
	c.wantClosed(t)
	e.want(t, "online alice/1")
}

func TestPeerSlow(t *testing.T) {
	for _, drop := range []bool{false, true} {
		app := New(Options{DropWhenSlow: drop})
		var requests []*Request
		app.Use("/", func(req *Request, _ Next) error {
			requests = append(requests, req)
			return nil
		})
		c := dial(t, app, "alice", "1")
		p := c.peer()
		c.receive(ask("/", "1", ""))
		c.receive(ask("/", "2", ""))
		c.room = 0
		tr := p.Send(NewRequest("message", "/", nil))
		if res := tr.Final(); res == nil || res.Status() != 503 || res.Reason() != "peer too slow" || !res.IsLocal() {
			t.Errorf("drop %v: Send: got %+v", drop, res)
		}
		if drop {
			if err := requests[0].Reply(200, "lost"); err != ErrSlow {
				t.Errorf("Reply: got %v", err)
			}
			c.wantClosed(t)
			if n := app.Stats().Slow; n != 2 {
				t.Errorf("%d lost messages were counted, want 2", n)
			}
			c.room = -1
			if err := requests[1].Reply(200, "ok"); err != nil {
				t.Error(err)
			}
			c.want(t, answer(200, "ok", "2"))
			continue
		}
		c.wantClosed(t, "1013 too slow")
		if res := p.Send(NewRequest("message", "/", nil)).Final(); res == nil || res.Status() != 410 {
			t.Errorf("Send after that: got %+v", res)
		}
		if err := requests[0].Reply(200, "lost"); err != ErrOffline {
			t.Errorf("Reply: got %v", err)
		}
	}
}

// TestPeerReconnectsInOnDisconnect has a connection come while the loss of the one before is being announced.
func TestPeerReconnectsInOnDisconnect(t *testing.T) {
	for _, grace := range []time.Duration{0, time.Hour} {
		app := New(Options{GracePeriod: grace})
		var e events
		e.watch(app)
		old := dial(t, app, "alice", "1")
		c := newFakeConn()
		old.peer().OnDisconnect(func(int, string) {
			if c.link != nil {
				return
			}
			if err := c.connect(app, Identity{Username: "alice", UUID: "1"}); err != nil {
				t.Error(err)
			}
			e.add("connected")
		})
		old.peer().OnDisconnect(func(int, string) { e.add("second listener") })
		old.link.Closed(CloseAbnormal, "")
		e.want(t, "online alice/1", "disconnect alice/1 1006 ", "connected", "second listener", "reconnect alice/1")
		c.wantClosed(t)
		if c.peer() != old.peer() || app.Peer("alice", "1") != c.peer() || !c.peer().Connected() {
			t.Errorf("grace %v: the peer did not stay online", grace)
		}
	}
}

// TestPeerEventOrder has connections come and go at random, and looks at every peer's events.
func TestPeerEventOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := New(Options{GracePeriod: 5 * time.Millisecond})
		// What may follow each event. The online event is a peer's first one.
		follows := map[string]string{
			"online": "disconnect offline", "disconnect": "reconnect offline", "reconnect": "disconnect offline",
		}
		var mu sync.Mutex
		last, busy := map[*Peer]string{}, map[*Peer]bool{}
		note := func(p *Peer, event string) {
			mu.Lock()
			if busy[p] || event != "online" && !strings.Contains(follows[last[p]], event) {
				t.Errorf("%v: %s after %s, at the same time %v", p, event, last[p], busy[p])
			}
			last[p], busy[p] = event, true
			mu.Unlock()
			runtime.Gosched()
			mu.Lock()
			busy[p] = false
			mu.Unlock()
		}
		app.OnOnline(func(p *Peer) {
			note(p, "online")
			p.OnDisconnect(func(int, string) { note(p, "disconnect") })
			p.OnReconnect(func() { note(p, "reconnect") })
		})
		app.OnOffline(func(p *Peer) { note(p, "offline") })
		var running sync.WaitGroup
		for i := range 8 {
			running.Go(func() {
				random := rand.New(rand.NewPCG(1, uint64(i)))
				for range 200 {
					c := newFakeConn()
					if err := c.connect(app, Identity{Username: "alice", UUID: strconv.Itoa(random.IntN(2))}); err != nil {
						t.Error(err)
						return
					}
					time.Sleep(time.Duration(random.IntN(8)) * time.Millisecond)
					if random.IntN(4) == 0 {
						_ = c.peer().Close(0, "")
					}
					c.link.Closed(CloseAbnormal, "")
					time.Sleep(time.Duration(random.IntN(8)) * time.Millisecond)
				}
			})
		}
		running.Wait()
		settle()
		for p, event := range last {
			if event != "offline" {
				t.Errorf("%v: the last event was %s", p, event)
			}
		}
		if n := app.Stats().Peers; n != 0 {
			t.Errorf("%d peers are still known", n)
		}
	})
}
