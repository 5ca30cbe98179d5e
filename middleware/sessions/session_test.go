package sessions

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/middleware/internal/peertest"
)

// While a listener takes its time its session stands still, with all that happens meanwhile kept in
// order. Both parties' other requests, and other sessions, are not held up.
func TestSlowListener(t *testing.T) {
	peertest.Run(t, core.Options{}, func(pw *peertest.World) {
		w := &world{World: pw, m: New(pw.App, Options{})}
		w.App.Use("/sessions", w.m.Handle)
		w.App.All("/ping", func(req *core.Request, _ core.Next) error { return req.Reply(200, "pong") })
		release := make(chan struct{})
		w.m.OnState(func(_ *Session, state State) {
			if state == Open {
				<-release
			}
		})
		w.m.OnState(func(_ *Session, state State) { w.states = append(w.states, state) })
		w.alice, w.bob = w.Connect("alice", "1"), w.Connect("bob", "1")
		w.ring()

		go w.bob.Send(`{"status":200,"reason":"OK","id":1}`)
		w.alice.Expect(`{"status":200,"reason":"OK","id":1}`)
		for i := range 10 {
			w.alice.Send(fmt.Sprintf(`{"method":"n","path":"$path","id":%d}`, i))
		}
		w.alice.Send(`{"method":"end","path":"$path","id":"end"}`, `{"method":"late","path":"$path","id":"late"}`)
		w.bob.Expect()
		w.alice.Expect()

		w.alice.Send(`{"method":"x","path":"/ping","id":1}`)
		w.alice.Expect(`{"status":200,"reason":"pong","id":1}`)
		w.alice.Send(`{"method":"session","path":"/sessions/bob/1","id":"s"}`)
		w.alice.Expect(`{"status":100,"reason":"connecting","id":"s","data":{"sessionPath":"$second"}}`)
		w.bob.Expect(`{"method":"session","path":"$second","id":"s","sender":{"username":"alice","uuid":"1"}}`)
		w.alice.Send(`{"method":"end","path":"$second","id":"e"}`)
		w.alice.Expect(`{"status":200,"reason":"session ended","id":"e"}`, `{"status":487,"reason":"canceled","id":"s"}`)
		w.bob.Received()
		w.states = nil

		close(release)
		var want []string
		for i := range 10 {
			want = append(want, fmt.Sprintf(`{"method":"n","path":"$path","id":%d,"sender":{"username":"alice","uuid":"1"}}`, i))
		}
		w.bob.Expect(append(want, `{"method":"end","path":"$path","id":"end","sender":{"username":"alice","uuid":"1"}}`)...)
		w.alice.Expect(`{"status":200,"reason":"session ended","id":"end"}`, `{"status":404,"reason":"session is over","id":"late"}`)
		for i := range 10 {
			w.bob.Send(fmt.Sprintf(`{"status":200,"reason":"","id":%d}`, i))
		}
		if n := len(w.alice.Received()); n != 10 {
			t.Errorf("%d responses to requests from before the end, want 10", n)
		}
		w.over(Open, Closed)
	})
}

// Provisional responses cannot pile up without end behind a step that takes its time.
func TestProvisionalFlood(t *testing.T) {
	peertest.Run(t, core.Options{DropWhenSlow: true}, func(pw *peertest.World) {
		w := &world{World: pw, m: New(pw.App, Options{})}
		release := make(chan struct{})
		w.App.Use("/sessions", func(req *core.Request, next core.Next) error {
			if req.Method() == "hold" {
				req.OnResponse(func(*core.Response) { <-release })
			}
			next()
			return nil
		}, w.m.Handle)
		w.alice, w.bob = w.Connect("alice", "1"), w.Connect("bob", "1")
		w.ring()
		w.bob.SetSlow(true)
		go w.alice.SendRaw(`{"method":"hold","path":"` + w.Value("path") + `","id":2}`)
		synctest.Wait()
		for range 10 * maxWaiting {
			w.bob.Send(`{"status":180,"reason":"ringing","id":1}`)
		}
		w.bob.Send(`{"status":200,"reason":"OK","id":1}`)
		w.alice.Expect()
		close(release)
		got := w.alice.Received()
		if len(got) != 1+maxWaiting+1 || got[0] != `{"status":503,"reason":"peer too slow","id":2}` ||
			got[len(got)-1] != `{"status":200,"reason":"OK","id":1}` {
			t.Errorf("alice has received %d frames, want %d: %s", len(got), 1+maxWaiting+1, got)
		}
	})
}

