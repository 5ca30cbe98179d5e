package limits

import (
	"math"
	"sync/atomic"
	"time"
)

// A Rate is how much there may be in a second, and at once. The zero value is no limit.
type Rate struct {
	PerSecond float64
	Burst     int
}

// longest bounds times that are computed, so that no sum of them overflows.
const longest = 10 * 365 * 24 * time.Hour

// cost is how long n take.
func (r Rate) cost(n int) time.Duration {
	return time.Duration(min(float64(n)/r.PerSecond*float64(time.Second), float64(longest)))
}

// window is how long a burst takes.
func (r Rate) window() time.Duration { return r.cost(max(r.Burst, 1)) }

// per returns a rate whose window is a time, in which it gives back so many.
func per(window time.Duration, n int) Rate {
	return Rate{PerSecond: float64(n) / window.Seconds(), Burst: n}
}

// A bucket is what has been taken of a rate: the time at which all of that will have been given back (the generic cell rate
// algorithm, ITU-T I.371). So it is eight bytes, full when that time has passed, and a rate that changes concerns it at
// once. The zero value is full. Times are those of a clock that begins with the Limits.
type bucket struct{ empty atomic.Int64 }

// take takes n, if that many are there. If not, it takes none and returns how long until they will be.
func (b *bucket) take(now time.Duration, r Rate, n int) (wait time.Duration) {
	cost, window := r.cost(n), r.window()
	for {
		old := b.empty.Load()
		next := max(time.Duration(old), now) + cost
		if wait := next - now - window; wait > 0 {
			return wait
		}
		if b.empty.CompareAndSwap(old, int64(next)) {
			return 0
		}
	}
}

// owe takes n, and returns how long until what is missing will have been given back.
func (b *bucket) owe(now time.Duration, r Rate, n int) (debt time.Duration) {
	cost, window := r.cost(n), r.window()
	for {
		old := b.empty.Load()
		next := min(max(time.Duration(old), now)+cost, now+window+longest)
		if b.empty.CompareAndSwap(old, int64(next)) {
			return max(next-now-window, 0)
		}
	}
}

// borrow takes n unless something is missing already.
func (b *bucket) borrow(now time.Duration, r Rate, n int) (debt time.Duration) {
	if debt := time.Duration(b.empty.Load()) - now - r.window(); debt > 0 {
		return debt
	}
	b.owe(now, r, n)
	return 0
}

// seconds rounds a wait up, for Retry-After.
func seconds(d time.Duration) int { return max(int(math.Ceil(d.Seconds())), 1) }
