package core

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

const hinted = "restart; reconnect in 5 ms"

// drain drains a peer in the background, for patience at most. The result is closed when Drain has returned.
func (c *fakeConn) drain(t *testing.T, patience time.Duration) <-chan struct{} {
	t.Helper()
	done := make(chan struct{})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	p := c.peer()
	go func() {
		defer close(done)
		defer cancel()
		began := time.Now()
		if err := p.Drain(ctx, CloseRestart, hinted); (err != nil) != (time.Since(began) >= patience) {
			t.Errorf("after %v of %v: got %v", time.Since(began), patience, err)
		}
	}()
	synctest.Wait()
	return done
}

func TestDrainIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := New(Options{GracePeriod: time.Hour})
		app.All("/echo", func(req *Request, _ Next) error { return req.Reply(200, "ok") })
		c := dial(t, app, "alice", "1")
		c.receive(ask("/echo", "1", "")) // what has ended does not count
		c.want(t, answer(200, "ok", "1"))
		<-c.drain(t, time.Hour)
		c.wantClosed(t, "1012 "+hinted)
		if app.Peers("", "", nil) != 0 {
			t.Error("the peer is still online")
		}
		<-c.drain(t, time.Hour) // again

		away := dial(t, app, "bob", "1")
		away.link.Closed(CloseAbnormal, "")
		if err := away.peer().Drain(t.Context(), CloseRestart, "restart"); err != nil || app.Peers("", "", nil) != 0 {
			t.Errorf("%v, or a peer without a connection is still online", err)
		}
		if err := away.peer().Drain(t.Context(), 1005, ""); err == nil {
			t.Error("code 1005 was taken")
		}
	})
}

// TestDrainRequests has requests of the peer in progress: one that is being handled, one that waits for it, and one that somebody
// answers later.
func TestDrainRequests(t *testing.T) {
	for _, tt := range []struct {
		name     string
		finishes bool
	}{
		{"finish", true},
		{"end with an answer", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := New(Options{})
				release := make(chan struct{})
				var late *Request
				app.All("/late", func(req *Request, _ Next) error { late = req; return nil })
				app.All("/block", func(req *Request, _ Next) error {
					<-release
					return req.Reply(200, "released")
				})
				served := 0
				app.All("/echo", func(req *Request, _ Next) error { served++; return req.Reply(200, "ok") })
				c := dial(t, app, "alice", "1")
				c.serve()
				c.write(ask("/late", "1", ""), ask("/block", "2", ""), ask("/echo", "3", ""))
				settle()
				done := c.drain(t, time.Minute)
				c.write(ask("/echo", "4", ""))
				synctest.Wait()
				c.want(t, answer(503, hinted, "4"))
				c.wantClosed(t)

				if tt.finishes {
					close(release)
					synctest.Wait()
					c.want(t, answer(200, "released", "2"), answer(200, "ok", "3"))
					c.wantClosed(t)
					if err := late.Reply(200, "late"); err != nil {
						t.Error(err)
					}
					<-done
					c.want(t, answer(200, "late", "1"))
				} else {
					<-done
					c.want(t, answer(503, hinted, "1"), answer(503, hinted, "2"), answer(503, hinted, "3"))
					close(release)
					synctest.Wait()
					if err := late.Reply(200, "late"); err != ErrReplied {
						t.Errorf("got %v, want ErrReplied", err)
					}
					if served != 0 {
						t.Error("a request was handled that had been refused")
					}
				}
				c.wantClosed(t, "1012 "+hinted)
				c.hangUp()
			})
		})
	}
}

// TestDrainTransactions has the peer answer what it was asked before, and asks it no more.
func TestDrainTransactions(t *testing.T) {
	for _, answers := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			app := New(Options{})
			c := dial(t, app, "alice", "1")
			tr, canceled := c.peer().Send(NewRequest("message", "/", nil)), c.peer().Send(NewRequest("message", "/", nil))
			done := c.drain(t, 5*time.Second)
			more := c.peer().Send(NewRequest("message", "/", nil))
			if res := more.Final(); res == nil || res.Status() != 410 || !res.IsLocal() {
				t.Errorf("a new request: got %v", res)
			}
			canceled.Cancel()
			synctest.Wait()
			c.wantClosed(t)
			want := 410
			if answers {
				want = 200
				c.receive(answer(200, "ok", tr.ID()))
			}
			<-done
			if res := tr.Final(); res == nil || res.Status() != want {
				t.Errorf("got %v, want %d", res, want)
			}
			c.wantClosed(t, "1012 "+hinted)
		})
	}
}

// TestDrainForwarded has one peer ask another, both of which are drained: the answer arrives before either is closed.
func TestDrainForwarded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := New(Options{})
		alice, bob := dial(t, app, "alice", "1"), dial(t, app, "bob", "1")
		app.All("/bob", func(req *Request, _ Next) error { Forward(req, bob.peer()); return nil })
		alice.receive(ask("/bob", "1", ""))
		doneA, doneB := alice.drain(t, time.Minute), bob.drain(t, time.Minute)
		bob.receive(answer(200, "hi", "1"))
		<-doneA
		<-doneB
		alice.want(t, answer(200, "hi", "1"))
	})
}

// TestDrainLost has the connection break, and another take over, while a request is in progress.
func TestDrainLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := New(Options{GracePeriod: time.Hour})
		var late *Request
		app.All("/late", func(req *Request, _ Next) error { late = req; return nil })
		c := dial(t, app, "alice", "1")
		c.receive(ask("/late", "1", ""))
		done := c.drain(t, time.Minute)
		c.link.Closed(CloseAbnormal, "")
		again := dial(t, app, "alice", "1")
		if err := late.Reply(200, "ok"); err != nil {
			t.Error(err)
		}
		<-done
		again.want(t, answer(200, "ok", "1"))
		again.wantClosed(t, "1012 "+hinted)

		// One that goes offline by itself meanwhile.
		c = dial(t, app, "alice", "1")
		c.receive(ask("/late", "1", ""))
		done = c.drain(t, time.Hour)
		if err := c.peer().Close(0, ""); err != nil {
			t.Error(err)
		}
		<-done
	})
}

// TestInProgress has requests end in another order than they began.
func TestInProgress(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {1, 2, 0}, {0, 2, 1}, {2, 0, 1}} {
		app := New(Options{})
		var all []*Request
		app.All("/", func(req *Request, _ Next) error { all = append(all, req); return nil })
		c := dial(t, app, "alice", "1")
		p := c.peer()
		for range 3 {
			c.receive(ask("/", "1", ""))
		}
		for left, i := range order {
			if err := all[i].Reply(200, "ok"); err != nil {
				t.Error(err)
			}
			n := 0
			for req := p.requests; req != nil; req = req.older {
				if n++; req.Ended() {
					t.Error("a request that has ended is in progress")
				}
			}
			if n != 2-left || int(p.inProgress) != n {
				t.Errorf("%v: %d requests in progress, counted %d", order, n, p.inProgress)
			}
		}
	}
}
