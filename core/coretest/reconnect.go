package coretest

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/protoo-go/protoo/core"
)

var reconnectTests = []test{
	{"take-over", testTakeOver},
	{"take-over while sending", testTakeOverWhileSending},
	{"many take-overs", testManyTakeOvers},
	{"within the grace period", testGrace},
	{"after the grace period", testGraceExpires},
}

func testTakeOver(t *testing.T, start Start) {
	s := newServer(t, start, core.Options{}, byQuery)
	s.app.Message("/pending", func(req *core.Request, _ core.Next) error {
		req.Peer().Data().Set("pending", req)
		return nil
	})
	old := s.connect("alice", "1")
	peer := s.app.Peer("alice", "1")
	tr := peer.Send(core.NewRequest("message", "/", nil))
	asked := old.receive()
	old.send(request("/pending", "pending", nil))
	old.echo("handled")

	c := s.connect("alice", "1")
	old.wantClosed(core.CloseOnlineElsewhere, "online elsewhere")
	if s.app.Peer("alice", "1") != peer || !peer.Connected() {
		t.Error("the peer is not the same any more")
	}
	c.answer(asked)
	s.final(tr, 200, "ok")

	if err := peer.Data().Get("pending").(*core.Request).Reply(200, "late"); err != nil {
		t.Error(err)
	}
	if m := c.receive(); m.ID != "pending" || m.Reason != "late" {
		t.Errorf("the new connection got %s", m.encode())
	}
	tr = peer.Send(core.NewRequest("message", "/", nil))
	c.answer(c.receive())
	s.final(tr, 200, "ok")
	s.await("online alice/1")
}

