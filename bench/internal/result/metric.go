package result

import (
	"time"

	"github.com/protoo-go/protoo/bench/internal/load"
	"github.com/protoo-go/protoo/bench/internal/machine"
)

// A Metric is a figure that a run has.
type Metric struct {
	Name string
	Unit string
	// More says that more of it is better.
	More bool
	// Timed says that it means nothing when the generator was the limit.
	Timed bool
	// Cost says that it means nothing when something else had the processors. That goes for what is timed as well.
	Cost  bool
	value func(*load.Measurement) (float64, bool)
}

// The metrics.
var (
	CPU        = Metric{Name: "cpu", Unit: "µs", Cost: true, value: perRequest(func(m *load.Measurement) float64 { return micros(m.Server.Total()) })}
	Sent       = Metric{Name: "to-server", Unit: "B", value: perRequest(func(m *load.Measurement) float64 { return float64(m.Traffic.Sent) })}
	Received   = Metric{Name: "to-client", Unit: "B", value: perRequest(func(m *load.Measurement) float64 { return float64(m.Traffic.Received) })}
	Generator  = Metric{Name: "generator", Unit: "µs", Cost: true, value: perRequest(func(m *load.Measurement) float64 { return micros(m.Generator.CPU.Total()) })}
	Delay      = Metric{Name: "delay", Unit: "µs", value: delay}
	Throughput = Metric{Name: "rate", Unit: "/s", More: true, Timed: true, value: throughput}
	P50        = Metric{Name: "p50", Unit: "µs", Timed: true, value: quantile(0.5)}
	P99        = Metric{Name: "p99", Unit: "µs", Timed: true, value: quantile(0.99)}
	Memory     = Metric{Name: "memory", Unit: "B", value: perPeer}
)

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func perRequest(of func(*load.Measurement) float64) func(*load.Measurement) (float64, bool) {
	return func(m *load.Measurement) (float64, bool) {
		if m.Requests == 0 {
			return 0, false
		}
		return of(m) / float64(m.Requests), true
	}
}

// delay is what 99 of 100 of the generator's goroutines have not waited for longer, once they were ready.
func delay(m *load.Measurement) (float64, bool) {
	return micros(m.Generator.Scheduling), m.Requests > 0
}

func throughput(m *load.Measurement) (float64, bool) {
	return float64(m.Requests) / m.Elapsed.Seconds(), m.Requests > 0
}

func quantile(q float64) func(*load.Measurement) (float64, bool) {
	return func(m *load.Measurement) (float64, bool) {
		if !m.Latency.Tells(q) {
			return 0, false
		}
		d := m.Latency.Quantile(q)
		return micros(d), d < load.Never
	}
}

// perPeer is the slope between the first peers and the last: what the first ones cost besides belongs to the program.
func perPeer(m *load.Measurement) (float64, bool) {
	if len(m.Memory) < 3 {
		return 0, false
	}
	first, last := m.Memory[1], m.Memory[len(m.Memory)-1]
	if last.Peers <= first.Peers {
		return 0, false
	}
	return (float64(last.Resident) - float64(first.Resident)) / float64(last.Peers-first.Peers), true
}

// Of returns the metric of a run, if it has one that counts.
func (m Metric) Of(r Run) (float64, bool) {
	if r.Invalid != "" || m.Timed && !r.Timed() || m.Cost && r.Starved != "" {
		return 0, false
	}
	return m.value(r.Measurement)
}

// Values returns the metric of all runs that have one.
func (m Metric) Values(s *Series) []float64 {
	var values []float64
	for _, r := range s.Runs {
		if v, ok := m.Of(r); ok {
			values = append(values, v)
		}
	}
	return values
}

// Parts divides the median of the CPU per request into user and system time, in µs, by what all valid runs together used of each.
func Parts(s *Series) (user, system float64, ok bool) {
	values := CPU.Values(s)
	if len(values) == 0 {
		return 0, 0, false
	}
	var sum machine.CPU
	for _, run := range s.Runs {
		if _, counts := CPU.Of(run); counts {
			sum.User += run.Server.User
			sum.System += run.Server.System
		}
	}
	total := Median(values)
	if sum.Total() > 0 {
		user = total * float64(sum.User) / float64(sum.Total())
	}
	return user, total - user, true
}
