package limits

import (
	"hash/maphash"
	"sync"
	"time"
)

// A table has a bucket for each of many. Those that are full are forgotten, and those that find no room share one, so that what
// strangers can make it hold is bounded.
type table[K comparable] struct {
	seed   maphash.Seed
	shards [shards]shard[K]
	rest   bucket
}

type shard[K comparable] struct {
	mu      sync.Mutex
	buckets map[K]*bucket
	sweep   int           // at this size, full ones are looked for
	swept   time.Duration // when they were last
}

const (
	shards    = 16
	shardSize = 4096
	// sweepEvery is the least time between two looks at a shard that has no room.
	sweepEvery = time.Second
)

func newTable[K comparable]() *table[K] { return &table[K]{seed: maphash.MakeSeed()} }

// use calls fn with a key's bucket, which is not to be kept.
func (t *table[K]) use(now time.Duration, key K, fn func(*bucket) time.Duration) time.Duration {
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[key]
	if b == nil {
		if b = s.add(now, key); b == nil {
			b = &t.rest
		}
	}
	return fn(b)
}

// remove forgets a key, and returns what its bucket was.
func (t *table[K]) remove(key K) (empty time.Duration) {
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[key]
	if b == nil {
		return 0
	}
	delete(s.buckets, key)
	return time.Duration(b.empty.Load())
}

func (t *table[K]) shard(key K) *shard[K] {
	return &t.shards[maphash.Comparable(t.seed, key)%shards]
}

// add returns nil when there is no room. s.mu is held.
func (s *shard[K]) add(now time.Duration, key K) *bucket {
	if len(s.buckets) >= s.sweep && (len(s.buckets) < shardSize || now-s.swept >= sweepEvery) {
		// A map never shrinks, so that those which are not full move to another.
		kept := make(map[K]*bucket)
		for k, b := range s.buckets {
			if time.Duration(b.empty.Load()) > now {
				kept[k] = b
			}
		}
		s.buckets, s.swept = kept, now
		s.sweep = min(max(2*len(kept), 64), shardSize)
	}
	if len(s.buckets) >= shardSize {
		return nil
	}
	b := new(bucket)
	s.buckets[key] = b
	return b
}

// size counts the buckets.
func (t *table[K]) size() int {
	n := 0
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		n += len(s.buckets)
		s.mu.Unlock()
	}
	return n
}
