package wasmhost

import (
	"bytes"
	"testing"
)

func TestMemories(t *testing.T) {
	m := &memories{limit: 2}
	zeros := func(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

	// One that has grown within what it has, and beyond, keeps its contents.
	l := m.Allocate(2*pageSize, 8*pageSize)
	b := l.Reallocate(pageSize)
	b[0], b[pageSize-1] = 1, 2
	for _, pages := range []uint64{2, 3, 8} {
		was := len(b)
		b = l.Reallocate(pages * pageSize)
		if len(b) != int(pages)*pageSize || b[0] != 1 || b[was-1] == 0 || !zeros(b[was:]) {
			t.Fatalf("wrong contents after it has grown to %d pages", pages)
		}
		b[len(b)-1] = 3
	}
	l.Free()

	// What comes next is made of it, and sees nothing of it.
	next := m.Allocate(2*pageSize, 8*pageSize)
	again := next.Reallocate(pageSize)
	if &again[0] != &b[0] {
		t.Error("the memory is not used again")
	}
	if again = next.Reallocate(8 * pageSize); len(again) != 8*pageSize || !zeros(again) {
		t.Error("the memory is not zero")
	}

	// Two that are in use at a time are apart.
	other := m.Allocate(pageSize, pageSize).Reallocate(pageSize)
	if other[0] = 1; again[0] != 0 {
		t.Error("two memories are one")
	}
}

// Who has grown while it was made has a successor that need not be copied to do the same.
func TestMemoriesExpectGrowth(t *testing.T) {
	r := newRig(t)
	g := &guest{manifest: manifest(EventRequest).on(Fresh), start: seq(num(3), memoryGrow, drop)}
	g.on = g.give(actionReply, 0, frame(text(fieldReason, "yes")))
	v := r.load(g).current.Load()
	was := v.memories.Allocate(pageSize, 16*pageSize)
	first := was.Reallocate(pageSize)
	if grown := was.Reallocate(4 * pageSize); &grown[0] != &first[0] {
		t.Error("the memory was copied")
	}
}

func TestMemoriesKeepsFew(t *testing.T) {
	m := &memories{limit: 2}
	var all []interface{ Free() }
	for range 3 {
		l := m.Allocate(pageSize, pageSize)
		l.Reallocate(pageSize)
		all = append(all, l)
	}
	large := m.Allocate(pageSize, 2*keptMemory)
	large.Reallocate(keptMemory + pageSize)
	large.Free()
	if len(m.free) != 0 {
		t.Errorf("a memory of more than %d bytes is kept", keptMemory)
	}
	for _, l := range all {
		l.Free()
		l.Free() // does nothing
	}
	if len(m.free) != 2 {
		t.Errorf("%d memories are kept, want 2", len(m.free))
	}
}

// An instance that gets the memory of another does not see what was in it, also not in what it grows by.
func TestMemoryIsZero(t *testing.T) {
	const beyond = pageSize + 8
	for _, affinity := range []Affinity{Fresh, Shared} {
		r := newRig(t)
		g := &guest{manifest: manifest(EventRequest).on(affinity)}
		leave := seq(store(8, num(1)), store(beyond, num(1)))
		if affinity == Shared {
			leave = seq(leave, unreachable) // so that the instance is replaced
		}
		g.on = seq(
			load(8), ifThen, g.give(actionReply, 0, frame(text(fieldReason, "used"))), end,
			num(1), memoryGrow, drop,
			load(beyond), ifThen, g.give(actionReply, 0, frame(text(fieldReason, "used beyond"))), end,
			leave, g.give(actionReply, 0, frame(text(fieldReason, "clean"))),
		)
		m := r.load(g)
		r.app.Use("/", m.Handle)
		alice := r.dial("alice", "1")
		for range 4 {
			alice.ask("/a", "1", "1")
			if affinity == Fresh {
				alice.want(t, `{"status":200,"reason":"clean","id":"1"}`)
			} else {
				alice.want(t, `{"status":500,"reason":"module test 1: trap at event request: wasm error: unreachable","id":"1"}`)
			}
		}
		if made := m.Stats().Made; made < 4 {
			t.Errorf("%s: %d instances were made", affinity, made)
		}
		if n := len(m.current.Load().memories.free); n == 0 {
			t.Errorf("%s: no memory was kept", affinity)
		}
	}
}
