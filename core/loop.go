package core

import (
	"sync/atomic"
	"time"
)

// Flow is what [Link.Receive] tells the goroutine that reads.
type Flow int

const (
	// Continue means: go on reading.
	Continue Flow = iota
	// Pause means: read nothing more from this connection until its Resume is called.
	Pause
	// Detached means: a handler took long and another goroutine reads in this one's
	// place. Return at once and touch nothing that belongs to the loop.
	Detached
)

// loopTick bounds how long a handler can hold up a loop: at most two ticks, and a calmTick more where there is much to do. It is soleTick for
// a loop that reads one connection, as long as its peer owes no answer: nobody waits for such a loop.
const (
	loopTick = 2 * time.Millisecond
	calmTick = 4 * loopTick
	soleTick = 8 * loopTick
)

// busyTurns is how many turns between two ticks make a loop one that is in use, even if it rests at the moment.
const busyTurns = 32

// A Loop lets a transport run handlers on the goroutine that reads, which is what
// makes a request cheap, without letting a handler that blocks stop the reading. When a
// handler is still running after a few milliseconds, or is known to take long, the loop is handed
// over: a new goroutine continues it and the detained one ends as soon as its handlers have returned.
//
// One goroutine at a time runs a loop. All that it needs to go on must be
// reachable from what the resume function was made with, not from its stack. The links that it
// serves are of one application.
type Loop struct {
	resume func()
	sole   bool // it reads one connection only
	// state is odd while messages are being handled, and moves on by one with every
	// begin and end. Whoever ends a turn, the goroutine itself or hand-over,
	// does so by compare-and-swap, so only one of them does.
	state   atomic.Uint64
	seen    uint64                  // the state at the last tick; guarded by watch.mu
	care    atomic.Int32            // how closely it is watched; written with watch.mu held
	current atomic.Pointer[manners] // what runs on the loop, to learn who takes long

	// Of the goroutine that runs the loop: whether Read is called, and the time on the clock of the last call, 0 if nobody has wanted to know.
	reads bool
	read  time.Duration
}

// NewLoop returns a loop that continues in resume, called on a goroutine of its own, when it
// is handed over.
func NewLoop(resume func()) *Loop { return &Loop{resume: resume} }

// NewSoleLoop returns a loop that reads a single connection. It is cheaper where requests are rare: as long as the peer
// owes no answer, it is handed over after some tens of milliseconds.
func NewSoleLoop(resume func()) *Loop { return &Loop{resume: resume, sole: true} }

// Read tells that something has been read: the requests that are received until the next call have come with it, as far as an [Observer] is
// concerned. A transport need not call it; then they come when they are received. One that reads several at a time saves a look at
// the clock for each.
func (l *Loop) Read() { l.reads, l.read = true, 0 }

// arrival returns the time on the clock at which what is being received has come.
func (l *Loop) arrival() time.Duration {
	if !l.reads {
		return clock()
	}
	if l.read == 0 {
		l.read = clock()
	}
	return l.read
}

// run calls fn in a turn of the loop, on which w has an eye. awaited tells that the peer owes an answer.
func (l *Loop) run(w *watch, awaited bool, fn func(turn uint64)) Flow {
	turn := l.begin(w, awaited)
	returned := false
	defer func() {
		// A handler may end its goroutine with runtime.Goexit; the loop must go on.
		if !returned {
			l.handOver(turn)
		}
	}()
	fn(turn)
	returned = true
	if !l.end(turn) {
		return Detached
	}
	return Continue
}

func (l *Loop) begin(w *watch, awaited bool) (turn uint64) {
	turn = l.state.Add(1)
	care := closely
	if l.sole && !awaited {
		care = leisurely
	}
	if l.care.Load() < care {
		w.add(l, care)
	}
	return turn
}

// end reports whether the calling goroutine still has the loop.
func (l *Loop) end(turn uint64) bool { return l.state.CompareAndSwap(turn, turn+1) }

// owned reports whether the goroutine that began turn still has the loop.
func (l *Loop) owned(turn uint64) bool { return l.state.Load() == turn }

// handOver gives the loop to a new goroutine and reports whether it did: not when turn has ended.
func (l *Loop) handOver(turn uint64) bool {
	if !l.end(turn) {
		return false
	}
	l.current.Store(nil)
	go l.resume()
	return true
}

// tick hands the loop over when the turn it saw last time is still going on, and reports whether it has to be looked at again, and
// whether it is in a turn. The watch is locked.
func (l *Loop) tick() (watched, amid bool) {
	turn := l.state.Load()
	since := turn - l.seen
	l.seen = turn
	if turn&1 == 0 && (l.sole || since < 2*busyTurns) {
		care := l.care.Swap(unwatched)
		// A turn that began before that has found the loop watched.
		if l.state.Load()&1 == 0 {
			return false, false
		}
		l.care.Store(care)
	}
	if turn&1 == 1 && since == 0 {
		slow := l.current.Load()
		if l.handOver(turn) {
			slow.tookLong()
		}
	}
	return true, turn&1 == 1
}
