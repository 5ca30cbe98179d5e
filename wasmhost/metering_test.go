package wasmhost

import (
	"context"
	"testing"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/protoo-go/protoo/core"
)

// A module's functions with the metering and without it, in two instances that are told of the same events.
type meteredPair struct {
	metered, plain *instance
	on             api.Function // of plain
}

func newMeteredPair(tb testing.TB, file []byte) *meteredPair {
	h, err := New(Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = h.Close() })
	ctx := context.Background()
	m, err := h.Load(ctx, file, ModuleOptions{Grants: Capabilities()})
	if err != nil {
		tb.Fatal(err)
	}
	v := m.current.Load()
	p := &meteredPair{}
	if p.metered, err = v.instantiate(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(p.metered.close)
	p.plain = newPlain(tb, v, file)
	tb.Cleanup(p.plain.close)
	p.plain.fuel, p.on = p.metered.fuel, p.plain.mod.ExportedFunction(exportOn) // what host functions charge has its usual cost
	return p
}

// tell tells both instances of a request, and of its return if they want to know, and returns how long they were at it.
func (p *meteredPair) tell(tb testing.TB, req *core.Request) (metered, plain time.Duration) {
	for i, in := range []*instance{p.metered, p.plain} {
		in.event = event{kind: EventRequest, token: newToken(), req: req}
		for range 2 {
			size, err := in.writeFrame()
			if err != nil {
				tb.Fatal(err)
			}
			in.budget.Total = in.version.fuel
			in.left = in.budget.Start()
			var r uint64
			began := time.Now()
			if i == 0 {
				r, err = in.enter(callOn, uint64(in.event.kind), uint64(size))
				metered += time.Since(began)
			} else {
				in.stack[0], in.stack[1] = uint64(in.event.kind), uint64(size)
				err = p.on.CallWithStack(in, in.stack[:])
				plain += time.Since(began)
				r = in.stack[0]
			}
			if err != nil {
				tb.Fatal(err)
			}
			in.outbox = nil
			if result(r).flags()&flagReturned == 0 {
				break
			}
			in.event.kind = EventReturned
		}
	}
	return metered, plain
}

// clockTakes returns what the clock itself adds to so many measurements.
func clockTakes(rounds int) time.Duration {
	least := time.Duration(1 << 62)
	for range 1000 {
		var sum time.Duration
		for range rounds {
			sum += time.Since(time.Now())
		}
		least = min(least, sum)
	}
	return least
}

// BenchmarkMetering compares modules with the metering to the same without it. They take turns, and the least time of each
// counts, since a noisy machine disturbs both: the ratio is what to look at.
func BenchmarkMetering(b *testing.B) {
	modules := map[string][]byte{"go": goGuest(b, "access", manifest(EventRequest, EventReturned).push("path", "param", "peer"))}
	for _, language := range languages {
		modules[language] = builtGuest(b, language, "access")
	}
	for _, language := range sortedKeys(modules) {
		b.Run(language, func(b *testing.B) {
			p := newMeteredPair(b, modules[language])
			benchRequest(b, func(req *core.Request) {
				const rounds = 100 // short enough to be undisturbed now and then
				clock := clockTakes(rounds)
				best := [2]time.Duration{1 << 62, 1 << 62}
				for b.Loop() {
					var sum [2]time.Duration
					for range rounds {
						metered, plain := p.tell(b, req)
						sum[0] += metered
						sum[1] += plain
					}
					best[0], best[1] = min(best[0], sum[0]-clock), min(best[1], sum[1]-clock)
				}
				b.ReportMetric(float64(best[0])/float64(best[1]), "ratio")
				b.ReportMetric(float64(best[0])/rounds, "ns-metered")
				b.ReportMetric(float64(best[1])/rounds, "ns-plain")
			})
		})
	}
}
