package core

import (
	"sync"
	"time"
)

// A watch has an eye on the loops of an application that are in use, on all of them with one timer. To set a timer in a process that
// rests wakes a thread, and so does the timer when it fires: each costs a good part of what a request does.
type watch struct {
	timer *time.Timer

	mu    sync.Mutex
	loops []*Loop // those that have begun a turn since they were last seen at rest
	care  int32   // the most that one of them needs
	calm  bool    // none of them was in a turn at the last tick: no handler can have to be caught at the next
}

// How closely a loop is watched.
const (
	unwatched int32 = iota
	leisurely       // every soleTick
	closely         // every loopTick, or calmTick
)

func newWatch() *watch {
	w := new(watch)
	w.timer = time.AfterFunc(soleTick, w.tick)
	w.timer.Stop()
	return w
}

// add has l watched with so much care at least.
func (w *watch) add(l *Loop, care int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := l.care.Load()
	if before >= care {
		return
	}
	l.care.Store(care)
	if before == unwatched {
		w.loops = append(w.loops, l)
	}
	if w.care < care || w.calm {
		w.care, w.calm = max(w.care, care), false
		w.schedule()
	}
}

// hasten has a turn of l that is going on watched closely.
func (w *watch) hasten(l *Loop) {
	if l.state.Load()&1 == 1 && l.care.Load() < closely {
		w.add(l, closely)
	}
}

// schedule sets the timer. The timer is not stopped at the end of a turn: that would cost each message more than the ticks cost all.
func (w *watch) schedule() {
	switch {
	case w.care == closely && w.calm:
		w.timer.Reset(calmTick)
	case w.care == closely:
		w.timer.Reset(loopTick)
	case w.care == leisurely:
		w.timer.Reset(soleTick)
	}
}

func (w *watch) tick() {
	w.mu.Lock()
	defer w.mu.Unlock()
	kept := w.loops[:0]
	w.care, w.calm = unwatched, true
	for _, l := range w.loops {
		watched, amid := l.tick()
		if watched {
			kept = append(kept, l)
			w.care = max(w.care, l.care.Load())
		}
		if amid {
			w.calm = false
		}
	}
	clear(w.loops[len(kept):])
	w.loops = kept
	w.schedule()
}
