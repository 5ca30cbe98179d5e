package core

import (
	"sync/atomic"
	"time"
)

// manners are what is known about a function that loops call: whether it takes long.
type manners struct {
	// slow is above zero after the function has held up a loop: it is then called off
	// the loop until it has been quick that many times.
	slow atomic.Int32
}

const (
	slowFor = 64
	// A busy machine makes quick functions slow now and then. So being slow off the loop, where it does no harm, does not
	// count as much.
	slowAgain = 8
)

func (m *manners) tookLong() {
	if m != nil {
		m.slow.Store(slowFor)
	}
}

// run calls fn on a loop, or leaves the loop first if fn is known to be slow.
func (m *manners) run(l *Loop, turn uint64, fn func()) {
	outer, on := m.enter(l, turn)
	if !on {
		m.time(fn)
		return
	}
	fn()
	l.leave(turn, outer)
}

// enter lets a loop know who is going to run in its turn, and returns who has been running. It reports false if the loop is not held up by that:
// there is none, or it has been handed over, as it is to a function that is known to be slow.
func (m *manners) enter(l *Loop, turn uint64) (outer *manners, on bool) {
	if l == nil || !l.owned(turn) || m.slow.Load() > 0 && l.handOver(turn) {
		return nil, false
	}
	return l.current.Swap(m), true
}

// leave is to follow when the function has returned.
func (l *Loop) leave(turn uint64, outer *manners) {
	if l.owned(turn) {
		l.current.Store(outer)
	}
}

// time calls fn off the loop. If it is known to be slow, it can show that it no longer is.
func (m *manners) time(fn func()) {
	if m.slow.Load() <= 0 {
		fn()
		return
	}
	began := time.Now()
	fn()
	if time.Since(began) <= loopTick {
		m.slow.Add(-1)
	} else if m.slow.Load() < slowFor {
		m.slow.Add(slowAgain)
	}
}
