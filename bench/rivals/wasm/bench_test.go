package wasm

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tetratelabs/wazero/experimental"
)

// crowd is how many instances are made to find out what one takes.
const crowd = 20

// least runs fn b.N times in batches, and returns the nanoseconds of one in the fastest batch: a noisy machine disturbs some.
func least(b *testing.B, batch int, fn func()) float64 {
	best := math.Inf(1)
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += batch {
		n := min(batch, b.N-i)
		began := time.Now()
		for range n {
			fn()
		}
		if n == batch || math.IsInf(best, 1) {
			best = min(best, float64(time.Since(began))/float64(n))
		}
	}
	b.StopTimer()
	b.ReportMetric(best, "ns-least")
	return best
}

// each runs a benchmark for all hosts without a time limit, and for those that can be without one with it as well.
func each(b *testing.B, run func(b *testing.B, h *host, limited bool)) {
	for _, h := range hosts {
		b.Run(h.name+"/unlimited", func(b *testing.B) {
			if h.ours() {
				b.Skip("fuel is always counted")
			}
			run(b, &h, false)
		})
		b.Run(h.name+"/limited", func(b *testing.B) { run(b, &h, true) })
	}
}

// generous is a time limit that the noise of a machine does not reach: one of 20 ms does end requests that are fine.
var generous = map[bool]time.Duration{true: time.Minute}

func column(what string, limited bool) string {
	if limited {
		return what + ", limited"
	}
	return what
}

// BenchmarkRequest shows a guest a request of 300 bytes: it looks at six fields, changes one and passes it on.
func BenchmarkRequest(b *testing.B) {
	each(b, func(b *testing.B, h *host, limited bool) {
		s := mustInstance(b, h, options{limit: generous[limited]})
		r := newRequest()
		fn := func() {
			if err := s.request(r); err != nil {
				b.Fatal(err)
			}
		}
		ns, allocs := least(b, 50, fn), testing.AllocsPerRun(50, fn)
		costs.set(h, column("request → next", limited), fmt.Sprintf("%s ns, %.0f", digits(ns), allocs))
	})
}

// BenchmarkRequestAndResponse is BenchmarkRequest and the response to it, which the guest looks at.
func BenchmarkRequestAndResponse(b *testing.B) {
	each(b, func(b *testing.B, h *host, limited bool) {
		var ns, allocs float64
		if h.ours() {
			ns, allocs = oursWithResponse(b, h)
		} else {
			s := mustInstance(b, h, options{limit: generous[limited]})
			r := newRequest()
			fn := func() {
				if err := s.request(r); err != nil {
					b.Fatal(err)
				}
				if err := s.response(200); err != nil {
					b.Fatal(err)
				}
			}
			ns, allocs = least(b, 50, fn), testing.AllocsPerRun(50, fn)
		}
		costs.set(h, column("request + response", limited), fmt.Sprintf("%s ns, %.0f", digits(ns), allocs))
	})
}

// oursWithResponse is what a module adds to a request and its response on their way through core. The two take turns, so that
// both have quiet moments.
func oursWithResponse(b *testing.B, h *host) (ns, allocs float64) {
	with, err := throughCore(mustLoad(b, h, options{watch: true}).(*protooModule).module)
	if err != nil {
		b.Fatal(err)
	}
	without, err := throughCore(nil)
	if err != nil {
		b.Fatal(err)
	}
	const batch = 50
	all, base := math.Inf(1), math.Inf(1)
	b.ResetTimer()
	for i := 0; i < b.N; i += batch {
		for _, side := range []struct {
			fn   func()
			best *float64
		}{{with, &all}, {without, &base}} {
			began := time.Now()
			for range batch {
				side.fn()
			}
			*side.best = min(*side.best, float64(time.Since(began))/batch)
		}
	}
	b.ReportMetric(0, "ns/op") // of both
	b.ReportMetric(all-base, "ns-least")
	return all - base, testing.AllocsPerRun(50, with) - testing.AllocsPerRun(50, without)
}

// BenchmarkInstance makes an instance for every request, and closes it.
func BenchmarkInstance(b *testing.B) {
	for _, h := range hosts {
		b.Run(h.name, func(b *testing.B) {
			l := mustLoad(b, &h, options{fresh: true})
			r := newRequest()
			ns := least(b, 1, func() {
				s, err := l.instance(context.Background())
				if err != nil {
					b.Fatal(err)
				}
				if err := s.request(r); err != nil {
					b.Fatal(err)
				}
				if err := s.close(); err != nil {
					b.Fatal(err)
				}
			})
			costs.set(&h, "instance + request", digits(ns/1000)+" µs")
			all, guest := takes(b, &h)
			b.ReportMetric(all, "B/instance")
			costs.set(&h, "memory of an instance", digits(all/1000)+" KB")
			if guest > 0 {
				b.ReportMetric(all-guest, "B-host/instance")
				costs.set(&h, "of it the host's", digits((all-guest)/1000)+" KB")
			}
		})
	}
}

// takes returns what an instance takes that has had a request, and how much of it is the guest's memory, 0 if that is not known.
func takes(b *testing.B, h *host) (all, guest float64) {
	n := crowd
	var linear allocator
	ctx := experimental.WithMemoryAllocator(context.Background(), &linear)
	var before, after runtime.MemStats
	var kept []subject
	read := func(m *runtime.MemStats) {
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(m)
	}
	if h.ours() {
		m := mustLoad(b, h, options{runaway: "spin"}).(*protooModule)
		read(&before)
		n = m.hold(crowd) - 1 // one has been there
		read(&after)
		if n < crowd/2 {
			b.Fatalf("%d instances", n)
		}
		if !h.inGo {
			guest = page
		}
	} else {
		l := mustLoad(b, h, options{})
		read(&before)
		for range n {
			s, err := l.instance(ctx)
			if err != nil {
				b.Fatal(err)
			}
			if err := s.request(newRequest()); err != nil {
				b.Fatal(err)
			}
			kept = append(kept, s)
		}
		read(&after)
		guest = page
		if h.inGo {
			guest = float64(linear.bytes.Load()) / float64(n)
		}
	}
	for _, s := range kept {
		if err := s.close(); err != nil {
			b.Error(err)
		}
	}
	return float64(int64(after.HeapAlloc-before.HeapAlloc)) / float64(n), guest
}

// page is the memory of the guests in assembler.
const page = 65536

// allocator counts memories, as the engine would make them.
type allocator struct{ bytes atomic.Int64 }

func (a *allocator) Allocate(capacity, _ uint64) experimental.LinearMemory {
	return &linear{allocator: a, b: make([]byte, 0, capacity)}
}

type linear struct {
	allocator *allocator
	b         []byte
}

func (l *linear) Reallocate(size uint64) []byte {
	l.allocator.bytes.Add(int64(size) - int64(len(l.b)))
	if size > uint64(cap(l.b)) {
		l.b = append(make([]byte, 0, size), l.b...)
	}
	l.b = l.b[:size]
	return l.b
}

func (l *linear) Free() { l.b = nil }

func mustInstance(b *testing.B, h *host, o options) subject {
	b.Helper()
	s, err := mustLoad(b, h, o).instance(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

// digits shows a number with three significant ones.
func digits(n float64) string {
	if n >= 100 {
		return fmt.Sprintf("%.0f", n)
	}
	return fmt.Sprintf("%.3g", n)
}
