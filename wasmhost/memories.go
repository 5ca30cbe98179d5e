package wasmhost

import (
	"sync"

	"github.com/tetratelabs/wazero/experimental"
)

// memories keeps the memories of instances that are closed, for those of the same version that are made after them. Making
// an instance for every event, or for every failure, would otherwise keep the collector busy.
type memories struct {
	limit int

	mu    sync.Mutex
	usual uint64   // bytes that an instance has when it has been made
	free  [][]byte // all zeros, up to their capacities
}

// keptMemory is the largest memory that is kept, enough for a program in Go. Clearing it takes a small part of the time
// that making the instance did.
const keptMemory = 4 << 20

// Allocate is called by the engine when it makes an instance.
func (m *memories) Allocate(capacity, _ uint64) experimental.LinearMemory {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.free); n > 0 {
		l := &linearMemory{memories: m, bytes: m.free[n-1]}
		m.free[n-1] = nil
		m.free = m.free[:n-1]
		return l
	}
	return &linearMemory{memories: m, bytes: make([]byte, 0, max(capacity, m.usual))}
}

// expect says how large the memory of an instance is that has been made. The next one gets as much at once, and is not
// copied when it grows.
func (m *memories) expect(size uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.usual = uint64(size)
}

// linearMemory is the memory of one instance.
type linearMemory struct {
	memories *memories
	bytes    []byte
}

// Reallocate is called when the instance is made, and when its memory grows. What it adds is zero.
func (l *linearMemory) Reallocate(size uint64) []byte {
	if n := uint64(len(l.bytes)); size > uint64(cap(l.bytes)) {
		l.bytes = append(l.bytes, make([]byte, size-n)...)
	} else {
		l.bytes = l.bytes[:size]
	}
	return l.bytes
}

// Free is called when the instance is closed. Nobody has a slice of its memory then.
func (l *linearMemory) Free() {
	b := l.bytes
	l.bytes = nil
	if cap(b) == 0 || cap(b) > keptMemory {
		return
	}
	clear(b)
	m := l.memories
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.free) < m.limit {
		m.free = append(m.free, b[:0])
	}
}
