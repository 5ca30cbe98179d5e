package wasmhost

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protoo-go/protoo/core"
)

func TestBufferGrows(t *testing.T) {
	r := newRig(t)
	g := &guest{manifest: manifest(EventRequest).push("data"), cap: 64, pages: 3}
	g.buffer = seq(local(0), extend, num64(65536<<32), or64)
	g.on = seq(num(65536), load(65536), drop, drop, g.give(actionNext, 0, nil))
	r.app.Use("/", r.load(g).Handle)
	r.app.All("/a", last)
	alice := r.dial("alice", "1")
	long := fmt.Sprintf("%q", strings.Repeat("x", 1000))
	alice.ask("/a", "1", long)
	alice.want(t, fmt.Sprintf(`{"status":200,"reason":"/a","id":"1","data":%s}`, long))
}

func TestBufferTooSmall(t *testing.T) {
	sim(t, func(t *testing.T, r *rig) {
		g := &guest{manifest: manifest(EventRequest).push("data"), cap: 64}
		g.on = g.give(actionNext, 0, nil)
		m := r.load(g)
		r.app.Use("/", m.Handle)
		r.app.All("/a", last)
		alice := r.dial("alice", "1")
		for range 2 * breakAfter { // does not count as the module's failure
			alice.ask("/a", "1", fmt.Sprintf("%q", strings.Repeat("x", 100)))
			alice.want(t, `{"status":500,"reason":"module test 1: limit at event request: frame of 128 bytes, the module takes 64","id":"1"}`)
		}
		alice.ask("/a", "2", `"short"`)
		alice.want(t, `{"status":200,"reason":"/a","id":"2","data":"short"}`)
		if s := m.Stats(); s.Failures[KindLimit] != 2*breakAfter || s.Made != 1 {
			t.Errorf("%v failures, %d instances made", s.Failures, s.Made)
		}
	})
}

func TestBreaker(t *testing.T) {
	sim(t, func(t *testing.T, r *rig) {
		g := &guest{manifest: manifest(EventRequest).push("data")}
		// Traps unless the data is a single character: then the frame has 16+8+4 bytes.
		g.on = seq(local(1), num(28), ne, ifThen, unreachable, end, g.give(actionNext, 0, nil))
		m := r.load(g, func(o *ModuleOptions) { o.Limits.Restarts = 100 })
		r.app.Use("/", m.Handle)
		r.app.All("/a", last)
		alice := r.dial("alice", "1")
		ask := func(data string, status int) {
			t.Helper()
			alice.ask("/a", "1", data)
			if got := alice.take(); len(got) != 1 || !strings.HasPrefix(got[0], fmt.Sprintf(`{"status":%d,`, status)) {
				t.Errorf("%v: got %q, want %d", time.Now(), got, status)
			}
		}
		for range breakAfter - 1 {
			ask("10000", 500)
		}
		ask("1", 200) // in a row, that is
		for range breakAfter {
			ask("10000", 500)
		}
		ask("1", 503)
		if s := m.Stats(); !s.Broken || s.Skipped != 1 {
			t.Errorf("broken %v, skipped %d", s.Broken, s.Skipped)
		}
		time.Sleep(time.Second)
		ask("10000", 500) // one try
		ask("1", 503)
		time.Sleep(time.Second)
		ask("1", 503)
		time.Sleep(time.Second)
		ask("1", 200)
		ask("1", 200)
		if s := m.Stats(); s.Broken {
			t.Error("still broken")
		}
	})
}

func TestSkip(t *testing.T) {
	r := newRig(t)
	g := &guest{manifest: manifest(EventRequest, EventConnect)}
	g.on = unreachable
	m := r.load(g, func(o *ModuleOptions) { o.OnError = Skip })
	r.app.Use("/", m.Handle)
	r.app.All("/a", last)
	alice := r.dial("alice", "1")
	for range 2 * breakAfter {
		alice.ask("/a", "1", `1`)
		alice.want(t, `{"status":200,"reason":"/a","id":"1","data":1}`)
	}
	id, err := m.Accept(func(*core.ConnectRequest) (core.Identity, error) {
		return core.Identity{Username: "behind", UUID: "1"}, nil
	})(&core.ConnectRequest{})
	if err != nil || id.Username != "behind" {
		t.Errorf("got %v, %v", id, err)
	}
}

