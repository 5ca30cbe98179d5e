package websocket

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/internal/wire"
)

// frame is a whole message, put together from its fragments, or a control frame. Its
// opcode is 0, which no whole message has, when there is none yet.
type frame struct {
	op      ws.OpCode
	payload []byte
}

// decoder turns bytes into frames, as they come: an incomplete frame costs memory
// for what has arrived of it and no more. A frame that is complete in the bytes it is given is not copied.
type decoder struct {
	limit   int      // of a message, in bytes
	masked  bool     // frames must be masked; without it they must not
	deflate *deflate // nil without compression

	started    bool      // header is valid and its payload incomplete
	fin        bool      // of the frame
	op         ws.OpCode // of the frame
	message    ws.OpCode // of the message whose fragments are being collected, or 0
	compressed bool      // the message is
	headerLen  uint8     // bytes in header
	header     [ws.MaxHeaderSize]byte
	mask       [4]byte
	length     int // of the frame's payload
	got        int // of which have come

	collected *wire.Buffer // fragments of the message
	checked   int          // bytes of collected that are known to be valid UTF-8
	inflated  *wire.Buffer
	control   []byte // what has come of a control frame
}

// next takes what it needs from data, which it may change. The frame's payload is valid
// until the next call.
func (d *decoder) next(data []byte) (f frame, rest []byte, err error) {
	d.release()
	if !d.started {
		data, err = d.readHeader(data)
		if err != nil || !d.started {
			return frame{}, data, err
		}
	}
	n := min(len(data), d.length-d.got)
	chunk, rest := data[:n], data[n:]
	if d.masked {
		ws.Cipher(chunk, d.mask, d.got)
	}
	whole := d.got == 0 && n == d.length
	d.got += n
	if d.got == d.length {
		d.started = false
	}
	if d.op.IsControl() {
		if !whole {
			d.control = append(d.control, chunk...)
			if d.started {
				return frame{}, rest, nil
			}
			chunk, d.control = d.control, nil
		}
		return frame{d.op, chunk}, rest, nil
	}
	if whole && d.fin && d.collected == nil {
		return d.finish(chunk, rest)
	}
	if n == 0 && d.started {
		return frame{}, rest, nil
	}
	if d.collected == nil {
		d.collected = wire.GetBuffer()
	}
	d.collected.B = append(d.collected.B, chunk...)
	if d.message == ws.OpText && !d.compressed {
		if !d.checkText() {
			return frame{}, rest, errText
		}
	}
	if d.started || !d.fin {
		return frame{}, rest, nil
	}
	return d.finish(d.collected.B, rest)
}

func (d *decoder) finish(payload, rest []byte) (frame, []byte, error) {
	op, text := d.message, payload[d.checked:]
	d.message, d.checked = 0, 0
	if d.compressed {
		d.inflated = wire.GetBuffer()
		var err error
		d.inflated.B, err = d.deflate.inflate(d.inflated.B, payload, d.limit)
		if err != nil {
			return frame{}, rest, err
		}
		payload = d.inflated.B
		text = payload
	}
	if op == ws.OpText && !utf8.Valid(text) {
		return frame{}, rest, errText
	}
	return frame{op, payload}, rest, nil
}

var errText = wire.Breach(core.CloseInvalidData, "text is not valid UTF-8")

// checkText tells whether what has been collected can still become valid UTF-8: a client need not send
// the rest of a long message to learn that it cannot. Each byte is looked at once, but for the start of a
// character whose end is yet to come.
func (d *decoder) checkText() bool {
	text := d.collected.B[d.checked:]
	for i := 1; i < utf8.UTFMax && i <= len(text); i++ {
		if last := text[len(text)-i:]; utf8.RuneStart(last[0]) {
			if !utf8.FullRune(last) {
				text = text[:len(text)-i]
			}
			break
		}
	}
	d.checked += len(text)
	return utf8.Valid(text)
}

// release gives the last message's memory back.
func (d *decoder) release() {
	if d.collected != nil && d.message == 0 {
		d.collected.Put()
		d.collected = nil
	}
	if d.inflated != nil {
		d.inflated.Put()
		d.inflated = nil
	}
}

// abandon gives up the message that is being collected.
func (d *decoder) abandon() {
	d.message, d.checked, d.control = 0, 0, nil
	d.release()
}

// incomplete tells whether a frame or message has begun and not ended.
func (d *decoder) incomplete() bool { return d.started || d.headerLen > 0 || d.message != 0 }