// A listener that ends its goroutine, as t.FailNow does, ends the session but leaves nobody waiting.
func TestListenerThatExits(t *testing.T) {
	run(t, core.Options{}, Options{}, func(w *world) {
		var once sync.Once
		w.m.OnState(func(_ *Session, state State) {
			if state == Progress {
				once.Do(runtime.Goexit)
			}
		})
		w.alice.Send(`{"method":"session","path":"/sessions/bob/1","id":1}`)
		w.bob.Expect(`{"method":"session","path":"$path","id":1,"sender":{"username":"alice","uuid":"1"}}`)
		go w.bob.Send(`{"status":180,"reason":"ringing","id":1}`)
		w.alice.Expect(
			`{"status":100,"reason":"connecting","id":1,"data":{"sessionPath":"$path"}}`,
			`{"status":180,"reason":"ringing","id":1}`,
			`{"status":500,"reason":"internal error","id":1}`)
		w.bob.Expect(`{"method":"end","path":"$path","id":"$_","data":{"reason":"internal error"}}`)
		w.over(Connecting, Progress, Closed)
	})
}

// The same for a hook, on the response to a session that never was one.
func TestHookThatExits(t *testing.T) {
	peertest.Run(t, core.Options{}, func(pw *peertest.World) {
		w := &world{World: pw, m: New(pw.App, Options{MaxSessions: 1})}
		w.App.Use("/sessions", func(req *core.Request, next core.Next) error {
			req.OnResponse(func(res *core.Response) {
				if res.Status() == 429 {
					runtime.Goexit()
				}
			})
			next()
			return nil
		}, w.m.Handle)
		w.alice, w.bob = w.Connect("alice", "1"), w.Connect("bob", "1")
		carol := w.Connect("carol", "1")
		w.ring()
		go w.alice.Send(`{"method":"session","path":"/sessions/carol/1","id":2}`)
		carol.Expect()
		w.alice.Expect()
		w.alice.Send(`{"method":"end","path":"$path","id":3}`)
		w.alice.Expect(`{"status":200,"reason":"session ended","id":3}`, `{"status":487,"reason":"canceled","id":1}`)
		w.bob.Received()
		w.over()
	})
}

// The manager's offline listener may have run before it knows of a session: the caller's request was still on its way. It
// makes no difference that the caller is back, for that is another peer.
func TestCallerLeavesBeforeSetup(t *testing.T) {
	for _, back := range []bool{false, true} {
		peertest.Run(t, core.Options{}, func(pw *peertest.World) {
			w := &world{World: pw, m: New(pw.App, Options{})}
			w.App.Use("/sessions", func(req *core.Request, next core.Next) error {
				w.alice.Disconnect()
				if back {
					w.alice = w.Connect("alice", "1")
				}
				next()
				return nil
			}, w.m.Handle)
			w.m.OnState(func(_ *Session, state State) { w.states = append(w.states, state) })
			w.alice, w.bob = w.Connect("alice", "1"), w.Connect("bob", "1")
			w.alice.Send(`{"method":"session","path":"/sessions/bob/1","id":1}`)
			w.over(Connecting, Closed)
		})
	}
}

// The callee goes offline between being found and being called.
func TestCalleeLeavesDuringSetup(t *testing.T) {
	run(t, core.Options{}, Options{}, func(w *world) {
		w.m.OnState(func(_ *Session, state State) {
			if state == Connecting {
				w.bob.Disconnect()
			}
		})
		w.alice.Send(`{"method":"session","path":"/sessions/bob/1","id":1}`)
		w.alice.Expect(
			`{"status":100,"reason":"connecting","id":1,"data":{"sessionPath":"$path"}}`,
			`{"status":410,"reason":"peer offline","id":1}`)
		w.over(Connecting, Closed)
	})
}

// What has ended is forgotten.
func TestManyCalls(t *testing.T) {
	run(t, core.Options{}, Options{}, func(w *world) {
		for range 200 {
			w.Forget("path")
			w.states = nil
			w.call()
			w.bob.Send(`{"method":"end","path":"$path","id":2}`)
			w.alice.Received()
			w.bob.Received()
			w.over(Connecting, Progress, Open, Closed)
		}
	})
}

func TestGuessing(t *testing.T) {
	run(t, core.Options{}, Options{}, func(w *world) {
		w.ring()
		mallory := w.Connect("mallory", "1")
		for range 10_000 {
			mallory.SendRaw(fmt.Sprintf(`{"method":"end","path":"/sessions/%026X","id":1}`, rand.Uint64()))
		}
		for _, frame := range mallory.Received() {
			if !strings.HasPrefix(frame, `{"status":404,`) {
				t.Fatalf("mallory has received %s", frame)
			}
		}
		w.alice.Expect()
		w.bob.Expect()
	})
}

