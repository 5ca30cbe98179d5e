// Package throttle keeps what happens often from being reported as often.
package throttle

import (
	"cmp"
	"sync"
	"time"
)

// A Throttle lets a report pass at most once in an interval, with the number of events that it is about. The zero value's interval is a
// minute. Any goroutine may use it.
type Throttle struct {
	Interval time.Duration

	mu    sync.Mutex
	next  time.Time
	count int
}

// Hit counts n more events, and returns how many there are to report now, 0 if it is too early.
func (t *Throttle) Hit(n int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count += n
	now := time.Now()
	if now.Before(t.next) {
		return 0
	}
	t.next = now.Add(cmp.Or(t.Interval, time.Minute))
	count := t.count
	t.count = 0
	return count
}
