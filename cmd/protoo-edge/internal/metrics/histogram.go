package metrics

import (
	"sync/atomic"
	"time"
	"unsafe"
)

// shards is how many copies there are of what every request writes to. Processors that write to the same memory wait for each
// other, which would cost more than all the rest.
const shards = 8

// shard returns the number of the copy for the calling goroutine. Those that do the most live long, and so do their stacks.
func shard() int {
	var here byte
	return int(uintptr(unsafe.Pointer(&here))>>13) % shards // stacks have 8 KiB or more when they do any work
}

// maxBuckets is what fits into a histogram, with the one beyond the last bound.
const maxBuckets = 20

// cells are one copy of a histogram.
type cells struct {
	counts [maxBuckets]atomic.Uint64
	sum    atomic.Int64 // nanoseconds
	_      [24]byte     // up to a multiple of a cache line
}

// A histogram counts durations. It costs a request less than one of client_golang, which counts in floating-point numbers.
type histogram struct {
	bounds []time.Duration
	cells  [shards]cells
}

// init says up to which durations there are buckets.
func (h *histogram) init(bounds []time.Duration) {
	if len(bounds) >= maxBuckets {
		panic("metrics: too many buckets")
	}
	h.bounds = bounds
}

func (h *histogram) observe(took time.Duration) { h.observeIn(shard(), took) }

func (h *histogram) observeIn(shard int, took time.Duration) {
	i := 0
	for i < len(h.bounds) && took > h.bounds[i] {
		i++
	}
	c := &h.cells[shard]
	c.counts[i].Add(1)
	c.sum.Add(int64(took))
}

// A snapshot is a histogram as Prometheus wants it.
type snapshot struct {
	count   uint64
	sum     float64            // seconds
	buckets map[float64]uint64 // how many took up to so many seconds
}

func (h *histogram) snapshot() snapshot {
	s := snapshot{buckets: make(map[float64]uint64, len(h.bounds))}
	for i := range len(h.bounds) + 1 {
		for j := range h.cells {
			s.count += h.cells[j].counts[i].Load()
		}
		if i < len(h.bounds) {
			s.buckets[h.bounds[i].Seconds()] = s.count
		}
	}
	var sum int64
	for j := range h.cells {
		sum += h.cells[j].sum.Load()
	}
	s.sum = time.Duration(sum).Seconds()
	return s
}