func TestRestartsAreLimited(t *testing.T) {
	sim(t, func(t *testing.T, r *rig) {
		g := &guest{manifest: manifest(EventRequest, EventNotification)}
		g.on = seq(onEvent(EventRequest, unreachable))
		m := r.load(g, func(o *ModuleOptions) { o.Limits.Restarts, o.Limits.Instances = 3, 1 })
		r.app.Use("/", m.Handle)
		alice := r.dial("alice", "1")
		for range breakAfter - 1 {
			alice.ask("/a", "1", `1`)
		}
		if s := m.Stats(); s.Made != 4 || s.Failures[KindTrap] != 4 {
			t.Errorf("%d made, failures %v", s.Made, s.Failures)
		}
		alice.take()
		alice.ask("/a", "1", `1`)
		alice.want(t, `{"status":503,"reason":"service unavailable","id":"1"}`)
		time.Sleep(time.Second)
		alice.ask("/a", "1", `1`)
		if s := m.Stats(); s.Made != 6 {
			t.Errorf("%d made, want one more for the request, and one in its place", s.Made)
		}
	})
}

func TestKV(t *testing.T) {
	sim(t, func(t *testing.T, r *rig) {
		g := &guest{manifest: manifest(EventRequest).can(KV, Async)}
		key := g.put([]byte("k"))
		add, cas, get := g.call("kv_add"), g.call("kv_cas"), g.call("kv_get")
		value := g.put([]byte("value"))
		g.on = seq(
			num(key), num(1), num64(3), num64(1000), num(8), add, drop, // the sum goes to 8
			num(value), num(5), num(0), num(-1), num(value), num(5), num64(0), cas, drop,
			store(16, num(value), num(5), num(24), num(40), get), // the length goes to 16, the value to 24
			// Answer with the sum as the status.
			store(bufferAt, num(frameHead+12)), store(bufferAt+4, num(1|1<<16)),
			store(bufferAt+16, num(int(fieldStatus))), store(bufferAt+20, num(4)), store(bufferAt+24, num(197), load(8), add32, load(16), add32),
			num64(int64(frameHead+12)<<32|int64(actionReply)), ret,
		)
		m := r.load(g)
		r.app.Use("/", m.Handle)
		alice := r.dial("alice", "1")
		for _, want := range []int{205, 208, 211} {
			alice.ask("/a", "1", "1")
			alice.want(t, fmt.Sprintf(`{"status":%d,"reason":"","id":"1"}`, want))
		}
		if s := m.Stats(); s.KV.Keys != 2 {
			t.Errorf("%+v", s.KV)
		}
		time.Sleep(time.Second)
		alice.ask("/a", "1", "1")
		alice.want(t, `{"status":205,"reason":"","id":"1"}`)
	})
}

var add32 = add

func TestLogLimits(t *testing.T) {
	sim(t, func(t *testing.T, r *rig) {
		var entries []LogEntry
		r.host.options.OnLog = func(e LogEntry) { entries = append(entries, e) }
		g := &guest{manifest: manifest(EventRequest).can(Log)}
		line := g.put(append(bytes.Repeat([]byte("a\x1b\xff"), 1000), "\n"...))
		log := g.call("log")
		g.on = seq(
			num(500), assign(2),
			loop, num(99), num(line), num(3000), log, local(2), num(1), sub, []byte{0x22, 2}, againIf, end,
			g.give(actionReply, 0, frame(text(fieldReason, "logged"))))
		m := r.load(g)
		r.app.Use("/", m.Handle)
		alice := r.dial("alice", "1")
		alice.ask("/a", "1", "1")
		alice.want(t, `{"status":200,"reason":"logged","id":"1"}`)
		if len(entries) != 100 || m.Stats().LogDropped != 400 {
			t.Fatalf("%d lines, %d dropped", len(entries), m.Stats().LogDropped)
		}
		if e := entries[0]; e.Level != LogError || len(e.Text) > 3*1024 || !strings.HasPrefix(e.Text, "a \uFFFDa ") {
			t.Errorf("level %d, %d bytes, %.10q", e.Level, len(e.Text), e.Text)
		}
		time.Sleep(10 * time.Millisecond)
		alice.ask("/a", "2", "1")
		if len(entries) != 101 || entries[100].Dropped != 400 {
			t.Errorf("%d lines, the last says that %d were dropped", len(entries), entries[len(entries)-1].Dropped)
		}
	})
}

