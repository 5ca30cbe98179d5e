package wasmhost

import "hash/maphash"

// An interner makes strings of what modules write, and remembers the short ones: a rewriter sets the same few
// paths over and over. It belongs to an instance.
type interner struct {
	seed  maphash.Seed
	slots [64]string
}

const maxInterned = 64

func (in *interner) text(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if len(b) > maxInterned {
		return string(b)
	}
	slot := &in.slots[maphash.Bytes(in.seed, b)%uint64(len(in.slots))]
	if *slot != string(b) {
		*slot = string(b)
	}
	return *slot
}
