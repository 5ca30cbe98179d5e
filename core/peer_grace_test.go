package core

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestPeerGrace(t *testing.T) {
	const grace = 10 * time.Second
	for _, tt := range []struct {
		name    string
		away    time.Duration
		offline bool
	}{
		{"back in time", grace - 1, false},
		{"too late", grace + 1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := New(Options{GracePeriod: grace})
				var e events
				e.watch(app)
				c := dial(t, app, "alice", "1")
				p := c.peer()
				ctx := p.context()
				// Earlier losses must not count.
				for range 3 {
					c.link.Closed(CloseAbnormal, "")
					if p.Connected() || p.Conn() != nil || app.Peer("alice", "1") != p || app.Peers("alice", "", nil) != 1 {
						t.Error("a peer in its grace period is online, but not connected")
					}
					time.Sleep(grace - 1)
					c = dial(t, app, "alice", "1")
					if c.peer() != p {
						t.Error("another peer has come back")
					}
				}
				e.want(t, "online alice/1", "disconnect alice/1 1006 ", "reconnect alice/1", "disconnect alice/1 1006 ",
					"reconnect alice/1", "disconnect alice/1 1006 ", "reconnect alice/1")
				time.Sleep(2 * grace)

				c.link.Closed(CloseGoingAway, "reload")
				time.Sleep(tt.away)
				again := dial(t, app, "alice", "1")
				if tt.offline {
					e.want(t, "disconnect alice/1 1001 reload", "offline alice/1", "online alice/1")
				} else {
					e.want(t, "disconnect alice/1 1001 reload", "reconnect alice/1")
				}
				if (again.peer() != p) != tt.offline || (ctx.Err() != nil) != tt.offline {
					t.Errorf("same peer %v, context %v", again.peer() == p, ctx.Err())
				}
				time.Sleep(2 * grace)
				again.wantClosed(t)
			})
		})
	}
}

func TestPeerCloseDuringGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := New(Options{GracePeriod: time.Minute})
		var e events
		e.watch(app)
		c := dial(t, app, "alice", "1")
		p := c.peer()
		c.link.Closed(CloseAbnormal, "")
		tr := p.Send(NewRequest("message", "/", nil))
		if err := p.Close(0, ""); err != nil {
			t.Error(err)
		}
		e.want(t, "online alice/1", "disconnect alice/1 1006 ", "offline alice/1")
		if res := tr.Final(); res == nil || res.Status() != 410 {
			t.Errorf("the held request got %+v", res)
		}
		again := dial(t, app, "alice", "1")
		again.want(t)
		time.Sleep(time.Hour)
		e.want(t, "online alice/1")
	})
}

// TestPeerGraceSetting changes the setting while peers are online.
func TestPeerGraceSetting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := New(Options{})
		c := dial(t, app, "alice", "1")
		app.Set("disconnect grace period", 1500)
		c.link.Closed(CloseAbnormal, "")
		time.Sleep(1500*time.Millisecond - 1)
		if app.Peer("alice", "1") == nil {
			t.Error("the peer went offline too early")
		}
		time.Sleep(2 * time.Nanosecond)
		synctest.Wait()
		if app.Peer("alice", "1") != nil {
			t.Error("the peer did not go offline")
		}
	})
}

// TestPeerHeld sends to a peer in its grace period.
func TestPeerHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := New(Options{GracePeriod: time.Minute})
		var waiting *Request
		app.Use("/", func(req *Request, _ Next) error {
			waiting = req
			return nil
		})
		c := dial(t, app, "alice", "1")
		p := c.peer()
		c.receive(ask("/", "late", ""))
		c.link.Closed(CloseAbnormal, "")

		numbered := func(n int, timeout time.Duration) *Transaction {
			req := NewRequest("message", "/", n)
			if err := req.SetID(strconv.Itoa(n)); err != nil {
				t.Fatal(err)
			}
			req.SetTimeout(timeout)
			return p.Send(req)
		}
		first, expired, second, canceled := numbered(1, 0), numbered(2, time.Second), numbered(3, 5*time.Second), numbered(4, 0)
		if err := waiting.Reply(200, "late"); err != nil {
			t.Error(err)
		}
		if n, err := app.Broadcast("alice", "", NewRequest("message", "/cast", nil)); n != 1 || err != nil {
			t.Errorf("Broadcast: got %d, %v", n, err)
		}
		third := numbered(5, 0)
		canceled.Cancel()
		time.Sleep(2 * time.Second)
		if res := expired.Final(); res == nil || res.Status() != 408 {
			t.Errorf("the request that waited too long got %+v", res)
		}

		c = dial(t, app, "alice", "1")
		sent := c.take()
		var got []string
		for _, text := range sent {
			m, err := parse(text)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, idText(m.id)+m.path+m.reason)
		}
		if len(got) == 5 && strings.HasSuffix(got[3], "/cast") {
			got[3] = "/cast"
		}
		if want := []string{"1/", "3/", "late" + "late", "/cast", "5/"}; !slices.Equal(got, want) {
			t.Fatalf("sent on reconnection: %q, want %q", got, want)
		}

		// The time that a request was held counts.
		time.Sleep(3*time.Second + 1)
		if res := second.Final(); res == nil || res.Status() != 408 {
			t.Errorf("a request with a timeout of 5 s got %+v after 5 s", res)
		}
		for _, tr := range []*Transaction{first, third} {
			c.receive(answer(200, "ok", tr.ID()))
			if res := tr.Final(); res == nil || res.Status() != 200 {
				t.Errorf("a request that was held got %+v", res)
			}
		}
	})
}

func TestPeerHeldLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 4000
		app := New(Options{GracePeriod: time.Hour, MaxHeld: most})
		c := dial(t, app, "alice", "1")
		p := c.peer()
		c.link.Closed(CloseAbnormal, "")
		pad := strings.Repeat("x", 900)
		send := func() *Transaction { return p.Send(NewRequest("message", "/", pad)) }
		var held []*Transaction
		for {
			tr := send()
			if res := tr.Final(); res != nil {
				if res.Status() != 503 || res.Reason() != "peer too slow" || !res.IsLocal() {
					t.Errorf("got %d %s", res.Status(), res.Reason())
				}
				break
			}
			held = append(held, tr)
		}
		if len(held) != 4 || app.Stats().Slow != 1 {
			t.Errorf("%d requests of about 950 bytes were held, %d counted as lost; want 4 and 1", len(held), app.Stats().Slow)
		}
		held[1].Cancel()
		if tr := send(); tr.Final() != nil {
			t.Error("a canceled request left no room for another")
		}
		time.Sleep(time.Minute) // all of them time out
		for range 4 {
			if tr := send(); tr.Final() != nil {
				t.Error("requests that have timed out left no room for others")
			}
		}
		c = dial(t, app, "alice", "1")
		if n := len(c.take()); n != 4 {
			t.Errorf("%d requests were sent on reconnection, want 4", n)
		}
		c.link.Closed(CloseAbnormal, "")
		for range 4 {
			if tr := send(); tr.Final() != nil {
				t.Error("what was sent on reconnection still counts")
			}
		}
	})
}

// TestPeerHeldWhileClosing sends between the end of a connection and the transport's report of it.
func TestPeerHeldWhileClosing(t *testing.T) {
	app := New(Options{GracePeriod: time.Hour})
	c := dial(t, app, "alice", "1")
	c.fail = ErrClosed
	tr := c.peer().Send(NewRequest("message", "/", nil))
	if tr.Final() != nil {
		t.Fatalf("got %+v, want it to be held", tr.Final())
	}
	c.link.Closed(CloseAbnormal, "")
	if n := len(dial(t, app, "alice", "1").take()); n != 1 {
		t.Errorf("%d requests were sent on reconnection, want 1", n)
	}

	app = New(Options{})
	c = dial(t, app, "alice", "1")
	c.fail = ErrClosed
	if res := c.peer().Send(NewRequest("message", "/", nil)).Final(); res == nil || res.Status() != 410 {
		t.Errorf("without a grace period: got %+v", res)
	}
}

// TestPeerHeldTooMuch has a connection come back that takes less than was held.
func TestPeerHeldTooMuch(t *testing.T) {
	for _, drop := range []bool{false, true} {
		app := New(Options{GracePeriod: time.Hour, DropWhenSlow: drop})
		c := dial(t, app, "alice", "1")
		c.link.Closed(CloseAbnormal, "")
		var held []*Transaction
		for range 4 {
			held = append(held, c.peer().Send(NewRequest("message", "/", nil)))
		}
		again := newFakeConn()
		again.room = 2
		if err := again.connect(app, Identity{Username: "alice", UUID: "1"}); err != nil {
			t.Fatal(err)
		}
		if n := len(again.take()); n != 2 {
			t.Errorf("%d requests were sent, want 2", n)
		}
		if res := held[2].Final(); res == nil || res.Status() != 503 {
			t.Errorf("the request that found no room got %+v", res)
		}
		if drop {
			again.wantClosed(t)
			continue
		}
		again.wantClosed(t, "1013 too slow")
		again.link.Closed(CloseTryAgainLater, "too slow")
		if n := len(dial(t, app, "alice", "1").take()); n != 1 {
			t.Errorf("%d requests were sent to the third connection, want 1", n)
		}
	}
}
