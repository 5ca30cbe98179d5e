package core

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestVersion(t *testing.T) {
	if !regexp.MustCompile(`^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`).MatchString(Version) {
		t.Errorf("%q is not a semantic version", Version)
	}
}

func TestEvents(t *testing.T) {
	app := New(Options{})
	var e events
	for _, n := range []int{1, 2} {
		app.OnOnline(func(p *Peer) { e.add("online %d %v", n, p) })
		app.OnOffline(func(p *Peer) { e.add("offline %d %v", n, p) })
		app.OnRouteError(func(err error, req *Request) { e.add("error %d %v, request %v", n, err, req) })
		app.OnBadMessage(func(p *Peer, _ error) { e.add("bad %d %v", n, p) })
		if n == 1 {
			app.OnOnline(func(*Peer) { panic(errors.New("in online")) })
			app.OnOffline(func(*Peer) { panic("in offline") })
			app.OnBadMessage(func(*Peer, error) { panic("in bad") })
		}
	}
	app.Use("/", func(*Request, Next) error { return errors.New("route") })
	c := dial(t, app, "alice", "1")
	e.want(t, "online 1 alice/1", "error 1 panic: in online, request <nil>", "error 2 panic: in online, request <nil>", "online 2 alice/1")
	c.receive("bad")
	e.want(t, "bad 1 alice/1", "error 1 panic: in bad, request <nil>", "error 2 panic: in bad, request <nil>", "bad 2 alice/1")
	c.receive(ask("/", "1", ""))
	e.want(t, "error 1 route, request message /", "error 2 route, request message /")
	c.link.Closed(1000, "")
	e.want(t, "offline 1 alice/1", "error 1 panic: in offline, request <nil>", "error 2 panic: in offline, request <nil>", "offline 2 alice/1")
}

// TestEventListenersFail has the listener for errors fail itself, which has nobody left to be told.
func TestEventListenersFail(t *testing.T) {
	app := New(Options{})
	app.OnOnline(func(*Peer) { panic("in online") })
	app.OnRouteError(func(error, *Request) { panic("in error") })
	app.Use("/", func(*Request, Next) error { return Error(404, "nothing") })
	c := dial(t, app, "alice", "1")
	c.receive(ask("/", "1", ""))
	c.want(t, answer(404, "nothing", "1"))
}

// TestEventListenerExits has a listener end the goroutine it runs on.
func TestEventListenerExits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := New(Options{})
		var e events
		app.OnOnline(func(p *Peer) {
			p.OnDisconnect(func(int, string) { runtime.Goexit() })
			runtime.Goexit()
		})
		app.OnOffline(func(p *Peer) {
			e.add("offline %v", p)
			runtime.Goexit()
		})
		app.Use("/", func(req *Request, _ Next) error { return req.Reply(200, "ok") })
		for range 3 {
			go func() { _ = newFakeConn().connect(app, Identity{Username: "alice", UUID: "1"}) }()
			synctest.Wait()
			c := dial(t, app, "alice", "1")
			c.receive(ask("/", "1", ""))
			settle()
			c.want(t, answer(200, "ok", "1"))
			go c.link.Closed(1000, "")
			settle()
			e.want(t, "offline alice/1")
			if app.Stats().Peers != 0 {
				t.Fatal("the identity is not free")
			}
		}
	})
}

// TestEventListenersMayRegister: listeners are added while others run.
func TestEventListenersMayRegister(t *testing.T) {
	app := New(Options{})
	var e events
	app.OnOnline(func(p *Peer) {
		e.add("first %v", p)
		app.OnOnline(func(p *Peer) { e.add("added %v", p) })
	})
	dial(t, app, "alice", "1")
	e.want(t, "first alice/1")
	dial(t, app, "alice", "2")
	e.want(t, "first alice/2", "added alice/2")
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() { app.OnOffline(func(*Peer) { e.add("offline") }) })
	}
	running.Wait()
	if err := app.Peer("alice", "1").Close(0, ""); err != nil {
		t.Fatal(err)
	}
	e.want(t, "offline", "offline", "offline", "offline")
}

// TestOnlineBeforeRequests has another connection take a peer over, and ask for something, before all listeners know
// the peer.
func TestOnlineBeforeRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := New(Options{})
		var e events
		release := make(chan struct{})
		app.OnOnline(func(*Peer) { <-release })
		app.OnOnline(func(*Peer) { e.add("online") })
		app.Use("/", func(req *Request, _ Next) error {
			e.add("request %s", req.ID())
			return req.Reply(200, "ok")
		})
		go func() { _ = newFakeConn().connect(app, Identity{Username: "alice", UUID: "1"}) }()
		synctest.Wait()
		c := dial(t, app, "alice", "1")
		c.serve()
		for i := range 100 {
			c.write(ask("/", fmt.Sprint(i), ""))
		}
		settle()
		e.want(t)
		if left := len(c.in); left != 100-maxQueued {
			t.Errorf("%d messages are not read, want %d: the queue is full", left, 100-maxQueued)
		}
		close(release)
		settle()
		want := []string{"online"}
		for i := range 100 {
			want = append(want, fmt.Sprintf("request %d", i))
		}
		e.want(t, want...)
		c.hangUp()
	})
}

