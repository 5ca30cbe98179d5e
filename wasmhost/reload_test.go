package wasmhost

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/protoo-go/protoo/core"
)

// replier answers every request with a reason.
func replier(reason string) *guest {
	g := &guest{manifest: manifest(EventRequest)}
	g.manifest.Version = reason
	g.on = g.give(actionReply, 0, frame(text(fieldReason, reason)))
	return g
}

func TestReload(t *testing.T) {
	r := newRig(t)
	m := r.load(replier("one"))
	r.app.Use("/", m.Handle)
	alice := r.dial("alice", "1")
	ask := func(want string) {
		t.Helper()
		alice.ask("/a", "1", "1")
		alice.want(t, fmt.Sprintf(`{"status":200,"reason":%q,"id":"1"}`, want))
	}
	ask("one")
	if err := m.Reload(t.Context(), replier("two").bytes(), r.options()); err != nil {
		t.Fatal(err)
	}
	ask("two")
	bad := &guest{manifest: manifest(EventRequest, EventSelfTest)}
	bad.on = unreachable
	for range 2 * breakAfter { // what fails is not the module that serves
		if err := m.Reload(t.Context(), bad.bytes(), r.options()); kind(err) != KindLoad {
			t.Errorf("got %v", err)
		}
	}
	ask("two")
	if s := m.Stats(); s.Serial != 2 || s.Version != "two" || s.Failures[KindLoad] != 2*breakAfter || s.Broken {
		t.Errorf("%+v", s)
	}
	m.mu.Lock()
	for len(m.versions) > 1 {
		m.versionsChanged.Wait()
	}
	m.mu.Unlock()
	if s := m.Stats(); s.Instances != 1 || s.Versions != 1 {
		t.Errorf("%d instances, %d versions, want one each", s.Instances, s.Versions)
	}
}

// A version that has been replaced does not keep events from its successor, however often it fails.
func TestBreakerIsOfVersion(t *testing.T) {
	r := newRig(t)
	g := &guest{manifest: manifest(EventRequest, EventResponse)}
	g.on = seq(onEvent(EventRequest, g.give(actionNext, flagWatch, nil)), unreachable)
	m := r.load(g)
	r.app.Use("/", m.Handle)
	var held []*core.Request
	r.app.All("/a", func(req *core.Request, _ core.Next) error { held = append(held, req); return nil })
	alice := r.dial("alice", "1")
	for range breakAfter {
		alice.ask("/a", "1", "1")
	}
	if err := m.Reload(t.Context(), replier("two").bytes(), r.options()); err != nil {
		t.Fatal(err)
	}
	for _, req := range held {
		if err := req.Reply(200, ""); err != nil {
			t.Error(err)
		}
	}
	alice.take()
	alice.ask("/a", "2", "1")
	alice.want(t, `{"status":200,"reason":"two","id":"2"}`)
	if s := m.Stats(); s.Failures[KindTrap] != breakAfter || s.Broken {
		t.Errorf("%+v", s)
	}
}

// What a version has begun it finishes, and at the latest after the drain timeout it is closed.
func TestReloadDrains(t *testing.T) {
	sim(t, func(t *testing.T, r *rig) {
		g := &guest{manifest: manifest(EventRequest, EventReply, EventDrain).push("data").can(PeerSend, Async, Log)}
		question := g.put(frame(func(w *frameWriter) {
			w.add(fieldPeer, "bob", "1")
			w.add(fieldMethod, "", "message")
			w.add(fieldPath, "", "/question")
			w.addUint32(fieldTimeout, 60_000)
		}))
		word := g.put([]byte("drained"))
		send, log := g.call("peer_send"), g.call("log")
		g.on = seq(
			onEvent(EventRequest, num(question), num(frameHead+12+16+20+12), send, drop, g.give(actionPending, 0, nil)),
			onEvent(EventReply, echoData(actionReply, 0)),
			onEvent(EventDrain, num(1), num(word), num(7), log),
		)
		o := func(o *ModuleOptions) { o.Limits.PendingTimeout = time.Minute }
		m := r.load(g, o)
		r.app.Use("/", m.Handle)
		alice, bob := r.dial("alice", "1"), r.dial("bob", "1")
		alice.ask("/a", "1", "1")
		if err := m.Reload(t.Context(), g.bytes(), r.options(o)); err != nil {
			t.Fatal(err)
		}
		alice.ask("/a", "2", "1")
		pause(time.Second)
		if s := m.Stats(); s.Versions != 2 || s.Pending != 2 {
			t.Errorf("%d versions, %d pending", s.Versions, s.Pending)
		}
		r.answer2(bob, 0, `{"status":200,"reason":"","id":%s,"data":1}`)
		alice.want(t, `{"status":200,"reason":"","id":"1","data":1}`)
		pause(time.Second)
		r.log.want(t, "log 1 drained")
		if s := m.Stats(); s.Versions != 1 {
			t.Errorf("%d versions", s.Versions)
		}

		if err := m.Reload(t.Context(), g.bytes(), r.options(o)); err != nil {
			t.Fatal(err)
		}
		pause(29 * time.Second)
		alice.want(t)
		pause(time.Second) // now its time is over, and the request is left to the new one
		if s := m.Stats(); s.Versions != 1 || s.Pending != 1 {
			t.Errorf("%d versions, %d pending", s.Versions, s.Pending)
		}
		pause(time.Minute)
		alice.want(t, `{"status":500,"reason":"module test 1: timeout at event request: it has kept the request for too long","id":"2"}`)
		if n := m.Stats().Pending; n != 0 {
			t.Errorf("%d pending", n)
		}
	})
}

