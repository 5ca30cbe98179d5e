package wasmhost

import (
	"bytes"
	"math"
	"reflect"
	"runtime"
	"slices"
	"testing"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/wasmhost/meter"
)

// state returns all that can change in an instance.
func (in *instance) state() (memory []byte, numbers []uint64) {
	all, _ := in.memory.Read(0, in.memory.Size())
	for _, name := range in.version.state.Globals {
		numbers = append(numbers, in.mod.ExportedGlobal(name).Get())
	}
	return all, append(numbers, uint64(in.ptr), uint64(in.cap))
}

// wantAgain checks that an instance that has done something is put back to what a new one is, and reports whether it is
// put back at all.
func wantAgain(t *testing.T, in *instance) bool {
	t.Helper()
	v := in.version
	if v.image.Load() == nil {
		t.Fatal("there is no image")
	}
	i := in.restorable()
	if i == nil {
		if in.memory.Size() == v.image.Load().size {
			t.Error("the instance is not put back, though it has not grown")
		}
		return false
	}
	next := in.restored(i)
	fresh, err := v.instantiate()
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.close()
	gotMemory, got := next.state()
	wantMemory, want := fresh.state()
	if !slices.Equal(got, want) {
		t.Errorf("globals and buffer are %d, in a new instance %d", got, want)
	}
	if !bytes.Equal(gotMemory, wantMemory) {
		t.Errorf("a memory of %d bytes is not that of a new instance, of %d bytes", len(gotMemory), len(wantMemory))
	}
	return true
}

// Whatever the examples have done, in every language, their instances are put back to what new ones are.
func TestImage(t *testing.T) {
	for _, c := range conversations {
		eachLanguage(t, c.name, func(t *testing.T, file []byte) {
			sim(t, func(t *testing.T, r *rig) {
				m := r.loadFile(file)
				r.converse(&c, m.Handle)
				v := m.current.Load()
				in, err := v.pool.take(nil)
				if err != nil {
					t.Fatal(err)
				}
				if memory, _ := in.state(); bytes.Equal(bytes.TrimRight(memory, "\x00"), v.image.Load().memory) {
					t.Error("the conversation has left no trace in the memory")
				}
				if !wantAgain(t, in) {
					t.Error("the instance has grown")
				}
				v.pool.renew(in, false)
			})
		})
	}
}

// Settings are part of the image.
func TestImageOfSettings(t *testing.T) {
	r := newRig(t)
	g := &guest{manifest: manifest(EventConfiguration, EventNotification)}
	g.on = seq(store(8, num(1)), onEvent(EventConfiguration, store(16, load(bufferAt+16), load(bufferAt+24), add)))
	m := r.load(g, func(o *ModuleOptions) { o.Settings = `{"a":1}` })
	v := m.current.Load()
	in, err := v.pool.take(nil)
	if err != nil {
		t.Fatal(err)
	}
	if another, err := v.instantiate(); err != nil {
		t.Error(err)
	} else {
		if !reflect.DeepEqual(another.event, event{}) {
			t.Error("the event configuration, with its token, is in a new instance")
		}
		another.close()
	}
	in.event = event{kind: EventNotification, name: "go", data: `"data"`}
	if err := v.perform(in, &turn{}); err != nil {
		t.Fatal(err)
	}
	if !wantAgain(t, in) {
		t.Error("the instance has grown")
	}
	v.pool.discard(in, false)
}

// The same holds for those that fail.
func TestImageOfHostile(t *testing.T) {
	back := 0
	for _, h := range hostiles {
		t.Run(h.name, func(t *testing.T) {
			r := newRig(t)
			g := &guest{manifest: manifest(EventNotification).can(Capabilities()...)}
			h.build(g)
			v := r.load(g).current.Load()
			if v.state == nil {
				t.Skip("a module that can change a table is made again")
			}
			in, err := v.pool.take(nil)
			if err != nil {
				t.Fatal(err)
			}
			in.event.kind = EventNotification
			_ = v.perform(in, &turn{})
			defer v.pool.discard(in, false)
			if g.init != nil { // asks the host, so there is no image, and no second instance to compare with
				if in.restorable() != nil {
					t.Error("the instance is put back")
				}
				return
			}
			if wantAgain(t, in) {
				back++
			}
		})
	}
	if back < len(hostiles)/2 {
		t.Errorf("%d of %d instances were put back", back, len(hostiles))
	}
}

