package wasmhost

import (
	"sync/atomic"
	"time"
)

const (
	breakAfter = 5 // failures in a row
	breakFirst = time.Second
	breakMost  = 30 * time.Second
)

// A breaker keeps events from a module that fails all the time: after some failures in a row it asks the module
// only once in a while whether it works again, first after a second, later after half a minute.
type breaker struct {
	failures atomic.Int64 // in a row
	until    atomic.Int64 // nanoseconds since epoch; 0 while all is well
}

// epoch is where times are counted from that have to fit into an atomic integer.
var epoch = time.Now()

// allow tells whether the module is to be told of an event.
func (b *breaker) allow() bool {
	until := b.until.Load()
	if until == 0 {
		return true
	}
	now := int64(time.Since(epoch))
	return now >= until && b.until.CompareAndSwap(until, now+int64(b.pause()))
}

func (b *breaker) open() bool { return b.until.Load() != 0 }

func (b *breaker) succeeded() {
	if b.failures.Load() != 0 {
		b.failures.Store(0)
		b.until.Store(0)
	}
}

func (b *breaker) failed() {
	if b.failures.Add(1) >= breakAfter {
		b.until.Store(int64(time.Since(epoch) + b.pause()))
	}
}

func (b *breaker) pause() time.Duration {
	n := min(max(b.failures.Load()-breakAfter, 0), 10)
	return min(breakFirst<<n, breakMost)
}
