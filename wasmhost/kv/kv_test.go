package kv

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func (s *Store) text(key string) string {
	v, ok := s.Get(nil, []byte(key))
	if !ok {
		return "absent"
	}
	return string(v)
}

func TestCompareAndSwap(t *testing.T) {
	s := New(Options{})
	steps := []struct {
		old, value []byte
		swapped    bool
		want       string
	}{
		{[]byte("x"), []byte("a"), false, "absent"},
		{nil, []byte("a"), true, "a"},
		{nil, []byte("b"), false, "a"},
		{[]byte("a"), []byte(""), true, ""},
		{nil, []byte("c"), false, ""}, // an empty value is not an absent one
		{[]byte(""), []byte("longer than before"), true, "longer than before"},
		{[]byte("longer than before"), nil, true, "absent"},
		{nil, nil, true, "absent"},
	}
	for i, step := range steps {
		swapped, err := s.CompareAndSwap([]byte("k"), step.old, step.value, 0)
		if err != nil || swapped != step.swapped || s.text("k") != step.want {
			t.Errorf("step %d: %v, %v, then %q; want %v and %q", i, swapped, err, s.text("k"), step.swapped, step.want)
		}
	}
	if got := s.Stats(); got != (Stats{}) {
		t.Errorf("after the last key is deleted: %+v", got)
	}
}

// A store holds on to no more memory than it counts.
func TestShorterValues(t *testing.T) {
	s := New(Options{})
	long := []byte(strings.Repeat("x", 4096))
	for _, value := range []string{"short", ""} {
		if ok, err := s.CompareAndSwap([]byte("k"), nil, long, 0); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if ok, err := s.CompareAndSwap([]byte("k"), long, []byte(value), 0); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if n := cap(s.entries["k"].value); s.text("k") != value || n > 2*len(value) {
			t.Errorf("%q in %d bytes of memory, want %q", s.text("k"), n, value)
		}
		if ok, err := s.CompareAndSwap([]byte("k"), []byte(value), nil, 0); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
}

// A key that cannot be in the store is not looked for: that would take the longer the longer it is.
func TestGetLongKey(t *testing.T) {
	s := New(Options{MaxKey: 4})
	for key, want := range map[string]string{"key": "1", "": "absent", "longer": "absent"} {
		if want != "absent" {
			if _, err := s.CompareAndSwap([]byte(key), nil, []byte(want), 0); err != nil {
				t.Fatal(err)
			}
		} else {
			s.entries[key] = &entry{key: key, value: []byte("found")}
		}
		if got := s.text(key); got != want {
			t.Errorf("%q: got %q, want %q", key, got, want)
		}
	}
}

func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{})
		add := func(key string, ttl time.Duration, want int64) {
			t.Helper()
			if got, err := s.Add([]byte(key), 1, ttl); err != nil || got != want {
				t.Errorf("%v: Add(%s) = %d, %v, want %d", time.Now(), key, got, err, want)
			}
		}
		add("window", time.Second, 1)
		time.Sleep(900 * time.Millisecond)
		add("window", time.Second, 2) // does not prolong it
		time.Sleep(100 * time.Millisecond)
		add("window", time.Second, 1)

		for _, ttl := range []time.Duration{time.Second, time.Hour, 0} {
			if _, err := s.CompareAndSwap([]byte(ttl.String()), nil, []byte("v"), ttl); err != nil {
				t.Fatal(err)
			}
		}
		// A new time replaces the old one, in both directions.
		for key, ttl := range map[string]time.Duration{"1h0m0s": time.Minute, "0s": time.Minute, "1s": 0} {
			if ok, err := s.CompareAndSwap([]byte(key), []byte("v"), []byte("w"), ttl); !ok || err != nil {
				t.Fatal(key, ok, err)
			}
		}
		time.Sleep(time.Minute)
		if s.text("1h0m0s") != "absent" || s.text("0s") != "absent" || s.text("1s") != "w" {
			t.Errorf("after a minute: %s %s %s", s.text("1h0m0s"), s.text("0s"), s.text("1s"))
		}
	})
}

func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{MaxKeys: 3, MaxKey: 4, MaxValue: 10, MaxBytes: 40})
		set := func(key string, size int, ttl time.Duration) error {
			_, err := s.CompareAndSwap([]byte(key), nil, []byte(strings.Repeat("v", size)), ttl)
			return err
		}
		for _, c := range []struct {
			key  string
			size int
		}{{"", 1}, {"12345", 1}, {"k", 11}} {
			if err := set(c.key, c.size, 0); !errors.Is(err, ErrTooLarge) {
				t.Errorf("key of %d bytes, value of %d: %v, want %v", len(c.key), c.size, err, ErrTooLarge)
			}
		}
		for _, key := range []string{"a", "b", "c"} {
			if err := set(key, 10, time.Second); err != nil {
				t.Fatal(err)
			}
		}
		if err := set("d", 0, 0); !errors.Is(err, ErrFull) {
			t.Errorf("a fourth key: %v, want %v", err, ErrFull)
		}
		time.Sleep(time.Second)
		if err := set("d", 10, 0); err != nil {
			t.Errorf("after the others have expired: %v", err)
		}
		if got, want := s.Stats(), (Stats{Keys: 1, Bytes: 11}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		for _, key := range []string{"e", "f"} {
			if err := set(key, 10, 0); err != nil {
				t.Fatal(err)
			}
		}
		for i, key := range []string{"d", "e", "f"} { // 33 bytes are stored
			_, err := s.CompareAndSwap([]byte(key), []byte("vvvvvvvvvv"), []byte("v"), 0)
			if err != nil {
				t.Errorf("%d: shrinking: %v", i, err)
			}
		}
		if _, err := s.Add([]byte("d"), 1, 0); !errors.Is(err, ErrNotNumber) {
			t.Errorf("adding to %q: %v", s.text("d"), err)
		}
	})
}

func TestBytesBound(t *testing.T) {
	s := New(Options{MaxBytes: 20})
	if _, err := s.CompareAndSwap([]byte("k"), nil, []byte("0123456789"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CompareAndSwap([]byte("k"), []byte("0123456789"), []byte(strings.Repeat("x", 20)), 0); !errors.Is(err, ErrFull) {
		t.Errorf("growing beyond the bound: %v, want %v", err, ErrFull)
	}
	if _, err := s.Add([]byte("counter"), 1, 0); !errors.Is(err, ErrFull) {
		t.Errorf("adding beyond the bound: %v, want %v", err, ErrFull)
	}
	if got := s.text("k"); got != "0123456789" {
		t.Errorf("after a failure: %q", got)
	}
}

func TestConcurrentAdd(t *testing.T) {
	s := New(Options{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 1000 {
				if _, err := s.Add(fmt.Append(nil, i%10), 1, time.Hour); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for i := range 10 {
		if got, err := s.Add(fmt.Append(nil, i), 0, 0); got != 800 || err != nil {
			t.Errorf("counter %d: %d, %v, want 800", i, got, err)
		}
	}
}

func TestAddAllocatesNothing(t *testing.T) {
	s := New(Options{})
	key := []byte("counter")
	if n := testing.AllocsPerRun(100, func() { _, _ = s.Add(key, 1, time.Hour) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