// An instance that was put back has the fuel of a new one, and not its predecessor's requests.
func TestRenewed(t *testing.T) {
	r := newRig(t)
	g := &guest{manifest: manifest(EventRequest).can(Async).on(Pinned)}
	// It keeps what comes first, and traps at the next request.
	g.on = seq(load(8), ifThen, unreachable, end, store(8, num(1)), g.give(actionPending, 0, nil))
	m := r.load(g, func(o *ModuleOptions) { o.Limits.Instances = 1 })
	v := m.current.Load()
	r.app.Use("/", m.Handle)
	alice := r.dial("alice", "1")
	for range 3 {
		was := (*v.pool.all.Load())[0]
		alice.ask("/", "kept", "1")
		before := m.Stats()
		alice.ask("/", "trap", "1")
		alice.want(t,
			`{"status":503,"reason":"service unavailable","id":"kept"}`,
			`{"status":500,"reason":"module test 1: trap at event request: wasm error: unreachable","id":"trap"}`)
		is := (*v.pool.all.Load())[0]
		if is.mod != was.mod || is == was || !was.dead {
			t.Error("the instance was not put back")
		}
		if after := m.Stats(); after.Made != before.Made+1 || after.Instances != 1 || after.Pending != 0 {
			t.Errorf("%d made, %d instances, %d pending", after.Made-before.Made, after.Instances, after.Pending)
		}
	}
}

// There is no image where another instance could be different, or where it would take much memory.
func TestNoImage(t *testing.T) {
	for _, tt := range []struct {
		name  string
		start func(g *guest) []byte
		want  bool
	}{
		{"nothing asked", func(*guest) []byte { return nil }, true},
		{"settings", func(g *guest) []byte { return seq(num(0), num(8), g.call("config"), drop) }, true},
		{"memory", func(*guest) []byte { return seq(num(maxImage/pageSize-1), memoryGrow, drop) }, true},
		{"too much memory", func(*guest) []byte { return seq(num(maxImage/pageSize), memoryGrow, drop) }, false},
		{"random", func(g *guest) []byte { return seq(num(0), num(8), g.call("random")) }, false},
		{"clock", func(g *guest) []byte { return seq(num(0), g.call("clock"), drop) }, false},
		{"log", func(g *guest) []byte { return seq(num(0), num(0), num(0), g.call("log")) }, false},
		{"WASI", func(g *guest) []byte { return seq(num(3), num(0), num(0), num(8), g.call(wasiPrefix+"fd_write"), drop) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			g := &guest{manifest: manifest(EventRequest).can(Capabilities()...)}
			g.manifest.Memory = 2 * maxImage
			g.start = tt.start(g)
			g.on = seq(store(8, num(1)), unreachable)
			m := r.load(g)
			v := m.current.Load()
			if got := v.image.Load() != nil; got != tt.want {
				t.Errorf("has an image %v, want %v", got, tt.want)
			}
			r.app.Use("/", m.Handle)
			was := (*v.pool.all.Load())[0].mod
			r.dial("alice", "1").ask("/", "1", "1")
			if all := *v.pool.all.Load(); len(all) == 1 && all[0].mod == was != tt.want {
				t.Errorf("the instance was put back, want %v", tt.want)
			}
			if s := m.Stats(); s.Failures[KindTrap] != 1 {
				t.Errorf("failures %v", s.Failures)
			}
		})
	}
}

// A failure leaves little to be collected: what the engine has of an instance would be 15 KB.
func TestFailureLeavesLittle(t *testing.T) {
	r := newRig(t)
	g := &guest{manifest: manifest(EventNotification)}
	g.on = unreachable
	m := r.load(g, func(o *ModuleOptions) { o.Limits.Restarts = math.MaxInt32 })
	const n, budget = 1000, 8 << 10
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range n {
		m.current.Load().breaker.succeeded()
		if err := m.Notify("go", ""); kind(err) != KindTrap {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / n; each > budget {
		t.Errorf("a failure allocates %d bytes, the budget is %d", each, budget)
	} else {
		t.Logf("a failure allocates %d bytes", each)
	}
}

// BenchmarkFailure is a request that the module fails, with its instance put back and made again.
func BenchmarkFailure(b *testing.B) {
	for _, again := range []bool{true, false} {
		b.Run(map[bool]string{true: "put-back", false: "made-again"}[again], func(b *testing.B) {
			m := benchModule(b, &guest{manifest: manifest(EventRequest), on: unreachable})
			v := m.current.Load()
			v.limits.Restarts = math.MaxInt32
			if !again {
				v.state = (*meter.State)(nil)
				v.image.Store(nil)
			}
			benchRequest(b, func(req *core.Request) {
				b.ReportAllocs()
				for b.Loop() {
					m.current.Load().breaker.succeeded()
					if err := m.Handle(req, nil); kind(err) != KindTrap {
						b.Fatal(err)
					}
				}
			})
		})
	}
}
