package wasmhost

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/wasmhost/kv"
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

// reloads is how many there are in TestManyReloads.
var reloads = 1000

// keeperGuest keeps every request until a timer of a millisecond lets it answer.
func keeperGuest() *guest {
	g := &guest{manifest: manifest(EventRequest, EventTimer).can(Async)}
	timer := g.call("timer")
	g.on = seq(
		onEvent(EventRequest, num64(1), num64(0), num(0), num(0), timer, drop, g.give(actionPending, 0, nil)),
		onEvent(EventTimer, g.give(actionReply, 0, frame(text(fieldReason, "kept")))),
	)
	return g
}

// Many reloads under load lose no request, whatever the versions do with theirs, and leave nothing behind.
func TestManyReloads(t *testing.T) {
	serving := []func() *guest{func() *guest { return replier("served") }}
	mixed := []func() *guest{
		serving[0], keeperGuest,
		func() *guest { // keeps requests until their time is over
			g := &guest{manifest: manifest(EventRequest).can(Async)}
			keepsAll(g)
			return g
		},
		func() *guest { // cannot be loaded
			g := replier("never")
			g.init = unreachable
			return g
		},
	}
	for _, name := range []string{"endless loop", "endless recursion", "memory.grow", "trap", "host calls", "kv storm", "message storm", "exit", "trap in init", "messages without the grant"} {
		mixed = append(mixed, func() *guest {
			g := &guest{manifest: manifest(EventRequest).can(Capabilities()...)}
			hostiles[slices.IndexFunc(hostiles, func(h hostile) bool { return h.name == name })].build(g)
			return g
		})
	}
	t.Run("serving", func(t *testing.T) { testManyReloads(t, serving, 200) })
	t.Run("keeping and hostile", func(t *testing.T) { testManyReloads(t, mixed, 200, 500, 503) })
}

// testManyReloads replaces one guest by the next while peers send requests, each of which has to get one response.
func testManyReloads(t *testing.T, guests []func() *guest, statuses ...int) {
	rounds := reloads
	if testing.Short() {
		rounds = min(rounds, 100)
	}
	r := newRig(t)
	options := r.options(func(o *ModuleOptions) { o.Limits.PendingTimeout = 5 * time.Millisecond })
	m := r.load(replier("first"))
	r.app.Use("/", m.Handle)
	r.app.All("*", last)
	r.dial("bob", "1") // whom some send messages to
	var peers []*conn
	for i := range 4 {
		peers = append(peers, r.dial(fmt.Sprint("peer", i), "1"))
	}
	count, refused := 0, 0
	phase := func(n int) {
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for _, c := range peers {
			wg.Go(func() { c.askUntil(t, stop, statuses) })
		}
		for i := range n {
			g := guests[i%len(guests)]()
			count++
			g.manifest.Version = strconv.Itoa(count)
			g.put([]byte(g.manifest.Version))    // no two are the same
			options.Store = kv.New(kv.Options{}) // or else what storms have stored would stay
			if err := m.Reload(t.Context(), g.bytes(), options); g.init == nil && err != nil {
				t.Error(err)
			} else if err != nil {
				refused++
			}
		}
		if err := m.Reload(t.Context(), replier("last").bytes(), options); err != nil {
			t.Error(err)
		}
		close(stop)
		wg.Wait()
		m.mu.Lock()
		for len(m.versions) > 1 {
			m.versionsChanged.Wait()
		}
		m.mu.Unlock()
	}
	phase(rounds / 10) // what is made once is made now
	before := takeStock(1 << 30)
	phase(rounds)
	after := takeStock(before.goroutines)
	t.Logf("%d reloads, %d refused: %+v, then %+v", count, refused, before, after)
	if after.heap > before.heap+1<<20 {
		t.Errorf("the heap has grown from %d to %d KiB", before.heap>>10, after.heap>>10)
	}
	if after.goroutines > before.goroutines {
		t.Errorf("%d goroutines, before %d", after.goroutines, before.goroutines)
	}
	s := m.Stats()
	if s.Instances > options.Limits.Instances || s.Versions != 1 || s.Pending != 0 || s.Sends != 0 || s.Timers != 0 || s.Waiting != 0 {
		t.Errorf("left over: %+v", s)
	}
	if n := len(r.host.long); n != 0 {
		t.Errorf("%d calls count as long after their end", n)
	}
}

// askUntil sends one request after the other, and checks that each gets a final response, and only one.
func (c *conn) askUntil(t *testing.T, stop <-chan struct{}, statuses []int) {
	answers := make(chan string, 16)
	c.both = func(msg string) { answers <- msg }
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // so that a response that is lost does not hang the test
	defer cancel()
	for i := 0; ; i++ {
		select {
		case msg := <-answers:
			t.Errorf("got %s, which nobody has asked for", msg)
			return
		case <-stop:
			return
		default:
		}
		id := strconv.Itoa(i)
		c.ask("/a", id, "1")
		select {
		case msg := <-answers:
			var res struct {
				Status int
				ID     string
			}
			if err := json.Unmarshal([]byte(msg), &res); err != nil || res.ID != id || !slices.Contains(statuses, res.Status) {
				t.Errorf("request %s got %s", id, msg)
				return
			}
		case <-ctx.Done():
			t.Errorf("request %s got no response", id)
			return
		}
		c.take()
		runtime.Gosched()
	}
}

// A stock is what the process has.
type stock struct {
	heap       uint64
	goroutines int
}

// takeStock lets goroutines end that are about to, until there are only so many.
func takeStock(goroutines int) stock {
	for wait := time.Millisecond; runtime.NumGoroutine() > goroutines && wait < 4*time.Second; wait *= 2 {
		time.Sleep(wait)
	}
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return stock{s.HeapAlloc, runtime.NumGoroutine()}
}
