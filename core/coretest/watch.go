package coretest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/protoo-go/protoo/core"
)

// A Watch writes down what a transport tells its observer. The zero value is ready, and any goroutine may use it.
type Watch struct {
	mu         sync.Mutex
	lines      []string
	roundTrips int
	delays     int
}

// Observer returns what the transport is to tell.
func (w *Watch) Observer() *core.TransportObserver {
	return &core.TransportObserver{
		Opened:    func(transport string) { w.add("%s opened", transport) },
		Refused:   func(transport string, status int) { w.add("%s refused %d", transport, status) },
		Closed:    func(transport string, code int, ours bool) { w.add("%s closed %d ours=%t", transport, code, ours) },
		RTT:       func(_ string, took time.Duration) { w.count(&w.roundTrips, took) },
		LoopDelay: func(took time.Duration) { w.count(&w.delays, took) },
	}
}

func (w *Watch) add(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, fmt.Sprintf(format, args...))
}

func (w *Watch) count(n *int, took time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if took >= 0 {
		*n++
	}
}

// Saw tells whether exactly these connections were opened, refused and closed, in this order: "ws opened", "ws refused 403",
// "ws closed 1000 ours=false". It forgets them then.
func (w *Watch) Saw(lines ...string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.lines, lines) {
		return false
	}
	w.lines = nil
	return true
}

// Lines returns what Saw has not forgotten.
func (w *Watch) Lines() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.lines)
}

// Times returns how many round trips and delays of events there were.
func (w *Watch) Times() (roundTrips, delays int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.roundTrips, w.delays
}
