package wire

import "sync"

// A Buffer is memory that connections borrow while they have something to keep.
type Buffer struct{ B []byte }

var buffers = sync.Pool{New: func() any { return &Buffer{make([]byte, 0, 1024)} }}

// GetBuffer borrows an empty buffer, until its Put.
func GetBuffer() *Buffer {
	b := buffers.Get().(*Buffer)
	b.B = b.B[:0]
	return b
}

// Write appends p. It does not fail.
func (b *Buffer) Write(p []byte) (int, error) {
	b.B = append(b.B, p...)
	return len(p), nil
}

// Compact forgets the first done bytes when they are more than half, and returns how many of them are left.
func (b *Buffer) Compact(done int) int {
	if done <= len(b.B)/2 {
		return done
	}
	b.B = b.B[:copy(b.B, b.B[done:])]
	return 0
}

// Put gives the buffer back. Nobody may use it any more.
func (b *Buffer) Put() {
	const tooLarge = 128 << 10 // twice a message of the default limit
	if cap(b.B) <= tooLarge {
		buffers.Put(b)
	}
}
