package machine

import (
	"runtime/metrics"
	"time"
)

// Delays are how long goroutines of this process have waited for their turn, since it began.
type Delays struct{ histogram metrics.Float64Histogram }

// SchedulingDelays reads them.
func SchedulingDelays() Delays {
	sample := []metrics.Sample{{Name: "/sched/latencies:seconds"}}
	metrics.Read(sample)
	h := sample[0].Value.Float64Histogram()
	return Delays{metrics.Float64Histogram{Counts: append([]uint64(nil), h.Counts...), Buckets: h.Buckets}}
}

// Quantile returns an upper bound for the q-th quantile of the delays since earlier, within the runtime's buckets.
func (d Delays) Quantile(earlier Delays, q float64) time.Duration {
	var total uint64
	for i, n := range d.histogram.Counts {
		total += n - earlier.histogram.Counts[i]
	}
	if total == 0 {
		return 0
	}
	var sum uint64
	for i, n := range d.histogram.Counts {
		sum += n - earlier.histogram.Counts[i]
		if float64(sum) >= q*float64(total) {
			// The last bucket has no upper bound.
			upper := d.histogram.Buckets[min(i+1, len(d.histogram.Buckets)-2)]
			return time.Duration(upper * float64(time.Second))
		}
	}
	return 0
}