func (d *decoder) readHeader(data []byte) (rest []byte, err error) {
	h := data
	if d.headerLen > 0 || len(data) < ws.MaxHeaderSize {
		n := copy(d.header[d.headerLen:], data)
		h = d.header[:int(d.headerLen)+n]
	}
	size := headerSize(h)
	if len(h) < size {
		d.headerLen = uint8(len(h))
		// What is there can be checked already: a client that breaks the rules need not
		// send more to learn it.
		if len(h) >= 2 {
			err = d.check(h)
		}
		return nil, err
	}
	rest = data[size-int(d.headerLen):]
	d.headerLen = 0
	if err := d.check(h); err != nil {
		return rest, err
	}
	d.op, d.fin, d.got = ws.OpCode(h[0]&0x0f), h[0]&0x80 != 0, 0
	length := uint64(h[1] & 0x7f)
	switch length {
	case 126:
		length = uint64(binary.BigEndian.Uint16(h[2:]))
		if length < 126 {
			return rest, wire.Breach(core.CloseProtocolError, "length %d is not encoded in the shortest form", length)
		}
	case 127:
		length = binary.BigEndian.Uint64(h[2:])
		switch {
		case length >= 1<<63:
			return rest, wire.Breach(core.CloseProtocolError, "length with the top bit set")
		case length < 1<<16:
			return rest, wire.Breach(core.CloseProtocolError, "length %d is not encoded in the shortest form", length)
		}
	}
	if d.masked {
		d.mask = [4]byte(h[size-4 : size])
	}
	if !d.op.IsControl() {
		if d.op != ws.OpContinuation {
			d.message, d.compressed = d.op, h[0]&rsv1 != 0
		}
		limit := d.limit
		if d.compressed {
			// What cannot be compressed gets a little longer by the attempt.
			limit += min(limit>>5+64, math.MaxInt-limit)
		}
		if d.collected != nil {
			limit -= len(d.collected.B)
		}
		if length > uint64(limit) {
			return rest, wire.Breach(core.CloseTooBig, "message of more than %d bytes", d.limit)
		}
	}
	d.length, d.started = int(length), true
	return rest, nil
}

// headerSize returns the size of the header that h begins, as far as h tells.
func headerSize(h []byte) int {
	if len(h) < 2 {
		return 2
	}
	size := 2
	switch h[1] & 0x7f {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if h[1]&0x80 != 0 {
		size += 4
	}
	return size
}

// check looks at the first two bytes of a header.
func (d *decoder) check(h []byte) error {
	op, fin, length := ws.OpCode(h[0]&0x0f), h[0]&0x80 != 0, h[1]&0x7f
	switch {
	case h[0]&rsv23 != 0 || h[0]&rsv1 != 0 && (d.deflate == nil || op.IsControl() || op == ws.OpContinuation):
		return wire.Breach(core.CloseProtocolError, "reserved bits are set that no extension gives a meaning")
	case op.IsReserved():
		return wire.Breach(core.CloseProtocolError, "reserved opcode %#x", byte(op))
	case d.masked && h[1]&0x80 == 0:
		return wire.Breach(core.CloseProtocolError, "client frames must be masked")
	case !d.masked && h[1]&0x80 != 0:
		return wire.Breach(core.CloseProtocolError, "server frames must not be masked")
	case op.IsControl() && !fin:
		return wire.Breach(core.CloseProtocolError, "control frames must not be fragmented")
	case op.IsControl() && length > ws.MaxControlFramePayloadSize:
		return wire.Breach(core.CloseProtocolError, "control frames have at most %d bytes", ws.MaxControlFramePayloadSize)
	case op == ws.OpContinuation && d.message == 0:
		return wire.Breach(core.CloseProtocolError, "continuation without a message to continue")
	case op.IsData() && op != ws.OpContinuation && d.message != 0:
		return wire.Breach(core.CloseProtocolError, "new message before the last one has ended")
	}
	return nil
}

// The reserved bits in the first byte of a header.
const (
	rsv1  = 0x40 // the message is compressed
	rsv23 = 0x30
)

// appendFrame appends a whole frame. A client's frames are masked.
func appendFrame(dst []byte, op ws.OpCode, payload []byte, mask bool) []byte {
	var maskBit byte
	if mask {
		maskBit = 0x80
	}
	dst = append(dst, 0x80|byte(op)) // the op may carry reserved bits
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, maskBit|byte(n))
	case n < 1<<16:
		dst = append(dst, maskBit|126, byte(n>>8), byte(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, maskBit|127), uint64(n))
	}
	if !mask {
		return append(dst, payload...)
	}
	var key [4]byte
	binary.NativeEndian.PutUint32(key[:], rand.Uint32())
	dst = append(dst, key[:]...)
	dst = append(dst, payload...)
	ws.Cipher(dst[len(dst)-len(payload):], key, 0)
	return dst
}

func appendClose(dst []byte, code int, reason string, mask bool) []byte {
	var payload [wire.MaxControl]byte
	return appendFrame(dst, ws.OpClose, wire.ClosePayload(&payload, code, reason), mask)
}
