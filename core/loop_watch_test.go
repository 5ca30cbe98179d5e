package core

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// TestSoleLoop measures for how long a handler that blocks holds up the one connection of its loop.
func TestSoleLoop(t *testing.T) {
	for _, tt := range []struct {
		name          string
		before        bool // the peer owes an answer when the handler begins
		during        time.Duration
		atLeast, most time.Duration // from when somebody waits
	}{
		{name: "nobody waits", during: -1, atLeast: soleTick, most: 2 * soleTick},
		{name: "somebody waits before", before: true, during: -1, most: 2 * loopTick},
		{name: "the handler waits", during: 0, most: 2 * loopTick},
		{name: "the handler waits later", during: soleTick / 2, most: 2 * loopTick},
		{name: "the handler waits after a tick", during: soleTick + soleTick/2, most: 2 * loopTick},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := New(Options{})
				loop := newEventLoop()
				loop.loop = NewSoleLoop(loop.read)
				alice, bob := dial(t, app, "alice", "1"), dial(t, app, "bob", "1")
				waiting := make(chan time.Time, 1)
				send := func() {
					alice.peer().Send(NewRequest("message", "/", nil))
					waiting <- time.Now()
				}
				release := make(chan struct{})
				app.Message("/block", func(req *Request, _ Next) error {
					switch {
					case tt.during >= 0:
						time.Sleep(tt.during)
						send()
					case !tt.before:
						waiting <- time.Now()
					}
					<-release
					return req.Reply(200, "released")
				})
				reached := make(chan time.Time)
				app.Message("/quick", func(req *Request, _ Next) error {
					reached <- time.Now()
					return nil
				})
				if tt.before {
					send()
				}
				loop.write(alice, ask("/block", "1", ""))
				loop.write(bob, ask("/quick", "1", ""))
				go loop.read()
				if held := (<-reached).Sub(<-waiting); held < tt.atLeast || held > tt.most {
					t.Errorf("held up for %v, want between %v and %v", held, tt.atLeast, tt.most)
				}
				close(release)
				close(loop.messages)
			})
		})
	}
}

// TestWatchManyLoops has handlers block on several loops, one a little after the other.
func TestWatchManyLoops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := New(Options{})
		loops := 0
		for d := time.Duration(0); d < 4*loopTick; d += loopTick / 5 {
			loop := newEventLoop()
			resumed := make(chan time.Time, 1)
			loop.loop = NewLoop(func() { resumed <- time.Now() })
			if loops++; loops%2 == 0 {
				loop.loop.sole = true
			}
			most := 2 * loopTick
			if loop.loop.sole {
				most = 2 * soleTick
			}
			path := fmt.Sprintf("/block/%d", loops) // with a handler of its own, which nobody knows to be slow
			app.Message(path, func(*Request, Next) error {
				time.Sleep(time.Minute)
				return nil
			})
			link := dial(t, app, "alice", d.String()).link
			go func() {
				time.Sleep(d)
				began := time.Now()
				if flow := loop.receive(input{link, ask(path, "1", "")}); flow != Detached {
					t.Errorf("flow: got %v", flow)
				}
				if held := (<-resumed).Sub(began); held < loopTick || held > most {
					t.Errorf("%v later: held up for %v, want between %v and %v", d, held, loopTick, most)
				}
			}()
		}
		time.Sleep(time.Hour)
		if !resting(app.watch) {
			t.Errorf("the watch over %d loops goes on without work", loops)
		}
	})
}

func resting(w *watch) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.care == unwatched && len(w.loops) == 0
}

// TestWatchBusyLoop has handlers block on a loop that has had much to do: it is looked at less often, and not for ever.
func TestWatchBusyLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := New(Options{})
		app.Message("/quick", func(req *Request, _ Next) error { return req.Reply(200, "ok") })
		loop := newEventLoop()
		resumed := make(chan time.Time, 1)
		loop.loop = NewLoop(func() { resumed <- time.Now() })
		for d := time.Duration(0); d < 2*calmTick; d += loopTick / 2 {
			link := dial(t, app, "alice", d.String()).link
			for end := time.Now().Add(2*calmTick + d); time.Now().Before(end); time.Sleep(loopTick / 4) {
				for range busyTurns {
					loop.receive(input{link, ask("/quick", "1", "")})
				}
			}
			if loop.loop.care.Load() == unwatched {
				t.Fatal("a busy loop is not watched")
			}
			path := "/block/" + d.String() // with a handler of its own, which nobody knows to be slow
			app.Message(path, func(*Request, Next) error {
				time.Sleep(time.Minute)
				return nil
			})
			began := time.Now()
			go loop.receive(input{link, ask(path, "2", "")})
			if held := (<-resumed).Sub(began); held < loopTick || held > calmTick+2*loopTick {
				t.Errorf("held up for %v, want between %v and %v", held, loopTick, calmTick+2*loopTick)
			}
			time.Sleep(time.Hour)
			if !resting(app.watch) {
				t.Fatal("the watch goes on without work")
			}
		}
	})
}