// TestConnectionListeners: those of the application hear of every peer, and before the peer's own.
func TestConnectionListeners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := New(Options{GracePeriod: time.Second})
		var e events
		app.OnDisconnect(func(p *Peer, code int, reason string) {
			e.add("%v lost %d: %d %s", p, p.ConnNumber(), code, reason)
		})
		app.OnReconnect(func(p *Peer) { e.add("%v back on %d", p, p.ConnNumber()) })
		e.watch(app)
		c := dial(t, app, "alice", "1")
		c.link.Closed(CloseAbnormal, "gone")
		synctest.Wait()
		e.want(t, "online alice/1", "alice/1 lost 1: 1006 gone", "disconnect alice/1 1006 gone")
		back := dial(t, app, "alice", "1")
		synctest.Wait()
		e.want(t, "alice/1 back on 2", "reconnect alice/1")
		_ = back.peer().Close(CloseNormal, "")
		synctest.Wait()
		e.want(t, "alice/1 lost 2: 1000 ", "disconnect alice/1 1000 ", "offline alice/1")
	})
}

func TestCloseInOnline(t *testing.T) {
	app := New(Options{})
	var e events
	app.OnOnline(func(p *Peer) {
		e.add("online")
		p.OnDisconnect(func(code int, reason string) { e.add("disconnect %d %s", code, reason) })
		if err := p.Close(ClosePolicy, "not you"); err != nil {
			t.Error(err)
		}
		if p.Connected() || app.Peer("alice", "1") != nil {
			t.Error("the peer is still there")
		}
		if res := p.Send(NewRequest("message", "/", nil)).Final(); res == nil || res.Status() != 410 {
			t.Errorf("Send: got %+v", res)
		}
		e.add("closed")
	})
	app.OnOnline(func(p *Peer) { e.add("second listener") })
	app.OnOffline(func(*Peer) { e.add("offline") })
	for range 2 {
		c := dial(t, app, "alice", "1")
		c.wantClosed(t, "1008 not you")
		c.link.Closed(ClosePolicy, "not you")
		e.want(t, "online", "closed", "second listener", "disconnect 1008 not you", "offline")
	}
	if app.Stats().Peers != 0 {
		t.Error("the identity is not free")
	}
}

// TestConnectDuringOffline: a peer with the same identity waits until its forerunner has been announced offline.
func TestConnectDuringOffline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := New(Options{})
		var e events
		e.watch(app)
		app.OnOffline(func(p *Peer) {
			e.add("last words of %v", p)
			time.Sleep(time.Second)
		})
		first := dial(t, app, "alice", "1")
		go first.link.Closed(1000, "")
		synctest.Wait()
		if app.Peer("alice", "1") != nil {
			t.Error("the peer is still there")
		}
		began := time.Now()
		dial(t, app, "bob", "1")
		if time.Since(began) != 0 {
			t.Error("others have to wait")
		}
		second := dial(t, app, "alice", "1")
		if time.Since(began) != time.Second || second.peer() == first.peer() {
			t.Errorf("the peer is back after %v", time.Since(began))
		}
		e.want(t, "online alice/1", "disconnect alice/1 1000 ", "offline alice/1", "last words of alice/1", "online bob/1", "online alice/1")
	})
}