// keeper keeps requests, and puts the token of the last one into the store; with a notification, the request is answered.
func keeper(answer string) *guest {
	g := &guest{manifest: manifest(EventRequest, EventNotification).can(Async, KV)}
	complete, cas, get := g.call("complete"), g.call("kv_cas"), g.call("kv_get")
	key, out := g.put([]byte("last")), frame(text(fieldReason, answer))
	value := seq(num(key), num(4), num(8), num(8), get, drop) // at 8
	swap := func(size int) []byte { return seq(num(key), num(4), num(8), num(size)) }
	g.on = seq(
		onEvent(EventRequest, value, swap(8), num(0), num(-1), num64(0), cas, drop,
			num(key), num(4), num(0), num(-1), num(bufferAt+8), num(8), num64(0), cas, drop, g.give(actionPending, 0, nil)),
		onEvent(EventNotification, value, load64(8), num(int(actionReply)), num(g.put(out)), num(len(out)), complete, drop),
	)
	return g
}

// What one version keeps another can decide about, and it is not lost when there are more versions than may be.
func TestReloadKeepsRequests(t *testing.T) {
	sim(t, func(t *testing.T, r *rig) {
		m := r.load(keeper("one"))
		r.app.Use("/", m.Handle)
		alice := r.dial("alice", "1")
		ask := func(id string) {
			t.Helper()
			alice.ask("/a", id, "1")
			alice.want(t)
		}
		for i := range 2 * m.current.Load().limits.Versions {
			ask(fmt.Sprint(i))
			if err := m.Reload(t.Context(), keeper("two").bytes(), r.options()); err != nil {
				t.Fatal(err)
			}
			pause(time.Second)
		}
		if err := m.Notify("go", ""); err != nil {
			t.Error(err)
		}
		alice.want(t, `{"status":200,"reason":"two","id":"7"}`)
		if s := m.Stats(); s.Pending != 7 || s.Versions > 5 {
			t.Errorf("%d pending, %d versions", s.Pending, s.Versions)
		}
		pause(30 * time.Second)
		for i, got := range alice.take() {
			if want := fmt.Sprintf(`{"status":500,"reason":"module test 1: timeout at event request: it has kept the request for too long","id":"%d"}`, i); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		if s := m.Stats(); s.Pending != 0 || s.Versions != 1 || s.Instances != 1 {
			t.Errorf("%d pending, %d versions, %d instances", s.Pending, s.Versions, s.Instances)
		}
		ask("last")
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		alice.want(t, `{"status":503,"reason":"service unavailable","id":"last"}`)
	})
}

func (r *rig) answer2(c *conn, nth int, message string) {
	c.mu.Lock()
	id := idPattern.FindStringSubmatch(c.list[nth])[1]
	c.mu.Unlock()
	c.tell(message, id)
}

// Many reloads under load lose no request, and leave nothing behind.
func TestManyReloads(t *testing.T) {
	const rounds = 1000
	r := newRig(t)
	m := r.load(replier("0"))
	r.app.Use("/", m.Handle)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 4 {
		c := r.dial(fmt.Sprint("peer", i), "1")
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c.ask("/a", "1", "1")
				if got := c.take(); len(got) != 1 || !strings.HasPrefix(got[0], `{"status":200`) {
					t.Errorf("got %q", got)
					return
				}
				runtime.Gosched()
			}
		})
	}
	files := [][]byte{replier("a").bytes(), replier("b").bytes(), replier("c").bytes()}
	var before runtime.MemStats
	for i := range rounds {
		if err := m.Reload(context.Background(), files[i%len(files)], r.options()); err != nil {
			t.Fatal(err)
		}
		if i == rounds/10 {
			runtime.GC()
			runtime.ReadMemStats(&before)
		}
	}
	close(stop)
	wg.Wait()
	m.mu.Lock()
	for len(m.versions) > 1 {
		m.versionsChanged.Wait()
	}
	m.mu.Unlock()
	runtime.GC()
	runtime.GC()
	var after runtime.MemStats
	runtime.ReadMemStats(&after)
	if after.HeapAlloc > before.HeapAlloc+8<<20 {
		t.Errorf("the heap has grown from %d to %d KiB", before.HeapAlloc>>10, after.HeapAlloc>>10)
	}
	t.Logf("heap %d KiB, then %d KiB", before.HeapAlloc>>10, after.HeapAlloc>>10)
}