func TestMetrics(t *testing.T) {
	r := newRig(t)
	g := &guest{manifest: manifest(EventRequest).can(Metrics)}
	name := g.put([]byte("seenlast"))
	metric := g.call("metric")
	g.on = seq(
		num(name), num(4), num(0), num64(2), metric, drop,
		num(name+4), num(4), num(1), num64(-5), metric, drop,
		num(name), num(8), num(1), num64(1), metric, drop, // one name too many
	)
	m := r.load(g, func(o *ModuleOptions) { o.Limits.Counters = 2 })
	r.app.Use("/", m.Handle)
	alice := r.dial("alice", "1")
	alice.ask("/a", "1", "1")
	alice.ask("/a", "2", "1")
	if got, want := fmt.Sprint(m.Stats().Counters), "map[last:-5 seen:4]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Names that only a version has used which was replaced make room for those of its successor.
func TestMetricsAfterReload(t *testing.T) {
	r := newRig(t)
	counter := func(names ...string) *guest {
		g := &guest{manifest: manifest(EventNotification).can(Metrics)}
		for _, name := range names {
			g.on = seq(g.on, num(g.put([]byte(name))), num(len(name)), num(0), num64(1), g.call("metric"), drop)
		}
		return g
	}
	options := func(o *ModuleOptions) { o.Limits.Counters = 2 }
	var m *Module
	for i, tt := range []struct {
		names []string
		want  string
	}{
		{[]string{"a", "b", "c"}, "map[a:1 b:1]"},
		{[]string{"b"}, "map[a:1 b:2]"},
		{[]string{"b", "c"}, "map[b:3 c:1]"},
	} {
		if g := counter(tt.names...); i == 0 {
			m = r.load(g, options)
		} else if err := m.Reload(t.Context(), g.bytes(), r.options(options)); err != nil {
			t.Fatal(err)
		}
		if err := m.Notify("a", ""); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(m.Stats().Counters); got != tt.want {
			t.Errorf("%v: got %s, want %s", tt.names, got, tt.want)
		}
	}
}

// Fuel does not depend on how often others run, and an event has no more than it is given.
func TestFuel(t *testing.T) {
	r := newRig(t)
	g := &guest{manifest: manifest(EventRequest)}
	g.on = seq(num(1000), assign(2), loop, local(2), num(1), sub, []byte{0x22, 2}, againIf, end, g.give(actionNext, 0, nil))
	m := r.load(g)
	r.app.Use("/", m.Handle)
	r.app.All("/a", last)
	alice := r.dial("alice", "1")
	used := func() uint64 {
		before := m.Stats().Fuel
		alice.ask("/a", "1", "1")
		return m.Stats().Fuel - before
	}
	first := used()
	if first < 1000 || first > 100_000 {
		t.Errorf("1,000 rounds use %d", first)
	}
	for range 5 {
		if n := used(); n != first {
			t.Errorf("then it uses %d, first %d", n, first)
		}
	}
}

// What a host function copies, checks or looks at is paid for, and before it is done.
func TestPriceOfHostCalls(t *testing.T) {
	const size = 40_000
	for _, c := range []struct {
		name string
		body func(g *guest) []byte
		want uint64 // at least
	}{
		{"get, a long key", func(g *guest) []byte {
			return seq(num(int(fieldMethod)), num(0), num(size), num(0), num(0), g.call("get"), drop)
		}, size},
		{"peer_find", func(g *guest) []byte {
			return seq(num(0), num(size), num(0), num(size), g.call("peer_find"), drop)
		}, 2 * size},
		{"peer_list", func(g *guest) []byte {
			return seq(num(0), num(size), num(0), num(size), g.call("peer_list"), drop)
		}, size},
		{"kv_cas", func(g *guest) []byte {
			return seq(num(dataAt), num(4), num(0), num(size), num(0), num(size), num64(0), g.call("kv_cas"), drop)
		}, 2 * size},
		{"kv_get", func(g *guest) []byte {
			get := seq(num(dataAt), num(4), num(0), num(size), g.call("kv_get"), drop)
			return bytes.Repeat(get, 10)
		}, 10 * (costCall + costLook)},
		{"random", func(g *guest) []byte { return seq(num(0), num(size), g.call("random")) }, size},
		{"fd_write, many parts", func(g *guest) []byte {
			return seq(num(1), num(32768), num(1000), num(0), g.call(wasiPrefix+"fd_write"), drop)
		}, 10_000},
		{"fd_write, many lines", func(g *guest) []byte {
			lines := g.put(bytes.Repeat([]byte("\n"), 1000))
			return seq(store(8, num(lines)), store(12, num(1000)), num(1), num(8), num(1), num(0), g.call(wasiPrefix+"fd_write"), drop)
		}, 100_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			g := &guest{manifest: manifest(EventNotification).can(Capabilities()...)}
			g.on = c.body(g)
			m := r.load(g)
			before := m.Stats().Fuel
			if err := m.Notify("a", ""); err != nil {
				t.Fatal(err)
			}
			if used := m.Stats().Fuel - before; used < c.want || used > 10*c.want {
				t.Errorf("used %d, want a little more than %d", used, c.want)
			}
			poor := r.load(g, func(o *ModuleOptions) { o.Limits.Fuel = int64(c.want) })
			if err := poor.Notify("a", ""); kind(err) != KindFuel {
				t.Errorf("with less fuel than it takes: %v", err)
			}
		})
	}
}

