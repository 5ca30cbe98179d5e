package websocket

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/protoo-go/protoo/transports/internal/wire"
)

// testLimit is the longest message of the decoders here.
const testLimit = 1000

// An outcome is what a decoder makes of a stream: frames, and the code of the violation that ends them.
type outcome struct {
	frames []string
	code   int // 0 if there was no violation
}

func (r outcome) String() string { return fmt.Sprintf("%q code %d", r.frames, r.code) }

func describe(op ws.OpCode, payload []byte) string { return fmt.Sprintf("%x %s", byte(op), payload) }

// decode gives a stream to the decoder in pieces whose lengths cut chooses.
func decode(d *decoder, stream []byte, cut func(left int) int) (r outcome) {
	defer d.release()
	for len(stream) > 0 {
		n := cut(len(stream))
		piece := bytes.Clone(stream[:n])
		stream = stream[n:]
		for len(piece) > 0 {
			f, rest, err := d.next(piece)
			if err != nil {
				r.code, _ = wire.CloseOf(err)
				return r
			}
			if f.op != 0 {
				r.frames = append(r.frames, describe(f.op, f.payload))
			}
			piece = rest
		}
	}
	return r
}

// reference reads a stream by the letter of RFC 6455, section 5, with all of it at hand.
func reference(stream []byte, masked bool) (r outcome) {
	var message []byte
	var kind byte // of the message in fragments, 0 without one
	for len(stream) >= 2 {
		op, fin, rsv := stream[0]&0x0f, stream[0]&0x80 != 0, stream[0]&0x70
		control, short := op >= 8, stream[1]&0x7f
		switch {
		case rsv != 0,
			op > 2 && op < 8, op > 10,
			masked != (stream[1]&0x80 != 0),
			control && (!fin || short > 125),
			op == 0 && kind == 0,
			(op == 1 || op == 2) && kind != 0:
			r.code = 1002
			return r
		}
		at, least := 2, uint64(0)
		switch short {
		case 126:
			at, least = 4, 126
		case 127:
			at, least = 10, 1<<16
		}
		if masked {
			at += 4
		}
		if len(stream) < at {
			return r
		}
		length := uint64(short)
		switch short {
		case 126:
			length = uint64(binary.BigEndian.Uint16(stream[2:]))
		case 127:
			length = binary.BigEndian.Uint64(stream[2:])
		}
		if length < least || length >= 1<<63 {
			r.code = 1002
			return r
		}
		if !control && length+uint64(len(message)) > testLimit {
			r.code = 1009
			return r
		}
		whole := uint64(len(stream)-at) >= length
		end := len(stream)
		if whole {
			end = at + int(length)
		}
		payload := bytes.Clone(stream[at:end])
		if masked {
			for i := range payload {
				payload[i] ^= stream[at-4+i%4]
			}
		}
		stream = stream[end:]
		if control {
			if whole {
				r.frames = append(r.frames, describe(ws.OpCode(op), payload))
			}
			continue
		}
		if op != 0 {
			kind = op
		}
		message = append(message, payload...)
		complete := whole && fin
		if kind == 1 && !startsText(message, complete) {
			r.code = 1007
			return r
		}
		if complete {
			r.frames = append(r.frames, describe(ws.OpCode(kind), message))
			message, kind = nil, 0
		}
	}
	return r
}

// startsText tells whether b is valid UTF-8, or, if it is not complete, can become so.
func startsText(b []byte, complete bool) bool {
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 {
			return !complete && !utf8.FullRune(b)
		}
		b = b[size:]
	}
	return true
}

