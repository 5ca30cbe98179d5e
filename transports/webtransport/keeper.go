package webtransport

import (
	"sync"
	"sync/atomic"
	"time"
)

// rounds is how many turns the keeper takes to visit every connection.
const rounds = 16

// A keeper looks after connections that nothing else reminds of: once in an interval it visits each,
// a part of them at a time, so that a connection needs no timer of its own.
type keeper struct {
	period   time.Duration // between turns
	patience uint32        // turns an incomplete message may take

	turn atomic.Uint32

	mu    sync.Mutex
	conns [rounds]map[*Conn]struct{}
	next  int // which part the next connection goes to
	count int
	timer *time.Timer
	empty chan struct{} // closed when the last connection has gone; nil unless somebody waits
}

func newKeeper(interval, patience time.Duration) *keeper {
	k := &keeper{period: max(interval/rounds, time.Millisecond)}
	k.patience = uint32((patience + k.period - 1) / k.period)
	k.turn.Store(1)
	k.timer = time.AfterFunc(time.Hour, k.visit)
	k.timer.Stop()
	for i := range k.conns {
		k.conns[i] = make(map[*Conn]struct{})
	}
	return k
}

// now tells the time in turns, never 0.
func (k *keeper) now() uint32 { return max(k.turn.Load(), 1) }

func (k *keeper) add(c *Conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c.turn = k.next
	k.next = (k.next + 1) % rounds
	k.conns[c.turn][c] = struct{}{}
	k.count++
	if k.count == 1 {
		k.timer.Reset(k.period)
	}
}

func (k *keeper) remove(c *Conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, kept := k.conns[c.turn][c]; !kept {
		return
	}
	delete(k.conns[c.turn], c)
	k.count--
	if k.count == 0 {
		k.timer.Stop()
		if k.empty != nil {
			close(k.empty)
			k.empty = nil
		}
	}
}

func (k *keeper) visit() {
	now := k.turn.Add(1)
	k.mu.Lock()
	part := make([]*Conn, 0, len(k.conns[now%rounds]))
	for c := range k.conns[now%rounds] {
		part = append(part, c)
	}
	k.mu.Unlock()
	for _, c := range part {
		c.check(now)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.count > 0 {
		k.timer.Reset(k.period)
	}
}

// all returns the connections there are.
func (k *keeper) all() []*Conn {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := make([]*Conn, 0, k.count)
	for _, part := range k.conns {
		for c := range part {
			all = append(all, c)
		}
	}
	return all
}

// wait returns when there are no connections.
func (k *keeper) wait() {
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
