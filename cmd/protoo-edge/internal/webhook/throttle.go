package webhook

import (
	"sync"
	"time"
)

// reportInterval is how often the same thing is reported.
const reportInterval = time.Minute

// throttle lets a report pass at most once in an interval, with the number of those that it is about.
type throttle struct {
	mu    sync.Mutex
	next  time.Time
	count int
}

// hit counts n more, and returns how many there are to report now; 0 if it is too early.
func (t *throttle) hit(n int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count += n
	now := time.Now()
	if now.Before(t.next) {
		return 0
	}
	t.next = now.Add(reportInterval)
	count := t.count
	t.count = 0
	return count
}
