// Package kv is a small store of keys and values in memory, for what the instances of a module have
// in common: counters of a rate limiter, a few cached answers. Everything in it is bounded, and everything may expire.
package kv

import (
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Options are a store's bounds. Zero values mean the defaults.
type Options struct {
	MaxKeys  int // how many keys, default 65,536
	MaxKey   int // bytes of one key, default 256
	MaxValue int // bytes of one value, default 4,096
	MaxBytes int // bytes of all keys and values, default 4 MiB
}

// Errors of a store, wrapped with the figures.
var (
	// ErrFull says that the store has no room, even without what has expired.
	ErrFull = errors.New("kv: store is full")
	// ErrTooLarge says that a key is empty or too long, or a value too long.
	ErrTooLarge = errors.New("kv: key or value has a size that is not allowed")
	// ErrNotNumber is what Add returns when the value was not written by Add and has not 8 bytes.
	ErrNotNumber = errors.New("kv: value is not a number")
)

// A Store maps keys to values. Any goroutine may use it.
type Store struct {
	options Options

	mu      sync.Mutex
	entries map[string]*entry
	expiry  expiries
	bytes   int
}

type entry struct {
	key      string
	value    []byte
	deadline time.Time // zero: never
	position int       // in the heap, -1 when it never expires
}

// New returns an empty store.
func New(o Options) *Store {
	o.MaxKeys = cmp.Or(o.MaxKeys, 65536)
	o.MaxKey = cmp.Or(o.MaxKey, 256)
	o.MaxValue = cmp.Or(o.MaxValue, 4096)
	o.MaxBytes = cmp.Or(o.MaxBytes, 4<<20)
	return &Store{options: o, entries: make(map[string]*entry)}
}

// Get appends the value of key to dst and tells whether there is one.
func (s *Store) Get(dst, key []byte) ([]byte, bool) {
	if s.check(key, nil) != nil {
		return dst, false // to look for it would take as long as it is, with the store locked
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.find(key)
	if e == nil {
		return dst, false
	}
	return append(dst, e.value...), true
}

// CompareAndSwap stores the value if the present one equals old, and tells whether it did. A nil old
// stands for a key that does not exist, a nil value deletes the key. The key expires after ttl; zero means never.
func (s *Store) CompareAndSwap(key, old, value []byte, ttl time.Duration) (bool, error) {
	if err := s.check(key, value); err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.find(key)
	if (e == nil) != (old == nil) || e != nil && string(e.value) != string(old) {
		return false, nil
	}
	if value == nil {
		if e != nil {
			s.remove(e)
		}
		return true, nil
	}
	if e == nil {
		var err error
		if e, err = s.insert(key, len(value)); err != nil {
			return false, err
		}
	} else if err := s.grow(len(value)-len(e.value), e); err != nil {
		return false, err
	}
	s.bytes += len(value) - len(e.value)
	e.set(value)
	s.schedule(e, ttl)
	return true, nil
}

// Add adds delta to the number at key, which is zero where there is none, and returns the sum. A key that Add
// makes expires after ttl, zero means never; an existing key keeps its time, which makes a counter a window.
// Numbers are values of 8 bytes, little endian; the sum wraps around.
func (s *Store) Add(key []byte, delta int64, ttl time.Duration) (int64, error) {
	if err := s.check(key, nil); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.find(key)
	if e == nil {
		var err error
		if e, err = s.insert(key, 8); err != nil {
			return 0, err
		}
		e.value = make([]byte, 8)
		s.bytes += 8
		s.schedule(e, ttl)
	}
	if len(e.value) != 8 {
		return 0, fmt.Errorf("%w: it has %d bytes, a number has 8", ErrNotNumber, len(e.value))
	}
	sum := int64(binary.LittleEndian.Uint64(e.value)) + delta
	binary.LittleEndian.PutUint64(e.value, uint64(sum))
	return sum, nil
}

// Stats says how much is stored, counting what has expired and is still there.
type Stats struct{ Keys, Bytes int }

// Stats returns the figures of this moment.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{Keys: len(s.entries), Bytes: s.bytes}
}

// set keeps a copy of value, in no more memory than that needs: MaxBytes counts values, not what they once were.
func (e *entry) set(value []byte) {
	if len(value) != len(e.value) {
		e.value = make([]byte, len(value))
	}
	copy(e.value, value)
}

func (s *Store) check(key, value []byte) error {
	if len(key) == 0 || len(key) > s.options.MaxKey {
		return fmt.Errorf("%w: key has %d bytes, want 1 to %d", ErrTooLarge, len(key), s.options.MaxKey)
	}
	if len(value) > s.options.MaxValue {
		return fmt.Errorf("%w: value has %d bytes, at most %d are allowed", ErrTooLarge, len(value), s.options.MaxValue)
	}
	return nil
}

// find returns the entry of key unless it has expired.
func (s *Store) find(key []byte) *entry {
	e := s.entries[string(key)]
	if e != nil && !e.deadline.IsZero() && !time.Now().Before(e.deadline) {
		s.remove(e)
		return nil
	}
	return e
}

// insert makes room for a key and a value of size bytes, and enters the key.
func (s *Store) insert(key []byte, size int) (*entry, error) {
	if err := s.grow(len(key)+size, nil); err != nil {
		return nil, err
	}
	if len(s.entries) >= s.options.MaxKeys {
		return nil, fmt.Errorf("%w: it has %d keys", ErrFull, len(s.entries))
	}
	e := &entry{key: string(key), position: -1}
	s.entries[e.key] = e
	s.bytes += len(e.key)
	return e, nil
}

// grow makes room for n bytes more by removing what has expired, except for keep. That happens with every new
// key, so a store is never full of what is no longer wanted.
func (s *Store) grow(n int, keep *entry) error {
	now := time.Now()
	for len(s.expiry) > 0 && s.expiry[0] != keep && !now.Before(s.expiry[0].deadline) {
		s.remove(s.expiry[0])
	}
	if s.bytes+n > s.options.MaxBytes {
		return fmt.Errorf("%w: it has %d bytes, %d more exceed %d", ErrFull, s.bytes, n, s.options.MaxBytes)
	}
	return nil
}

func (s *Store) remove(e *entry) {
	delete(s.entries, e.key)
	s.bytes -= len(e.key) + len(e.value)
	if e.position >= 0 {
		heap.Remove(&s.expiry, e.position)
	}
}

func (s *Store) schedule(e *entry, ttl time.Duration) {
	switch {
	case ttl > 0:
		e.deadline = time.Now().Add(ttl)
		if e.position < 0 {
			heap.Push(&s.expiry, e)
		} else {
			heap.Fix(&s.expiry, e.position)
		}
	case e.position >= 0:
		heap.Remove(&s.expiry, e.position)
		e.deadline = time.Time{}
	}
}

// expiries is a heap, the entry that expires first in front.
type expiries []*entry

func (x expiries) Len() int           { return len(x) }
func (x expiries) Less(i, j int) bool { return x[i].deadline.Before(x[j].deadline) }
func (x expiries) Swap(i, j int) {
	x[i], x[j] = x[j], x[i]
	x[i].position, x[j].position = i, j
}

func (x *expiries) Push(v any) {
	e := v.(*entry)
	e.position = len(*x)
	*x = append(*x, e)
}

func (x *expiries) Pop() any {
	last := len(*x) - 1
	e := (*x)[last]
	(*x)[last] = nil
	*x = (*x)[:last]
	e.position = -1
	return e
}
