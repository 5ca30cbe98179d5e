package wasmhost

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// An interner makes strings of what modules write, and remembers the short ones: a rewriter sets the same few
// paths over and over. It belongs to an instance.
type interner struct {
	slots [1 << internBits]string
}

const (
	internBits  = 6
	maxInterned = 64
)

// text returns b as a string, and false if it is not valid UTF-8. What it remembers is.
func (in *interner) text(b []byte) (string, bool) {
	if len(b) == 0 {
		return "", true
	}
	if len(b) > maxInterned {
		return string(b), utf8.Valid(b)
	}
	slot := &in.slots[internSlot(b)]
	if *slot != string(b) {
		if !utf8.Valid(b) {
			return "", false
		}
		*slot = string(b)
	}
	return *slot, true
}

// internSlot hashes the length and both ends of b, which is not empty. A module that makes its own strings collide
// has them made again each time, and nothing else.
func internSlot(b []byte) uint64 {
	var h uint64
	if n := len(b); n >= 8 {
		h = binary.LittleEndian.Uint64(b) ^ bits.RotateLeft64(binary.LittleEndian.Uint64(b[n-8:]), 31)
	} else {
		for _, c := range b {
			h = h<<8 | uint64(c)
		}
	}
	return (h + uint64(len(b))) * 0x9e3779b97f4a7c15 >> (64 - internBits) // 2^64 divided by the golden ratio
}
