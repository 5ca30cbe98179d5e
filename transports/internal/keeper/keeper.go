// Package keeper looks after the connections of a transport that nothing else reminds of.
package keeper

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Rounds is how many turns a keeper takes to visit every connection.
const Rounds = 16

// A Keeper visits each connection once in an interval, a part of them at a time, so that a connection needs no timer of
// its own. Any goroutine may use it.
type Keeper[C any] struct {
	// Patience is how many turns an incomplete message may take. It does not change.
	Patience uint32

	check  func(c *C, now uint32)
	place  func(c *C) *Place
	period time.Duration // between turns
	turn   atomic.Uint32

	mu    sync.Mutex
	conns [Rounds][]*C
	next  int // which part the next connection goes to
	count int
	timer *time.Timer
	empty chan struct{} // closed when the last connection has gone; nil unless somebody waits
}

// Place is where a connection stands in its keeper: a field of the connection that only the keeper uses.
type Place struct {
	part, index int32
	kept        bool
}

// New returns a keeper that calls check for each connection, without any lock, with the turn that it is. place returns a
// connection's field. patience is how long an incomplete message may take.
func New[C any](interval, patience time.Duration, check func(c *C, now uint32), place func(c *C) *Place) *Keeper[C] {
	k := &Keeper[C]{check: check, place: place, period: max(interval/Rounds, time.Millisecond)}
	k.Patience = uint32((patience + k.period - 1) / k.period)
	k.turn.Store(1)
	k.timer = time.AfterFunc(time.Hour, k.visit)
	k.timer.Stop()
	return k
}

// Now tells the time in turns, never 0.
func (k *Keeper[C]) Now() uint32 { return max(k.turn.Load(), 1) }

// Add has c visited from now on.
func (k *Keeper[C]) Add(c *C) {
	k.mu.Lock()
	defer k.mu.Unlock()
	part := k.next
	k.next = (k.next + 1) % Rounds
	*k.place(c) = Place{int32(part), int32(len(k.conns[part])), true}
	k.conns[part] = append(k.conns[part], c)
	k.count++
	if k.count == 1 {
		k.timer.Reset(k.period)
	}
}

// Remove forgets c, if it was added.
func (k *Keeper[C]) Remove(c *C) {
	k.mu.Lock()
	defer k.mu.Unlock()
	place := k.place(c)
	if !place.kept {
		return
	}
	place.kept = false
	part := k.conns[place.part]
	last := part[len(part)-1]
	k.place(last).index = place.index
	part[place.index] = last
	part[len(part)-1] = nil
	k.conns[place.part] = part[:len(part)-1]
	k.count--
	if k.count == 0 {
		k.timer.Stop()
		if k.empty != nil {
			close(k.empty)
			k.empty = nil
		}
	}
}

func (k *Keeper[C]) visit() {
	now := k.turn.Add(1)
	k.mu.Lock()
	part := slices.Clone(k.conns[now%Rounds])
	k.mu.Unlock()
	for _, c := range part {
		k.check(c, now)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.count > 0 {
		k.timer.Reset(k.period)
	}
}

// All returns the connections there are.
func (k *Keeper[C]) All() []*C {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Concat(k.conns[:]...)
}

// Wait returns when there are no connections.
func (k *Keeper[C]) Wait() {
	k.mu.Lock()
	if k.count == 0 {
		k.mu.Unlock()
		return
	}
	if k.empty == nil {
		k.empty = make(chan struct{})
	}
	empty := k.empty
	k.mu.Unlock()
	<-empty
}