// streams returns what fuzzing starts from, and what TestDecoder reads in every way.
func streams(masked bool) map[string][]byte {
	frame := func(first byte, payload string) []byte {
		b := appendFrame(nil, ws.OpText, []byte(payload), masked)
		b[0] = first
		return b
	}
	join := func(frames ...[]byte) []byte { return slices.Concat(frames...) }
	return map[string][]byte{
		"nothing":         {},
		"text":            frame(0x81, "hello"),
		"empty":           frame(0x81, ""),
		"long":            frame(0x81, strings.Repeat("x", 126)),
		"longest":         frame(0x82, strings.Repeat("x", testLimit)),
		"too long":        frame(0x82, strings.Repeat("x", testLimit+1)),
		"fragments":       join(frame(0x01, "hel"), frame(0x00, ""), frame(0x89, "ping"), frame(0x80, "lo")),
		"in a character":  join(frame(0x01, "h\xc3"), frame(0x00, ""), frame(0x80, "\xb6")),
		"half":            join(frame(0x01, "h\xc3"), frame(0x80, "x")),
		"surrogate":       join(frame(0x01, "h\xed"), frame(0x80, "\xa0\x80")),
		"not UTF-8":       frame(0x81, "\xff"),
		"binary":          frame(0x82, "\xff"),
		"control":         join(frame(0x89, "a"), frame(0x8a, "b"), frame(0x88, "\x03\xe8bye")),
		"long ping":       frame(0x89, strings.Repeat("x", 126)),
		"ping fragment":   frame(0x09, "x"),
		"reserved":        frame(0x83, "x"),
		"reserved bit":    frame(0xc1, "x"),
		"wrongly masked":  appendFrame(nil, ws.OpText, []byte("x"), !masked),
		"continuation":    frame(0x80, "x"),
		"twice":           join(frame(0x01, "x"), frame(0x81, "y")),
		"half a header":   {0x81, 0xfe, 0x01},
		"half a payload":  frame(0x81, "hello")[:4],
		"non-minimal":     {0x81, 0xfe, 0x00, 0x05, 0, 0, 0, 0},
		"non-minimal, 64": {0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0},
		"top bit":         {0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"many":            bytes.Repeat(frame(0x81, "hello"), 30),
	}
}

// compare decodes a stream in pieces and looks it up in the reference.
func compare(t *testing.T, stream []byte, masked bool, cut func(int) int) {
	t.Helper()
	d := &decoder{limit: testLimit, masked: masked}
	got, want := decode(d, stream, cut), reference(stream, masked)
	if !slices.Equal(got.frames, want.frames) || got.code != want.code {
		t.Fatalf("stream %x\n got %v\nwant %v", stream, got, want)
	}
}

func TestDecoder(t *testing.T) {
	for _, masked := range []bool{true, false} {
		for name, stream := range streams(masked) {
			t.Run(fmt.Sprintf("%s, masked %v", name, masked), func(t *testing.T) {
				compare(t, stream, masked, func(left int) int { return left })
				compare(t, stream, masked, func(int) int { return 1 })
				for n := range len(stream) {
					first := n
					compare(t, stream, masked, func(left int) int {
						n := min(max(first, 1), left)
						first = left
						return n
					})
				}
			})
		}
	}
}

// FuzzDecoder reads a stream in pieces: what they are must not matter.
func FuzzDecoder(f *testing.F) {
	for _, masked := range []bool{true, false} {
		for _, stream := range streams(masked) {
			f.Add(stream, uint64(1), masked)
		}
	}
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64, masked bool) {
		r := rand.New(rand.NewPCG(seed, 0))
		largest := 1 + r.IntN(40)
		compare(t, stream, masked, func(left int) int { return min(1+r.IntN(largest), left) })
	})
}

func BenchmarkDecoder(b *testing.B) {
	for _, size := range []int{16, 128, 1024, 16 << 10} {
		for _, pieces := range []int{1, 2} {
			b.Run(fmt.Sprintf("%d bytes in %d", size, pieces), func(b *testing.B) {
				d := &decoder{limit: 64 << 10, masked: true}
				stream := appendFrame(nil, ws.OpText, bytes.Repeat([]byte("x"), size), true)
				// With this key unmasking changes nothing, so that the stream can be read again.
				copy(stream[len(stream)-size-4:], []byte{0, 0, 0, 0})
				copy(stream[len(stream)-size:], bytes.Repeat([]byte("x"), size))
				b.SetBytes(int64(len(stream)))
				b.ReportAllocs()
				for b.Loop() {
					for i := range pieces {
						rest := stream[i*len(stream)/pieces : (i+1)*len(stream)/pieces]
						for len(rest) > 0 {
							var err error
							if _, rest, err = d.next(rest); err != nil {
								b.Fatal(err)
							}
						}
					}
					d.release()
				}
			})
		}
	}
}

func BenchmarkAppendFrame(b *testing.B) {
	for _, size := range []int{16, 128, 1024, 16 << 10} {
		for _, mask := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d bytes, masked %v", size, mask), func(b *testing.B) {
				payload := bytes.Repeat([]byte("x"), size)
				var dst []byte
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					dst = appendFrame(dst[:0], ws.OpText, payload, mask)
				}
			})
		}
	}
}
