package limits

import (
	"math"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestTake(t *testing.T) {
	const ms = time.Millisecond
	var b bucket
	r := Rate{PerSecond: 10, Burst: 3}
	for i, tt := range []struct{ now, wait time.Duration }{
		{0, 0}, {0, 0}, {0, 0}, {0, 100 * ms}, {60 * ms, 40 * ms}, {100 * ms, 0}, {100 * ms, 100 * ms},
		{1000 * ms, 0}, {1000 * ms, 0}, {1000 * ms, 0}, {1000 * ms, 100 * ms}, // no more than a burst has been collected
	} {
		if got := b.take(tt.now, r, 1); got != tt.wait {
			t.Errorf("%d: at %v: got %v, want %v", i, tt.now, got, tt.wait)
		}
	}
	// A rate that changes concerns the bucket at once.
	if got := b.take(1000*ms, Rate{PerSecond: 10, Burst: 4}, 1); got != 0 {
		t.Errorf("with a larger burst: got %v", got)
	}
	if got := b.take(1000*ms, Rate{PerSecond: 1, Burst: 1}, 1); got != 400*ms {
		t.Errorf("with a smaller rate: got %v", got)
	}
	var fine bucket
	if r := (Rate{PerSecond: 3, Burst: 3}); fine.take(0, r, 1)+fine.take(0, r, 1)+fine.take(0, r, 1) != 0 {
		t.Error("a burst is not there as a whole")
	}
}

func TestOwe(t *testing.T) {
	var b bucket
	r := Rate{PerSecond: 1000, Burst: 500}
	for i, tt := range []struct {
		at   time.Duration
		n    int
		debt time.Duration
	}{
		{0, 500, 0}, {0, 100, 100 * time.Millisecond}, {0, 1000, 1100 * time.Millisecond}, {time.Second, 0, 100 * time.Millisecond},
		{2 * time.Second, 400, 0}, {2 * time.Second, math.MaxInt32, longest - 0},
	} {
		if got := b.owe(tt.at, r, tt.n); got != tt.debt && !(i == 5 && got > time.Hour && got <= longest) {
			t.Errorf("%d: got %v, want %v", i, got, tt.debt)
		}
	}
	for range 100 {
		b.owe(0, Rate{PerSecond: 0.001, Burst: 1}, math.MaxInt32)
	}
	if debt := b.owe(0, Rate{PerSecond: 0.001, Burst: 1}, 0); debt <= 0 || debt > longest {
		t.Errorf("debts have grown to %v", debt)
	}

	var lent bucket
	if lent.borrow(0, r, 5000) != 0 || lent.borrow(0, r, 1) != 4500*time.Millisecond || lent.borrow(4500*time.Millisecond, r, 1) != 0 {
		t.Error("borrowed more, or less, than once")
	}
}

// TestTakeTogether takes from one bucket on many goroutines: never more than there is.
func TestTakeTogether(t *testing.T) {
	var b bucket
	var taken atomic.Int64
	var running sync.WaitGroup
	for range 8 {
		running.Go(func() {
			for range 1000 {
				if b.take(time.Second, Rate{PerSecond: 7, Burst: 100}, 1) == 0 {
					taken.Add(1)
				}
			}
		})
	}
	running.Wait()
	if taken.Load() != 100 {
		t.Errorf("%d were taken, want 100", taken.Load())
	}
}

// TestTable has more come than a table takes. Those with a bucket keep it, the others share one, and all of it is forgotten in time.
func TestTable(t *testing.T) {
	table := newTable[int]()
	r := Rate{PerSecond: 1, Burst: 2}
	take := func(now time.Duration, key int) time.Duration {
		return table.use(now, key, func(b *bucket) time.Duration { return b.take(now, r, 1) })
	}
	const many = 4 * shards * shardSize
	refused := 0
	for key := range many {
		if take(0, key) > 0 {
			refused++
		}
	}
	if n := table.size(); n > shards*shardSize {
		t.Errorf("%d buckets, at most %d may be", n, shards*shardSize)
	}
	if own := table.size(); refused != many-own-2 {
		t.Errorf("%d were refused, want all without a bucket of their own, but for a burst: %d", refused, many-own-2)
	}
	if take(0, 0) != 0 || take(0, 0) == 0 {
		t.Error("the first has no bucket of its own any more")
	}
	for key := range 100 {
		take(time.Hour, many+key)
	}
	if n := table.size(); n > shards*shardSize/2 {
		t.Errorf("%d buckets are left of those that are full", n)
	}
	if table.remove(0) != 0 || take(time.Hour, 1) != 0 || table.remove(1) != time.Hour+time.Second {
		t.Error("a bucket has not been removed as it was")
	}
}

func TestExempt(t *testing.T) {
	o := &Options{Exempt: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("2001:db8::5/128")}}
	for remote, want := range map[string]bool{
		"127.0.0.1:80": true, "[::ffff:127.1.2.3]:80": true, "128.0.0.1:80": false, "[2001:db8::5]:1": true, "[2001:db8::6]:1": false, "@": false,
	} {
		if got := isExempt(o, remote); got != want {
			t.Errorf("%s is exempt: got %v, want %v", remote, got, want)
		}
	}
}

func BenchmarkTake(b *testing.B) {
	var bucket bucket
	r := Rate{PerSecond: 1e9, Burst: 1e9}
	var now time.Duration
	for b.Loop() {
		now += time.Microsecond
		if bucket.take(now, r, 1) > 0 {
			b.Fatal("empty")
		}
	}
}
