package wasmhost

import (
	"hash/maphash"
	"unicode/utf8"
)

// An interner makes strings of what modules write, and remembers the short ones: a rewriter sets the same few
// paths over and over. It belongs to an instance.
type interner struct {
	seed  maphash.Seed
	slots [64]string
}

const maxInterned = 64

// text returns b as a string, and false if it is not valid UTF-8. What it remembers is.
func (in *interner) text(b []byte) (string, bool) {
	if len(b) == 0 {
		return "", true
	}
	if len(b) > maxInterned {
		return string(b), utf8.Valid(b)
	}
	slot := &in.slots[maphash.Bytes(in.seed, b)%uint64(len(in.slots))]
	if *slot != string(b) {
		if !utf8.Valid(b) {
			return "", false
		}
		*slot = string(b)
	}
	return *slot, true
}
