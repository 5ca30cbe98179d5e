package websocket

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
	conns [rounds][]*Conn
	next  int // which part the next connection goes to
	count int
	timer *time.Timer
	empty chan struct{} // closed when the last connection has gone; nil unless somebody waits
}

// place is where a connection stands in its keeper. Guarded by the keeper's lock.
type place struct {
	part, index int32
	kept        bool
}

func newKeeper(interval, patience time.Duration) *keeper {
	k := &keeper{period: max(interval/rounds, time.Millisecond)}
	k.patience = uint32((patience + k.period - 1) / k.period)
	k.turn.Store(1)
	k.timer = time.AfterFunc(time.Hour, k.visit)
	k.timer.Stop()
	return k
}

// now tells the time in turns, never 0.
func (k *keeper) now() uint32 { return max(k.turn.Load(), 1) }

func (k *keeper) add(c *Conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	part := k.next
	k.next = (k.next + 1) % rounds
	c.place = place{int32(part), int32(len(k.conns[part])), true}
	k.conns[part] = append(k.conns[part], c)
	k.count++
	if k.count == 1 {
		k.timer.Reset(k.period)
	}
}

func (k *keeper) remove(c *Conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !c.place.kept {
		return
	}
	c.place.kept = false
	part := k.conns[c.place.part]
	last := part[len(part)-1]
	last.place.index = c.place.index
	part[c.place.index] = last
	part[len(part)-1] = nil
	k.conns[c.place.part] = part[:len(part)-1]
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
	part := append([]*Conn(nil), k.conns[now%rounds]...)
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
		all = append(all, part...)
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