// A value that has to be encoded for the module is paid for, and one that is text already is not.
func TestPriceOfStored(t *testing.T) {
	const items = 1000
	list := make([]any, items)
	for i := range list {
		list[i] = []any{}
	}
	text, _ := jsonText(list)
	for _, tt := range []struct {
		name  string
		value any
		want  uint64 // at least
	}{
		{"a list", list, costEncode + uint64(len(text))*costEncoded},
		{"a list that is JSON", core.JSON(text), costCall},
		{"nothing", nil, costCall},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			g := &guest{manifest: manifest(EventRequest)}
			g.on = seq(num(int(fieldProperty)), num(g.put([]byte("k"))), num(1), num(0), num(0), g.call("get"), drop)
			m := r.load(g)
			r.app.Use("/", func(req *core.Request, next core.Next) error { req.Set("k", tt.value); next(); return nil }, m.Handle)
			alice := r.dial("alice", "1")
			before := m.Stats().Fuel
			alice.ask("/a", "1", "1")
			if used := m.Stats().Fuel - before; used < tt.want || used > tt.want+1000 {
				t.Errorf("used %d, want a little more than %d", used, tt.want)
			}
		})
	}
}

// All that wait for the only instance get it, one after the other.
func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		g := &guest{manifest: manifest(EventNotification).on(Single)}
		m := r.load(g, func(o *ModuleOptions) { o.Limits.Queue = 3 })
		v := m.current.Load()
		in, err := v.pool.take(nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			go func() { r.log.add("%v", m.Notify("a", "")) }()
			synctest.Wait()
		}
		if n := m.Stats().Waiting; n != 3 {
			t.Errorf("%d wait, want 3", n)
		}
		r.log.add("%v", m.Notify("a", ""))
		v.put(in)
		synctest.Wait()
		r.log.want(t, "module test 1: unavailable at event notification: too many events wait for an instance: 503 service unavailable", "<nil>", "<nil>", "<nil>")
	})
}

// Calls that take long wait for each other, and nobody waits for them.
func TestLongCallsWait(t *testing.T) {
	sim(t, func(t *testing.T, r *rig) {
		r.host.long = make(chan struct{}, 1)
		load := func(rounds int) *Module {
			g := &guest{manifest: manifest(EventNotification)}
			g.on = seq(loop, local(2), num(1), add, assign(2), local(2), num(rounds), ne, againIf, end)
			return r.load(g, func(o *ModuleOptions) { o.Limits.Fuel = 1 << 40 })
		}
		long, short := load(1_000_000), load(1000)
		r.host.long <- struct{}{}
		done := make(chan error, 2)
		for range 2 {
			go func() { done <- long.Notify("go", "") }()
		}
		synctest.Wait()
		for range 10 {
			if err := short.Notify("go", ""); err != nil {
				t.Error(err)
			}
		}
		if len(done) > 0 {
			t.Error("a long call has not waited")
		}
		<-r.host.long
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if n := len(r.host.long); n != 0 {
			t.Errorf("%d calls count as long after their end", n)
		}
	})
}

// What a start function asks the host for is paid for before it is done, as anywhere else.
func TestStartFunctionPays(t *testing.T) {
	const bytes = 1000
	for name, place := range map[string]func(g *guest, body []byte){
		"section":     func(g *guest, body []byte) { g.section = body },
		"_initialize": func(g *guest, body []byte) { g.start = body },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			g := &guest{manifest: manifest(EventNotification).can(Random, Log)}
			random, log := g.call("random"), g.call("log")
			var body []byte
			for range 10 {
				body = seq(body, num(0), num(bytes), random, num(1), num(0), num(0), log)
			}
			place(g, body)
			_, err := r.try(g, func(o *ModuleOptions) { o.Limits.InitFuel = 3 * (bytes + 3*costCall) })
			if kind(err) != KindLoad || !strings.Contains(err.Error(), "out of fuel") {
				t.Errorf("got %v", err)
			}
			if n := len(r.log.take()); n > 4 { // lines, and the failure
				t.Errorf("%d calls are made with the fuel for 3", n-1)
			}
		})
	}
}

// Making an instance can take long as well, and fail.
func TestLongStart(t *testing.T) {
	r := newRig(t)
	g := &guest{manifest: manifest(EventNotification), start: seq(loop, again, end)}
	if _, err := r.try(g); kind(err) != KindLoad {
		t.Errorf("got %v", err)
	}
	if n := len(r.host.long); n != 0 {
		t.Errorf("%d calls count as long after their end", n)
	}
}