// testTakeOverWhileSending makes sure that a connection that was replaced is deaf.
func testTakeOverWhileSending(t *testing.T, start Start) {
	s := newServer(t, start, core.Options{}, byQuery)
	s.app.Message("/from/:connection", func(req *core.Request, _ core.Next) error {
		s.journal.add("%s", req.Param("connection"))
		return req.Reply(200, "ok")
	})
	old := s.connect("alice", "1")
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	pending := make(slots, window)
	running.Go(func() {
		for pending.take(s.ctx) && old.Send(request("/from/old", "old", nil).encode()) == nil {
		}
	})
	warm, end := make(chan struct{}), make(chan error, 1)
	running.Go(func() {
		for i := 0; ; i++ {
			if _, err := old.next(); err != nil {
				end <- err
				return
			}
			pending.free()
			if i == window {
				close(warm)
			}
		}
	})
	s.wait("the first responses", warm)
	conn, err := s.dial(s.ctx, "/", url.Values{"username": {"alice"}, "uuid": {"1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Drop)
	c := &client{conn, t, s.ctx}
	for range 100 {
		c.send(request("/from/new", "new", nil))
		for c.receive().ID == "old" { // what the old connection has asked is answered on the new one
		}
	}
	if err := <-end; err != (Closed{core.CloseOnlineElsewhere, "online elsewhere"}) {
		t.Errorf("the old connection: got %v", err)
	}
	events, _ := s.journal.read()
	from := slices.Index(events, "new")
	if slices.Contains(events[from:], "old") || len(events)-from != 100 {
		t.Errorf("requests of the old connection were handled after the new one's: %q", events[from:])
	}
}

func testManyTakeOvers(t *testing.T, start Start) {
	s := newServer(t, start, core.Options{}, byQuery)
	const total = 20
	var dialing sync.WaitGroup
	ends := make(chan Closed, total)
	for range total {
		dialing.Go(func() {
			conn, err := s.dial(s.ctx, "/", url.Values{"username": {"alice"}, "uuid": {"1"}})
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(conn.Drop)
			c := &client{conn, t, s.ctx}
			_ = c.Send(request("/echo", "1", nil).encode()) // fails after a take-over
			dialing.Go(func() {
				for {
					if _, err := c.next(); err != nil {
						end, _ := err.(Closed)
						ends <- end
						return
					}
				}
			})
		})
	}
	for range total - 1 {
		select {
		case end := <-ends:
			if want := (Closed{core.CloseOnlineElsewhere, "online elsewhere"}); end != want {
				t.Errorf("got %v, want %v", end, want)
			}
		case <-s.ctx.Done():
			t.Fatal("too few connections were closed")
		}
	}
	peer := s.app.Peer("alice", "1")
	if peer == nil {
		t.Fatal("the last connection did not stay")
	}
	s.await("online alice/1")
	if err := peer.Close(4000, "enough"); err != nil {
		t.Fatal(err)
	}
	dialing.Wait()
	if end := <-ends; end != (Closed{4000, "enough"}) {
		t.Errorf("the last connection: got %v", end)
	}
}

func testGrace(t *testing.T, start Start) {
	s := newServer(t, start, core.Options{GracePeriod: patience}, byQuery)
	s.app.Message("/later", func(req *core.Request, _ core.Next) error {
		req.Peer().Data().Set("later", req)
		return nil
	})
	c := s.connect("alice", "1")
	peer := s.app.Peer("alice", "1")
	answered := peer.Send(core.NewRequest("message", "/", "before"))
	asked := c.receive()
	c.send(request("/later", "later", nil))
	c.echo("handled")
	c.Drop()
	got := s.until("the loss", func(got []string) bool { return len(got) >= 2 })
	if want := fmt.Sprintf("disconnect alice/1 %d", core.CloseAbnormal); !strings.HasPrefix(got[1], want) {
		t.Errorf("got events %q", got)
	}
	if peer.Connected() || s.app.Peer("alice", "1") != peer || s.app.Peers("alice", "", nil) != 1 {
		t.Error("a peer in its grace period is online, but not connected")
	}

	var held []*core.Transaction
	for i := range 10 {
		held = append(held, peer.Send(core.NewRequest("message", "/", i)))
		if i == 5 {
			if err := peer.Data().Get("later").(*core.Request).Reply(200, "later"); err != nil {
				t.Error(err)
			}
			expired := core.NewRequest("message", "/", "expired")
			expired.SetTimeout(time.Millisecond)
			s.final(peer.Send(expired), 408, "sending timeout")
			canceled := peer.Send(core.NewRequest("message", "/", "canceled"))
			canceled.Cancel()
			s.final(canceled, 487, "canceled")
		}
	}

	conn, err := s.dial(s.ctx, "/", url.Values{"username": {"alice"}, "uuid": {"1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Drop)
	c = &client{conn, t, s.ctx}
	for i := range held {
		m := c.receive()
		if m.number() != i {
			t.Fatalf("the client got %s, want request %d", m.encode(), i)
		}
		c.answer(m)
		if i == 5 {
			if m := c.receive(); m.ID != "later" || m.Status != 200 {
				t.Fatalf("the client got %s, want the response", m.encode())
			}
		}
	}
	for _, tr := range held {
		s.final(tr, 200, "ok")
	}
	c.answer(asked)
	s.final(answered, 200, "ok")
	c.echo("back")
	s.await(got[0], got[1], "reconnect alice/1")

	// Whoever is closed by the application gets no grace.
	if err := peer.Close(0, ""); err != nil {
		t.Fatal(err)
	}
	s.until("offline", func(got []string) bool { return got[len(got)-1] == "offline alice/1" })
}

func testGraceExpires(t *testing.T, start Start) {
	s := newServer(t, start, core.Options{GracePeriod: 20 * time.Millisecond}, byQuery)
	c := s.connect("alice", "1")
	peer := s.app.Peer("alice", "1")
	if err := c.Close(core.CloseGoingAway, "page reload"); err != nil {
		t.Fatal(err)
	}
	s.until("the loss", func(got []string) bool { return len(got) >= 2 })
	tr := peer.Send(core.NewRequest("message", "/", nil))
	s.await("online alice/1", "disconnect alice/1 1001 page reload", "offline alice/1")
	s.final(tr, 410, "peer offline")
	s.connect("alice", "1")
	if s.app.Peer("alice", "1") == peer {
		t.Error("the peer has come back from the dead")
	}
}
