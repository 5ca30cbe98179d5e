package webtransport

import (
	"encoding/binary"
	"math"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/internal/wire"
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

	collected *wire.Buffer // what has come of the payload, if it did not come at once
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
		missing -= len(d.collected.B)
	}
	n := min(len(data), missing)
	payload, rest := data[:n], data[n:]
	if d.collected != nil || n < missing {
		if n == 0 {
			return frame{}, rest, nil
		}
		if d.collected == nil {
			d.collected = wire.GetBuffer()
		}
		d.collected.B = append(d.collected.B, payload...)
		payload = d.collected.B
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
		return data, wire.Breach(core.CloseProtocolError, "unknown opcode %#x", byte(op))
	}
	length, size := varint(h[1:])
	if size == 0 {
		d.headerLen = uint8(len(h))
		return nil, nil
	}
	rest = data[1+size-int(d.headerLen):]
	d.headerLen = 0
	switch {
	case op.control() && length > wire.MaxControl:
		return rest, wire.Breach(core.CloseProtocolError, "control frames have at most %d bytes", wire.MaxControl)
	case length > uint64(d.limit):
		return rest, wire.Breach(core.CloseTooBig, "message of more than %d bytes", d.limit)
	}
	d.op, d.length, d.started = op, int(length), true
	return rest, nil
}

// release gives the last frame's memory back.
func (d *decoder) release() {
	if d.collected != nil && !d.started {
		d.collected.Put()
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

func appendClose(dst []byte, code int, reason string) []byte {
	var payload [wire.MaxControl]byte
	return appendFrame(dst, opClose, wire.ClosePayload(&payload, code, reason))
}