// Peers that call, answer, hang up and leave at random, all at once. Every request gets exactly one final response
// unless its peer leaves, the states of every session come in order, and nothing is left at the end.
func TestHammer(t *testing.T) {
	peertest.Run(t, core.Options{MaxRequests: -1}, func(w *peertest.World) {
		m := New(w.App, Options{MaxSessions: 8})
		w.App.Use("/sessions", m.Handle)
		var mu sync.Mutex
		history := make(map[*Session][]State)
		m.OnState(func(s *Session, state State) {
			mu.Lock()
			defer mu.Unlock()
			history[s] = append(history[s], state)
		})
		var wait sync.WaitGroup
		var bots []*bot
		for i := range 8 {
			b := &bot{w: w, name: fmt.Sprint("bot", i), random: rand.New(rand.NewPCG(1, uint64(i)))}
			bots = append(bots, b)
			wait.Go(b.play)
		}
		wait.Wait()
		// Time enough for all that nobody answers, and for what the answers lead to.
		for range 3 {
			for _, b := range bots {
				b.listen()
			}
			time.Sleep(130 * time.Second)
		}
		for _, b := range bots {
			b.listen()
			b.client.Disconnect()
		}
		synctest.Wait()
		if len(m.sessions) > 0 || len(m.parties) > 0 {
			t.Errorf("%d sessions of %d peers are left, want none", len(m.sessions), len(m.parties))
		}
		opened := 0
		for s, states := range history {
			if !slices.IsSorted(states) || len(slices.Compact(slices.Clone(states))) != len(states) ||
				states[0] != Connecting || states[len(states)-1] != Closed || s.State() != Closed {
				t.Errorf("a session's states are %v", states)
			}
			if slices.Contains(states, Open) {
				opened++
			}
		}
		if opened == 0 || opened == len(history) {
			t.Errorf("%d of %d sessions were opened, want some", opened, len(history))
		}
		for _, b := range bots {
			for id, n := range b.finals {
				if n != 1 {
					t.Errorf("request %s got %d final responses, want 1", id, n)
				}
			}
		}
	})
}

// bot is a peer that does the next best thing.
type bot struct {
	w      *peertest.World
	name   string
	random *rand.Rand
	client *peertest.Client
	sent   int
	paths  []string
	finals map[string]int // the final responses to each request, since the bot came online
}

func (b *bot) play() {
	b.connect()
	for range 300 {
		b.listen()
		switch n := b.random.IntN(100); {
		case n < 40:
			b.request("session", fmt.Sprintf("/sessions/bot%d/1", b.random.IntN(8)))
		case n < 80 && len(b.paths) > 0:
			b.request([]string{"hold", "candidate", "end"}[b.random.IntN(3)], b.paths[b.random.IntN(len(b.paths))])
		case n < 82:
			b.client.Disconnect()
			b.connect()
		default:
			runtime.Gosched()
		}
	}
}

func (b *bot) connect() {
	b.client = b.w.Connect(b.name, "1")
	b.paths = nil
	b.finals = make(map[string]int)
}

func (b *bot) listen() {
	for _, frame := range b.client.Drain() {
		b.read(frame)
	}
}

func (b *bot) request(method, path string) {
	b.sent++
	id := fmt.Sprintf(`"%s-%d"`, b.name, b.sent)
	b.finals[id] = 0
	b.client.SendRaw(fmt.Sprintf(`{"method":%q,"path":%q,"id":%s}`, method, path, id))
}

func (b *bot) read(frame string) {
	var m struct {
		Method, Path string
		Status       int
		ID           json.RawMessage
		Data         struct{ SessionPath string }
	}
	if err := json.Unmarshal([]byte(frame), &m); err != nil {
		b.w.Errorf("%s has received %s: %v", b.name, frame, err)
		return
	}
	switch {
	case m.Data.SessionPath != "":
		b.paths = append(b.paths, m.Data.SessionPath)
	case m.Status >= 200:
		b.finals[string(m.ID)]++
	case m.Method == "session" && b.random.IntN(3) > 0:
		b.paths = append(b.paths, m.Path)
		for _, status := range [][]int{{200}, {180, 200}, {180, 183, 486}, {180}, {603}}[b.random.IntN(5)] {
			b.client.SendRaw(fmt.Sprintf(`{"status":%d,"reason":"","id":%s}`, status, m.ID))
		}
	case m.Method != "":
		b.client.SendRaw(fmt.Sprintf(`{"status":200,"reason":"","id":%s}`, m.ID))
	}
}
