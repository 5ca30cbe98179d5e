package core

import "sync"

// buffer is what a message is encoded into before a connection copies it.
type buffer struct{ b []byte }

var buffers = sync.Pool{New: func() any { return &buffer{make([]byte, 0, 1024)} }}

func getBuffer() *buffer {
	b := buffers.Get().(*buffer)
	b.b = b.b[:0]
	return b
}

func (b *buffer) put() {
	const tooLarge = 64 << 10
	if cap(b.b) <= tooLarge {
		buffers.Put(b)
	}
}
