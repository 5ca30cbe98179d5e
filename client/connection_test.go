package client_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protoo-go/protoo/client"
	"github.com/protoo-go/protoo/core"
)

func TestDial(t *testing.T) {
	unplugged := errors.New("unplugged")
	bubble(t, "first attempt fails", func(t *testing.T) {
		s := newServer(t, core.Options{})
		s.fail(unplugged)
		_, err := client.Dial(t.Context(), "memory:?username=alice&token=secret", client.Options{Dial: s.dial})
		if !errors.Is(err, unplugged) || err.Error() != "connect to memory:: unplugged" {
			t.Errorf("got %v", err)
		}
	})
	bubble(t, "refused", func(t *testing.T) {
		s := newServer(t, core.Options{})
		_, err := client.Dial(t.Context(), "memory:", client.Options{Dial: s.dial, WaitForServer: true})
		var refused *core.StatusError
		if !errors.As(err, &refused) || refused.Status != 401 || refused.Reason != "who are you?" {
			t.Errorf("got %v, want 401", err)
		}
	})
	bubble(t, "waits for the server", func(t *testing.T) {
		s := newServer(t, core.Options{})
		s.fail(unplugged)
		time.AfterFunc(time.Minute, func() { s.fail(nil) })
		began := time.Now()
		c := s.connect(t, client.Options{WaitForServer: true})
		if time.Since(began) < time.Minute || !c.Connected() {
			t.Errorf("connected: %v after %v", c.Connected(), time.Since(began))
		}
	})
	bubble(t, "gives up waiting", func(t *testing.T) {
		s := newServer(t, core.Options{})
		s.fail(unplugged)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		_, err := client.Dial(ctx, "memory:", client.Options{Dial: s.dial, WaitForServer: true})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		elapsed(t, began, time.Minute)
	})
	bubble(t, "attempt is bounded", func(t *testing.T) {
		hang := func(ctx context.Context, _ string) (client.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		began := time.Now()
		_, err := client.Dial(t.Context(), "memory:", client.Options{Dial: hang})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		elapsed(t, began, 10*time.Second)
	})
	bubble(t, "context bounds only the wait", func(t *testing.T) {
		s := newServer(t, core.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		c, err := client.Dial(ctx, "memory:?username=alice", client.Options{Dial: s.dial})
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		synctest.Wait()
		if _, err := request(t, c, "/echo", 1); err != nil {
			t.Error(err)
		}
		_ = c.Close(0, "")
		<-c.Done()
	})
	for url, want := range map[string]string{
		"ftp://example.com": `unknown scheme "ftp", want ws, wss or https`,
		"example.com":       `unknown scheme "", want ws, wss or https`,
		":":                 `parse ":": missing protocol scheme`,
	} {
		if _, err := client.Dial(t.Context(), url, client.Options{}); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", url, err, want)
		}
	}
}

func TestReconnect(t *testing.T) {
	bubble(t, "requests and replies wait for it", func(t *testing.T) {
		s := newServer(t, core.Options{GracePeriod: time.Minute})
		var incoming *core.Request
		c := s.connect(t, client.Options{
			Backoff: client.Backoff{Rand: half},
			Routes: func(app *core.App) {
				app.All("*", func(req *core.Request, _ core.Next) error { incoming = req; return nil })
			},
		})
		var asked *core.Request
		s.app.Message("/ask", func(req *core.Request, _ core.Next) error { asked = req; return nil })
		unanswered := c.Send(core.NewRequest("message", "/ask", nil))
		unheard := s.alice(t).Send(core.NewRequest("message", "/", nil))
		synctest.Wait()

		began := time.Now()
		s.drop(t)
		if c.Connected() {
			t.Fatal("still connected")
		}
		if err := asked.Reply(200, "while nobody listened"); err != nil {
			t.Fatal(err)
		}
		if err := incoming.Reply(200, "likewise"); err != nil {
			t.Fatal(err)
		}
		res, err := request(t, c, "/echo", "after all")
		if err != nil || res.Data() != `"after all"` {
			t.Fatalf("got %v, %v", res, err)
		}
		elapsed(t, began, 250*time.Millisecond)
		if res, err = unanswered.Wait(t.Context()); err != nil || res.Reason() != "while nobody listened" {
			t.Errorf("got %v, %v", res, err)
		}
		if res, err = unheard.Wait(t.Context()); err != nil || res.Reason() != "likewise" {
			t.Errorf("got %v, %v", res, err)
		}
	})
	bubble(t, "deadlines are kept", func(t *testing.T) {
		s := newServer(t, core.Options{})
		handled := 0
		s.app.Use("/count", func(req *core.Request, _ core.Next) error { handled++; return req.Reply(200, "OK") })
		c := s.connect(t, client.Options{Backoff: client.Backoff{Rand: half}})
		pending := c.Send(core.NewRequest("message", "/silence", nil))
		time.Sleep(4 * time.Second)
		s.fail(errors.New("unplugged"))
		s.drop(t)
		began := time.Now()
		_, err := request(t, c, "/count", nil)
		rejection(t, err, 408, "sending timeout", true)
		elapsed(t, began, 10*time.Second)
		if res := pending.Final(); res == nil || res.Status() != 408 {
			t.Errorf("got %v, want 408", res)
		}
		s.fail(nil)
		if _, err := request(t, c, "/count", nil, client.Timeout(time.Minute)); err != nil {
			t.Error(err)
		}
		if handled != 1 {
			t.Errorf("%d requests were handled; the one that timed out should not be sent", handled)
		}
	})
	bubble(t, "hooks", func(t *testing.T) {
		s := newServer(t, core.Options{})
		var got []string
		note := func(format string, args ...any) { got = append(got, fmt.Sprintf(format, args...)) }
		var last context.Context
		c := s.connect(t, client.Options{
			Backoff: client.Backoff{Rand: half},
			OnConnect: func(ctx context.Context, c *client.Client) {
				last = ctx
				// Reading goes on while a hook runs.
				res, err := c.Request(ctx, "message", "/echo", "hook")
				if err != nil {
					t.Error(err)
					return
				}
				note("connected %s", res.Data())
			},
			OnDisconnect: func(_ *client.Client, err error) { note("%v", err) },
			OnRetry:      func(err error, wait time.Duration) { note("%v; retry in %v", err, wait) },
		})
		synctest.Wait()
		s.fail(errors.New("unplugged"))
		s.drop(t)
		if last.Err() == nil {
			t.Error("the context of a lost connection goes on")
		}
		s.fail(nil)
		time.Sleep(time.Second)
		s.alice(t).Conn().Close(core.CloseRestart, "restart")
		time.Sleep(time.Minute)
		_ = c.Close(0, "")
		<-c.Done()
		want := []string{
			`connected "hook"`, "connection lost", "connection lost; retry in 250ms",
			`connected "hook"`, "connection closed: 1012 restart", "connection closed: 1012 restart; retry in 500ms",
			`connected "hook"`, "core: closed",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	})
}

func TestBackoff(t *testing.T) {
	// Every attempt is followed by a wait; the waits are halves of the limits.
	waits := func(t *testing.T, s *server, b client.Backoff) (*client.Client, *[]time.Duration) {
		var got []time.Duration
		c := s.connect(t, client.Options{Backoff: b, OnRetry: func(_ error, wait time.Duration) { got = append(got, wait) }})
		return c, &got
	}
	check := func(t *testing.T, waits *[]time.Duration, seconds ...float64) {
		t.Helper()
		synctest.Wait()
		got := *waits
		var want []time.Duration
		for _, s := range seconds {
			want = append(want, time.Duration(s*float64(time.Second)))
		}
		if !slices.Equal(got, want) {
			t.Errorf("got waits %v, want %v", got, want)
		}
	}
	bubble(t, "doubles up to the limit", func(t *testing.T) {
		s := newServer(t, core.Options{})
		_, got := waits(t, s, client.Backoff{Rand: half})
		s.fail(errors.New("unplugged"))
		s.drop(t)
		time.Sleep(70 * time.Second)
		check(t, got, .25, .5, 1, 2, 4, 8, 15, 15, 15, 15)
	})
	bubble(t, "own limits", func(t *testing.T) {
		s := newServer(t, core.Options{})
		_, got := waits(t, s, client.Backoff{Base: 2 * time.Second, Max: 3 * time.Second, Rand: half})
		s.fail(errors.New("unplugged"))
		s.drop(t)
		time.Sleep(5 * time.Second)
		check(t, got, 1, 1.5, 1.5, 1.5)
	})
	bubble(t, "random by default", func(t *testing.T) {
		s := newServer(t, core.Options{})
		_, got := waits(t, s, client.Backoff{Base: time.Hour, Max: time.Hour})
		s.fail(errors.New("unplugged"))
		s.drop(t)
		time.Sleep(20 * time.Hour)
		synctest.Wait()
		slices.Sort(*got)
		if n := len(slices.Compact(slices.Clone(*got))); n != len(*got) || n < 20 || (*got)[n-1] >= time.Hour {
			t.Errorf("got waits %v", *got)
		}
	})
	bubble(t, "begins anew after a connection that lasted", func(t *testing.T) {
		s := newServer(t, core.Options{})
		_, got := waits(t, s, client.Backoff{Rand: half})
		for range 3 { // too short to count
			s.drop(t)
			time.Sleep(4 * time.Second)
		}
		time.Sleep(time.Minute)
		s.drop(t)
		time.Sleep(time.Minute)
		check(t, got, .25, .5, 1, .25)
	})
	for _, code := range []int{core.CloseRestart, core.CloseTryAgainLater} {
		bubble(t, fmt.Sprint("goes on after ", code), func(t *testing.T) {
			s := newServer(t, core.Options{})
			_, got := waits(t, s, client.Backoff{Rand: half})
			for range 3 {
				_ = s.alice(t).Close(code, "")
				time.Sleep(time.Minute)
			}
			_ = s.alice(t).Close(core.CloseGoingAway, "")
			time.Sleep(time.Minute)
			check(t, got, .25, .5, 1, .25)
		})
	}
}

func TestGivesUp(t *testing.T) {
	for _, tt := range []struct {
		name  string
		end   func(*server, *core.Peer)
		final bool
		want  string
	}{
		{"replaced", func(s *server, p *core.Peer) {
			if _, err := s.dial(context.Background(), "memory:?username=alice"); err != nil {
				panic(err)
			}
		}, true, "connection closed: 3000 online elsewhere"},
		{"policy", func(_ *server, p *core.Peer) { _ = p.Close(core.ClosePolicy, "go away") }, true, "connection closed: 1008 go away"},
		{"normal", func(_ *server, p *core.Peer) { _ = p.Close(0, "") }, true, "connection closed: 1000 normal closure"},
		{"identity unknown", func(_ *server, p *core.Peer) { _ = p.Close(4401, "") }, true, "connection closed: 4401"},
		{"identity forbidden", func(_ *server, p *core.Peer) { _ = p.Close(4403, "banned") }, true, "connection closed: 4403 banned"},
		{"own code", func(_ *server, p *core.Peer) { _ = p.Close(4000, "") }, false, ""},
		{"going away", func(_ *server, p *core.Peer) { _ = p.Close(core.CloseGoingAway, "") }, false, ""},
		{"try again later", func(_ *server, p *core.Peer) { _ = p.Close(core.CloseTryAgainLater, "") }, false, ""},
		{"bad request", refuse(400), true, "connect to memory:: 400 no"},
		{"unauthorized", refuse(401), true, "connect to memory:: 401 no"},
		{"forbidden", refuse(403), true, "connect to memory:: 403 no"},
		{"not found", refuse(404), true, "connect to memory:: 404 no"},
		{"moved", refuse(308), true, "connect to memory:: 308 no"},
		{"timeout", refuse(408), false, ""},
		{"too many", refuse(429), false, ""},
		{"error", refuse(500), false, ""},
		{"unavailable", refuse(503), false, ""},
	} {
		bubble(t, tt.name, func(t *testing.T) {
			s := newServer(t, core.Options{})
			c := s.connect(t, client.Options{})
			pending := c.Send(core.NewRequest("session", "/silence", nil))
			synctest.Wait()
			tt.end(s, s.alice(t))
			time.Sleep(time.Minute)
			if !tt.final {
				if c.Err() != nil {
					t.Fatalf("the client has ended: %v", c.Err())
				}
				s.fail(nil)
				if _, err := request(t, c, "/echo", 1, client.Timeout(time.Minute)); err != nil {
					t.Error(err)
				}
				return
			}
			<-c.Done()
			if c.Err().Error() != tt.want {
				t.Errorf("it has ended with %q, want %q", c.Err(), tt.want)
			}
			if replaced := errors.Is(c.Err(), client.ErrReplaced); replaced != (tt.name == "replaced") {
				t.Errorf("ErrReplaced: %v", replaced)
			}
			if res := pending.Final(); res == nil || res.Status() != 410 {
				t.Errorf("the pending request got %v, want 410", res)
			}
			_, err := request(t, c, "/echo", nil)
			rejection(t, err, 410, "peer offline", true)
			before := s.attempts()
			time.Sleep(time.Hour)
			if s.attempts() != before {
				t.Error("it goes on connecting")
			}
		})
	}
}

// refuse lets the connection break, and no other come.
func refuse(status int) func(*server, *core.Peer) {
	return func(s *server, p *core.Peer) {
		s.fail(&core.StatusError{Status: status, Reason: "no"})
		_ = p.Conn().Close(core.CloseAbnormal, "")
	}
}

func TestClose(t *testing.T) {
	bubble(t, "code and reason", func(t *testing.T) {
		s := newServer(t, core.Options{GracePeriod: time.Minute})
		var got string
		s.app.OnOnline(func(p *core.Peer) {
			p.OnDisconnect(func(code int, reason string) { got = fmt.Sprint(code, " ", reason) })
		})
		c := s.connect(t, client.Options{})
		handled := 0
		s.app.Use("/count", func(*core.Request, core.Next) error { handled++; return nil })
		pending := c.Send(core.NewRequest("message", "/count", nil))
		if c.Err() != nil {
			t.Errorf("it has ended: %v", c.Err())
		}
		if err := c.Close(1005, ""); err == nil {
			t.Error("1005 may not be sent")
		}
		if err := c.Close(4001, "bye"); err != nil {
			t.Error(err)
		}
		if res := pending.Final(); res == nil || res.Status() != 410 {
			t.Errorf("the pending request got %v, want 410", res)
		}
		<-c.Done()
		synctest.Wait()
		if got != "4001 bye" || handled != 1 {
			t.Errorf("the server saw %d requests and %q", handled, got)
		}
		if !errors.Is(c.Err(), core.ErrClosed) {
			t.Errorf("it has ended with %v", c.Err())
		}
		if err := c.Close(0, ""); err != nil {
			t.Errorf("closed again: %v", err)
		}
	})
	bubble(t, "while waiting to reconnect", func(t *testing.T) {
		s := newServer(t, core.Options{})
		c := s.connect(t, client.Options{Backoff: client.Backoff{Base: time.Hour, Max: time.Hour, Rand: half}})
		s.drop(t)
		began := time.Now()
		if err := c.Close(0, ""); err != nil {
			t.Error(err)
		}
		<-c.Done()
		elapsed(t, began, 0)
	})
	bubble(t, "while connecting", func(t *testing.T) {
		s := newServer(t, core.Options{})
		var c *client.Client
		again := false
		dial := func(ctx context.Context, url string) (client.Conn, error) {
			conn, err := s.dial(ctx, url)
			if again {
				// The connection is there, but the client is not any more.
				if err := c.Close(0, ""); err != nil {
					t.Error(err)
				}
			}
			return conn, err
		}
		c, err := client.Dial(t.Context(), "memory:?username=alice", client.Options{Dial: dial})
		if err != nil {
			t.Fatal(err)
		}
		again = true
		s.drop(t)
		<-c.Done()
		synctest.Wait()
		if !errors.Is(c.Err(), core.ErrClosed) || s.app.Peer("alice", "1") != nil {
			t.Errorf("it has ended with %v; connected: %v", c.Err(), s.app.Peer("alice", "1"))
		}
	})
	bubble(t, "by a listener", func(t *testing.T) {
		s := newServer(t, core.Options{})
		ended := make(chan error, 1)
		c, err := client.Dial(t.Context(), "memory:?username=alice", client.Options{
			Dial: s.dial,
			Routes: func(app *core.App) {
				app.OnOnline(func(p *core.Peer) { _ = p.Close(core.ClosePolicy, "changed my mind") })
			},
			OnDisconnect: func(_ *client.Client, err error) { ended <- err },
		})
		if err == nil {
			<-c.Done()
			err = c.Err()
		}
		if !errors.Is(err, core.ErrClosed) {
			t.Errorf("it has ended with %v", err)
		}
		if err := <-ended; !errors.Is(err, core.ErrClosed) {
			t.Errorf("the hook was told %v", err)
		}
	})
	bubble(t, "by a handler and a hook", func(t *testing.T) {
		s := newServer(t, core.Options{})
		c := s.connect(t, client.Options{
			Routes: func(app *core.App) {
				app.All("*", func(req *core.Request, _ core.Next) error { return req.Peer().Close(0, "") })
			},
			OnDisconnect: func(c *client.Client, _ error) { _ = c.Close(0, "") },
		})
		s.alice(t).Send(core.NewRequest("message", "/", nil))
		<-c.Done()
		if !errors.Is(c.Err(), core.ErrClosed) {
			t.Errorf("it has ended with %v", c.Err())
		}
	})
}

// TestReconnectHint has servers that say when they want the client back.
func TestReconnectHint(t *testing.T) {
	for _, tt := range []struct {
		name   string
		code   int
		reason string
		lived  time.Duration
		waits  []time.Duration // the hinted one and the next
	}{
		{"restart", core.CloseRestart, "restart; reconnect in 1500 ms", 5 * time.Second, []time.Duration{1500, 500}},
		{"busy", core.CloseTryAgainLater, "busy; reconnect in 60000 ms", 5 * time.Second, []time.Duration{60000, 500}},
		{"at once", core.CloseRestart, "restart; reconnect in 0 ms", 5 * time.Second, []time.Duration{0, 500}},
		{"at once again and again", core.CloseRestart, "restart; reconnect in 0 ms", 4 * time.Second, []time.Duration{1000, 2000}},
		{"short connection", core.CloseRestart, "restart; reconnect in 7000 ms", 4 * time.Second, []time.Duration{7000, 2000}},
		{"another code", core.CloseGoingAway, "restart; reconnect in 1500 ms", 5 * time.Second, []time.Duration{250, 500}},
		{"too long", core.CloseRestart, "restart; reconnect in 60001 ms", 5 * time.Second, []time.Duration{1000, 2000}},
		{"not in this form", core.CloseRestart, "reconnect in 1 ms", 5 * time.Second, []time.Duration{1000, 2000}},
	} {
		bubble(t, tt.name, func(t *testing.T) {
			s := newServer(t, core.Options{})
			var got []time.Duration
			s.connect(t, client.Options{
				Backoff: client.Backoff{Rand: half},
				OnRetry: func(_ error, wait time.Duration) { got = append(got, wait/time.Millisecond) },
			})
			for range 2 { // so that the next wait would be a second
				synctest.Wait()
				s.drop(t)
				time.Sleep(2 * time.Second)
			}
			const lived = 1500 * time.Millisecond // two seconds without the second wait
			time.Sleep(tt.lived - lived)
			s.fail(errors.New("not yet"))
			_ = s.alice(t).Close(tt.code, tt.reason)
			time.Sleep(time.Hour)
			synctest.Wait()
			if waits := got[2:4]; !slices.Equal(waits, tt.waits) {
				t.Errorf("got waits %v ms, want %v", waits, tt.waits)
			}
		})
	}
}
