package wasmhost

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// A frame is how host and module tell each other more than a number, see ABI.md:
//
//	u32 total, u16 version, u16 fields, u64 token, then for each field
//	u16 id, u16 keyLen, u32 valLen, key, val, and zeros up to a multiple of 4
//
// with all numbers little endian.
const (
	frameHead = 16
	fieldHead = 8
)

// A frameWriter writes a frame into a module's memory. What does not fit is counted and not written, so
// that the size the frame needs is known at the end.
type frameWriter struct {
	buf    []byte
	n      int // bytes of the frame so far, also beyond buf
	fields uint16
}

func (w *frameWriter) begin(buf []byte) {
	w.buf, w.n, w.fields = buf, frameHead, 0
}

// add writes a field. K and V are strings, because what is pushed mostly is. A field whose key is too long for a frame, and
// what is more than its fields can be counted, are left out.
func (w *frameWriter) add(f field, key, val string) {
	if len(key) > math.MaxUint16 || w.fields == math.MaxUint16 {
		return
	}
	at := w.n
	w.n += fieldHead + padded(len(key)+len(val))
	w.fields++
	if w.n > len(w.buf) {
		return
	}
	b := w.buf[at:w.n]
	// The last word is zero but for what is copied over it: that is the padding, or the header's second half.
	binary.LittleEndian.PutUint32(b[len(b)-4:], 0)
	binary.LittleEndian.PutUint64(b, uint64(f)|uint64(len(key))<<16|uint64(len(val))<<32)
	b = b[fieldHead:]
	if key != "" {
		b = b[copy(b, key):]
	}
	copy(b, val)
}

func (w *frameWriter) addBytes(f field, val []byte) {
	at := w.n
	w.n += fieldHead + padded(len(val))
	w.fields++
	if w.n > len(w.buf) {
		return
	}
	b := w.buf[at:w.n]
	binary.LittleEndian.PutUint32(b[len(b)-4:], 0)
	binary.LittleEndian.PutUint64(b, uint64(f)|uint64(len(val))<<32)
	copy(b[fieldHead:], val)
}

func (w *frameWriter) addUint32(f field, val uint32) {
	at := w.n
	w.n += fieldHead + 4
	w.fields++
	if w.n > len(w.buf) {
		return
	}
	binary.LittleEndian.PutUint64(w.buf[at:], uint64(f)|4<<32)
	binary.LittleEndian.PutUint32(w.buf[at+fieldHead:], val)
}

func (w *frameWriter) addUint64(f field, val uint64) {
	at := w.n
	w.n += fieldHead + 8
	w.fields++
	if w.n > len(w.buf) {
		return
	}
	binary.LittleEndian.PutUint64(w.buf[at:], uint64(f)|8<<32)
	binary.LittleEndian.PutUint64(w.buf[at+fieldHead:], val)
}

// end completes the frame and returns its size, which may be more than what fitted.
func (w *frameWriter) end(token uint64) int {
	if w.n <= len(w.buf) {
		binary.LittleEndian.PutUint64(w.buf, uint64(w.n)|abiVersion<<32|uint64(w.fields)<<48)
		binary.LittleEndian.PutUint64(w.buf[8:], token)
	}
	return w.n
}

func padded(n int) int { return (n + 3) &^ 3 }

// A frameReader goes through the fields of a frame that a module has written. The slices are the module's memory.
type frameReader struct {
	rest   []byte
	fields int
}

type rawField struct {
	id       field
	key, val []byte
}

var errFrameShort = errors.New("frame is cut off")

func (r *frameReader) begin(frame []byte) error {
	if len(frame) < frameHead {
		return fmt.Errorf("frame has %d bytes, its header alone has %d", len(frame), frameHead)
	}
	if total := binary.LittleEndian.Uint32(frame); uint64(total) != uint64(len(frame)) {
		return fmt.Errorf("frame says that it has %d bytes, it has %d", total, len(frame))
	}
	if version := binary.LittleEndian.Uint16(frame[4:]); version != abiVersion {
		return fmt.Errorf("frame has version %d, want %d", version, abiVersion)
	}
	r.fields = int(binary.LittleEndian.Uint16(frame[6:]))
	r.rest = frame[frameHead:]
	return nil
}

// next reads the next field into f, and reports false after the last one.
func (r *frameReader) next(f *rawField) (bool, error) {
	if r.fields == 0 {
		if len(r.rest) > 0 {
			return false, fmt.Errorf("%d bytes follow the last field of the frame", len(r.rest))
		}
		return false, nil
	}
	if len(r.rest) < fieldHead {
		return false, errFrameShort
	}
	head := binary.LittleEndian.Uint64(r.rest)
	key, val := head>>16&0xffff, head>>32
	size := fieldHead + (key+val+3)&^3
	if size > uint64(len(r.rest)) {
		return false, errFrameShort
	}
	f.id = field(head)
	f.key = r.rest[fieldHead : fieldHead+key]
	f.val = r.rest[fieldHead+key : fieldHead+key+val]
	r.rest = r.rest[size:]
	r.fields--
	return true, nil
}
