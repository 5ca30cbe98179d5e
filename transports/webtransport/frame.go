package webtransport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"
	"unicode/utf8"

	"github.com/protoo-go/protoo/core"
)

// opcode says what a frame is, with the values of RFC 6455, section 5.2.
type opcode byte

const (
	opText   opcode = 1
	opBinary opcode = 2
	opClose  opcode = 8
	opPing   opcode = 9
	opPong   opcode = 10
)

func (op opcode) control() bool { return op >= opClose }

func (op opcode) known() bool {
	return op == opText || op == opBinary || op >= opClose && op <= opPong
}

// maxControl is the length of the longest payload of a control frame.
const maxControl = 125

// A violation is what a peer did against the framing, or beyond our limits, with the
// close code that tells them.
type violation struct {
	code   int
	reason string
}

func (v *violation) Error() string { return fmt.Sprintf("webtransport: %s (%d)", v.reason, v.code) }

func breach(code int, format string, args ...any) error {
	return &violation{code, fmt.Sprintf(format, args...)}
}

// closeOf returns the code and reason that tell the other side about err.
func closeOf(err error) (int, string) {
	if v, ok := errors.AsType[*violation](err); ok {
		return v.code, v.reason
	}
	return core.CloseInternalError, "internal error"
}

// frame is a message or a control frame: its opcode, a QUIC varint with the length of the payload (RFC 9000, section
// 16), the payload. An opcode of 0, which none has, stands for a frame that has yet to come.
type frame struct {
	op      opcode
	payload []byte
}

// decoder turns bytes into frames, as they come: an incomplete frame costs memory
// for what has arrived of it and no more. A frame that is complete in the bytes it is given is not copied.
type decoder struct {
	limit int // of a message, in bytes

	headerLen uint8 // bytes in header
	started   bool  // header is complete, and its payload incomplete
	header    [maxHeader]byte
	op        opcode
	length    int // of the payload

	collected *buffer // what has come of the payload, if it did not come at once
}

// maxHeader is the length of an opcode and of the longest varint.
const maxHeader = 1 + 8

// next takes what it needs from data. The frame's payload is valid until the next call.
func (d *decoder) next(data []byte) (f frame, rest []byte, err error) {
	d.release()
	if !d.started {
		data, err = d.readHeader(data)
		if err != nil || !d.started {
			return frame{}, data, err
		}
	}
	missing := d.length
	if d.collected != nil {
		missing -= len(d.collected.b)
	}
	n := min(len(data), missing)
	payload, rest := data[:n], data[n:]
	if d.collected != nil || n < missing {
		if n == 0 {
			return frame{}, rest, nil
		}
		if d.collected == nil {
			d.collected = getBuffer()
		}
		d.collected.b = append(d.collected.b, payload...)
		payload = d.collected.b
	}
	if n < missing {
		return frame{}, rest, nil
	}
	d.started = false
	return frame{d.op, payload}, rest, nil
}

func (d *decoder) readHeader(data []byte) (rest []byte, err error) {
	n := copy(d.header[d.headerLen:], data)
	h := d.header[:int(d.headerLen)+n]
	if len(h) == 0 {
		return nil, nil
	}
	op := opcode(h[0])
	if !op.known() {
		return data, breach(core.CloseProtocolError, "unknown opcode %#x", byte(op))
	}
	length, size := varint(h[1:])
	if size == 0 {
		d.headerLen = uint8(len(h))
		return nil, nil
	}
	rest = data[1+size-int(d.headerLen):]
	d.headerLen = 0
	switch {
	case op.control() && length > maxControl:
		return rest, breach(core.CloseProtocolError, "control frames have at most %d bytes", maxControl)
	case length > uint64(d.limit):
		return rest, breach(core.CloseTooBig, "message of more than %d bytes", d.limit)
	}
	d.op, d.length, d.started = op, int(length), true
	return rest, nil
}

// release gives the last frame's memory back.
func (d *decoder) release() {
	if d.collected != nil && !d.started {
		d.collected.put()
		d.collected = nil
	}
}

// abandon gives up the frame that has begun.
func (d *decoder) abandon() {
	d.started, d.headerLen = false, 0
	d.release()
}

// incomplete tells whether a frame has begun and not ended.
func (d *decoder) incomplete() bool { return d.started || d.headerLen > 0 }

// varint reads a number that need not be encoded in the shortest form. Its size is 0 when b is too short.
func varint(b []byte) (v uint64, size int) {
	if len(b) == 0 {
		return 0, 0
	}
	size = 1 << (b[0] >> 6)
	if len(b) < size {
		return 0, 0
	}
	v = uint64(b[0] & 0x3f)
	for _, next := range b[1:size] {
		v = v<<8 | uint64(next)
	}
	return v, size
}

func appendVarint(dst []byte, v int) []byte {
	switch {
	case v < 1<<6:
		return append(dst, byte(v))
	case v < 1<<14:
		return binary.BigEndian.AppendUint16(dst, uint16(v)|1<<14)
	case v < 1<<30:
		return binary.BigEndian.AppendUint32(dst, uint32(v)|2<<30)
	}
	return binary.BigEndian.AppendUint64(dst, uint64(v)|3<<62)
}

func appendFrame(dst []byte, op opcode, payload []byte) []byte {
	dst = appendVarint(append(dst, byte(op)), len(payload))
	return append(dst, payload...)
}

// frameSize is how many bytes appendFrame appends for a payload, at most.
func frameSize(payload int) int {
	if payload > math.MaxInt-maxHeader {
		return math.MaxInt
	}
	return payload + maxHeader
}

// parseClose reads the payload of a close frame: a code in 16 bits and a reason, or nothing.
func parseClose(payload []byte) (code int, reason string, err error) {
	switch {
	case len(payload) == 0:
		return core.CloseNoStatus, "", nil
	case len(payload) == 1:
		return 0, "", breach(core.CloseProtocolError, "close frame with half a code")
	}
	code = int(binary.BigEndian.Uint16(payload))
	if !core.ValidCloseCode(code) {
		return 0, "", breach(core.CloseProtocolError, "close code %d may not be sent", code)
	}
	if !utf8.Valid(payload[2:]) {
		return 0, "", breach(core.CloseInvalidData, "close reason is not valid UTF-8")
	}
	return code, string(payload[2:]), nil
}

func appendClose(dst []byte, code int, reason string) []byte {
	if code == core.CloseNoStatus {
		return appendFrame(dst, opClose, nil)
	}
	var payload [maxControl]byte
	binary.BigEndian.PutUint16(payload[:], uint16(code))
	n := copy(payload[2:], reason)
	return appendFrame(dst, opClose, payload[:2+n])
}

// buffer is memory that connections borrow while they have something to keep.
type buffer struct{ b []byte }

var buffers = sync.Pool{New: func() any { return &buffer{make([]byte, 0, 1024)} }}

func getBuffer() *buffer {
	b := buffers.Get().(*buffer)
	b.b = b.b[:0]
	return b
}

func (b *buffer) put() {
	const tooLarge = 128 << 10 // twice a message of the default limit
	if cap(b.b) <= tooLarge {
		buffers.Put(b)
	}
}