func TestAdmit(t *testing.T) {
	cause := errors.New("database")
	for _, tt := range []struct {
		name    string
		accept  Accept
		refused *StatusError
		report  []string
	}{
		{"accepted", func(r *ConnectRequest) (Identity, error) {
			return Identity{Username: r.QueryValue("username"), UUID: r.HeaderValue("X-Uuid")}, nil
		}, nil, nil},
		{"rejected", func(*ConnectRequest) (Identity, error) { return Identity{}, Reject(429, "later") },
			&StatusError{429, "later"}, nil},
		{"default", func(*ConnectRequest) (Identity, error) { return Identity{}, Reject(0, "") },
			&StatusError{403, "Rejected"}, nil},
		{"wrapped", func(*ConnectRequest) (Identity, error) { return Identity{}, fmt.Errorf("no: %w", Reject(401, "who?")) },
			&StatusError{401, "who?"}, nil},
		{"no HTTP error", func(*ConnectRequest) (Identity, error) { return Identity{}, Reject(200, "fine") },
			&StatusError{403, "fine"}, nil},
		{"other error", func(*ConnectRequest) (Identity, error) { return Identity{}, cause },
			&StatusError{500, "internal error"}, []string{"database, request <nil>"}},
		{"panic", func(*ConnectRequest) (Identity, error) { panic("oops") },
			&StatusError{500, "internal error"}, []string{"panic: oops, request <nil>"}},
		{"bad identity", func(*ConnectRequest) (Identity, error) { return Identity{Username: "alice"}, nil },
			&StatusError{500, "internal error"}, []string{"core: uuid is empty, request <nil>"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			app := New(Options{})
			var e events
			app.OnRouteError(func(err error, req *Request) { e.add("%v, request %v", err, req) })
			id, refused := app.Admit(tt.accept, &ConnectRequest{
				Query:  map[string][]string{"username": {"alice", "bob"}},
				Header: map[string][]string{"X-Uuid": {"1"}},
			})
			e.want(t, tt.report...)
			if tt.refused == nil {
				if refused != nil || id.Username != "alice" || id.UUID != "1" {
					t.Errorf("got %+v, %v", id, refused)
				}
			} else if refused == nil || *refused != *tt.refused {
				t.Errorf("got %v, want %v", refused, tt.refused)
			}
		})
	}
}

func TestConnectRequestValues(t *testing.T) {
	var r ConnectRequest
	if r.QueryValue("x") != "" || r.HeaderValue("X") != "" {
		t.Error("what is absent is empty")
	}
	r.Query = map[string][]string{"x": {}, "y": {"1", "2"}}
	if r.QueryValue("x") != "" || r.QueryValue("y") != "1" {
		t.Errorf("got %q, %q", r.QueryValue("x"), r.QueryValue("y"))
	}
}

type closer func() error

func (c closer) Close() error { return c() }

func TestAppClose(t *testing.T) {
	app := New(Options{GracePeriod: time.Hour})
	var e events
	e.watch(app)
	online, lost := dial(t, app, "alice", "1"), dial(t, app, "bob", "1")
	lost.link.Closed(CloseAbnormal, "")
	tr := lost.peer().Send(NewRequest("message", "/", nil))
	app.Attach(closer(func() error { e.add("transport closed"); return errors.New("stuck") }))
	app.Attach(closer(func() error { e.add("second closed"); return io.ErrClosedPipe }))
	e.want(t, "online alice/1", "online bob/1", "disconnect bob/1 1006 ")

	if err := app.Close(false); err != nil {
		t.Error(err)
	}
	online.wantClosed(t, "1001 shutting down")
	wantStatus(t, tr, "410 peer offline (local)")
	if n := app.Stats().Peers; n != 0 {
		t.Errorf("%d peers are left", n)
	}
	e.mu.Lock()
	got := strings.Join(e.list, ", ")
	e.list = nil
	e.mu.Unlock()
	if got != "disconnect alice/1 1001 shutting down, offline alice/1, offline bob/1" &&
		got != "offline bob/1, disconnect alice/1 1001 shutting down, offline alice/1" {
		t.Errorf("got events %s", got)
	}

	if err := newFakeConn().connect(app, Identity{Username: "alice", UUID: "1"}); err != ErrClosed {
		t.Errorf("Connect: got %v", err)
	}
	if _, refused := app.Admit(func(*ConnectRequest) (Identity, error) {
		t.Error("the listener was asked")
		return Identity{}, nil
	}, &ConnectRequest{}); refused == nil || *refused != (StatusError{503, "shutting down"}) {
		t.Errorf("Admit: got %v", refused)
	}

	err := app.Close(true)
	if err == nil || err.Error() != "stuck\nio: read/write on closed pipe" || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got error %v", err)
	}
	e.want(t, "transport closed", "second closed")
	app.Attach(closer(func() error { e.add("late one closed"); return nil }))
	e.want(t, "late one closed")
	if err := app.Close(true); err != nil {
		t.Errorf("closed twice: got %v", err)
	}
	e.want(t)
}

// TestAppCloseRace has peers connect while the application is closed: none may stay.
func TestAppCloseRace(t *testing.T) {
	for range 50 {
		app := New(Options{GracePeriod: time.Hour})
		var running sync.WaitGroup
		for i := range 8 {
			running.Go(func() {
				for {
					link, err := app.Connect(Identity{Username: "alice", UUID: fmt.Sprint(i % 5)}, quietConn{})
					if err != nil {
						return
					}
					if i%2 == 0 {
						link.Closed(CloseAbnormal, "")
					}
					runtime.Gosched()
				}
			})
		}
		runtime.Gosched()
		if err := app.Close(false); err != nil {
			t.Fatal(err)
		}
		running.Wait()
		if n := app.Stats().Peers; n != 0 {
			t.Fatalf("%d peers have stayed", n)
		}
	}
}
