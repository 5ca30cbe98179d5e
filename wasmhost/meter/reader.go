package meter

import (
	"fmt"
	"unicode/utf8"
)

// A reader reads the binary format. It panics with an *Error, which Meter
// recovers: a module is refused at the first mistake, and checking an error after every byte
// would hide the grammar.
type reader struct {
	data    []byte // the whole module, so that positions are offsets in it
	pos     int
	end     int // of the section or the part of it that is read
	section string

	function int // whose body is read, or -1
}

func (r *reader) fail(sentinel error, at int, want, format string, args ...any) {
	panic(&Error{Offset: at, Section: r.section, Function: r.function, What: fmt.Sprintf(format, args...), Want: want, Err: sentinel})
}

func (r *reader) malformed(at int, want, format string, args ...any) {
	r.fail(ErrMalformed, at, want, format, args...)
}

// limit refuses n of something when it is more than limit.
func (r *reader) limit(at int, what string, n, limit uint64) {
	if n > limit {
		r.fail(ErrLimit, at, fmt.Sprintf("at most %d", limit), "%d %s", n, what)
	}
}

// index refuses an index into something of which there are n.
func (r *reader) index(at int, what string, i uint32, n int) {
	if uint64(i) >= uint64(n) {
		r.malformed(at, fmt.Sprintf("an index below %d", n), "%s %d does not exist", what, i)
	}
}

func (r *reader) more() bool { return r.pos < r.end }

func (r *reader) byte() byte {
	if r.pos >= r.end {
		r.malformed(r.pos, "another byte", "unexpected end")
	}
	b := r.data[r.pos]
	r.pos++
	return b
}

func (r *reader) bytes(n uint32) []byte {
	if uint64(n) > uint64(r.end-r.pos) {
		r.malformed(r.pos, fmt.Sprintf("at most the %d that are left", r.end-r.pos), "%d bytes", n)
	}
	b := r.data[r.pos : r.pos+int(n) : r.pos+int(n)]
	r.pos += int(n)
	return b
}

// u32 reads an unsigned LEB128 number of 32 bits (§5.2.2), which may be padded
// to five bytes.
func (r *reader) u32() uint32 {
	at := r.pos
	if r.pos < r.end && r.data[r.pos] < 0x80 {
		r.pos++
		return uint32(r.data[at])
	}
	var v uint32
	for shift := 0; ; shift += 7 {
		b := r.byte()
		if shift == 28 && b > 0x0f {
			r.malformed(at, "an unsigned LEB128 number of 32 bits", "number is too long or too large")
		}
		v |= uint32(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
}

// signed reads a signed LEB128 number of so many bits, at most 64.
func (r *reader) signed(bits int) int64 {
	at := r.pos
	var v int64
	for shift := 0; ; shift += 7 {
		b := r.byte()
		v |= int64(b&0x7f) << shift
		if left := bits - shift; left <= 7 {
			// All bits beyond the number's own repeat its sign.
			if sign := int8(b<<1) >> left; b >= 0x80 || sign != 0 && sign != -1 {
				r.malformed(at, fmt.Sprintf("a signed LEB128 number of %d bits", bits), "number is too long or too large")
			}
		}
		if b < 0x80 {
			if b&0x40 != 0 && shift+7 < 64 {
				v |= -1 << (shift + 7)
			}
			return v
		}
	}
}

// count reads the length of a vector whose elements take at least one byte
// each, so that nobody is made to reserve memory for what is not there.
func (r *reader) count(what string, limit int) int {
	at := r.pos
	n := r.u32()
	r.limit(at, what, uint64(n), uint64(limit))
	if uint64(n) > uint64(r.end-r.pos) {
		r.malformed(at, fmt.Sprintf("at most %d, one for each byte that is left", r.end-r.pos), "%d %s", n, what)
	}
	return int(n)
}

func (r *reader) name() string {
	at := r.pos
	b := r.bytes(r.u32())
	if !utf8.Valid(b) {
		r.malformed(at, "a name in UTF-8", "invalid name")
	}
	return string(b)
}

func (r *reader) valueType() ValueType {
	at := r.pos
	switch t := ValueType(r.byte()); t {
	case I32, I64, F32, F64, V128, FuncRef, ExternRef:
		return t
	default:
		r.fail(ErrUnsupported, at, "a value type", "unknown type 0x%02x", byte(t))
		return 0
	}
}

func (r *reader) refType() ValueType {
	at := r.pos
	t := r.valueType()
	if t != FuncRef && t != ExternRef {
		r.malformed(at, "funcref or externref", "%v", t)
	}
	return t
}

// zero reads the byte that stands where the format may get an index later.
func (r *reader) zero() {
	at := r.pos
	if b := r.byte(); b != 0 {
		r.fail(ErrUnsupported, at, "0x00", "reserved byte 0x%02x", b)
	}
}

// within reads a part of the given size, and all of it.
func (r *reader) within(size uint32, what string, read func()) {
	at := r.pos
	if uint64(size) > uint64(r.end-r.pos) {
		r.malformed(at, fmt.Sprintf("at most the %d that are left", r.end-r.pos), "%s of %d bytes", what, size)
	}
	outer := r.end
	r.end = r.pos + int(size)
	read()
	if r.pos != r.end {
		r.malformed(r.pos, "the end of the "+what, "%d bytes too many", r.end-r.pos)
	}
	r.end = outer
}

func appendU32(b []byte, v uint32) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

func appendS64(b []byte, v int64) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

func appendName(b []byte, s string) []byte {
	return append(appendU32(b, uint32(len(s))), s...)
}
