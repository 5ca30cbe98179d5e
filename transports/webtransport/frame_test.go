package webtransport

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/quic-go/quic-go/quicvarint"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/internal/wire"
)

// testLimit is the longest message of the vectors, and of the decoders here.
const testLimit = 64 << 10

type vector struct {
	Name   string
	Bytes  terms
	Frames []struct {
		Op      opcode
		Payload terms
	}
	Code       int
	Incomplete bool
	Canonical  bool
}

// terms are bytes in the notation of the vectors.
type terms []byte

func (t *terms) UnmarshalJSON(b []byte) error {
	var list []string
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	*t = terms{}
	for _, term := range list {
		kind, arg, _ := strings.Cut(term, ":")
		var more []byte
		var err error
		switch kind {
		case "x":
			var n int
			n, err = strconv.Atoi(arg)
			more = bytes.Repeat([]byte("x"), n)
		case "s":
			more = []byte(arg)
		case "hex":
			more, err = hex.DecodeString(arg)
		default:
			err = fmt.Errorf("no such term")
		}
		if err != nil {
			return fmt.Errorf("%q: %w", term, err)
		}
		*t = append(*t, more...)
	}
	return nil
}

func vectors(t testing.TB) []vector {
	t.Helper()
	b, err := os.ReadFile("../../testdata/webtransport/frames.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []vector
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// An outcome is what a decoder makes of a stream: frames, and the code of the violation that ends them.
type outcome struct {
	frames     []string
	code       int // 0 if there was no violation
	incomplete bool
}

func (r outcome) equal(s outcome) bool {
	return slices.Equal(r.frames, s.frames) && r.code == s.code && r.incomplete == s.incomplete
}

func (r outcome) String() string {
	return fmt.Sprintf("%.500q code %d, incomplete %v", r.frames, r.code, r.incomplete)
}

func describe(op opcode, payload []byte) string { return fmt.Sprintf("%d %s", op, payload) }

// decode gives a stream to the decoder in pieces whose lengths cut chooses.
func decode(stream []byte, cut func(left int) int) (r outcome) {
	d := decoder{limit: testLimit}
	defer d.abandon()
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
	r.incomplete = d.incomplete()
	return r
}

func whole(left int) int    { return left }
func byteWise(int) int      { return 1 }
func atRandom(left int) int { return 1 + rand.IntN(left) }

func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			want := outcome{code: v.Code, incomplete: v.Incomplete}
			var encoded []byte
			for _, f := range v.Frames {
				want.frames = append(want.frames, describe(f.Op, f.Payload))
				encoded = appendFrame(encoded, f.Op, f.Payload)
			}
			for _, cut := range []func(int) int{whole, byteWise, atRandom} {
				if got := decode(v.Bytes, cut); !got.equal(want) {
					t.Fatalf("got %v, want %v", got, want)
				}
			}
			if same := bytes.Equal(encoded, v.Bytes); same != v.Canonical {
				t.Errorf("the frames are encoded as %.100x", encoded)
			}
		})
	}
}

// reference reads a stream with all of it at hand.
func reference(stream []byte) (r outcome) {
	for len(stream) > 0 {
		op := stream[0]
		control := op >= 8 && op <= 10
		if !control && op != 1 && op != 2 {
			r.code = core.CloseProtocolError
			return r
		}
		length, n, err := quicvarint.Parse(stream[1:])
		switch {
		case err != nil:
			r.incomplete = true
			return r
		case control && length > 125:
			r.code = core.CloseProtocolError
			return r
		case length > testLimit:
			r.code = core.CloseTooBig
			return r
		}
		rest := stream[1+n:]
		if uint64(len(rest)) < length {
			r.incomplete = true
			return r
		}
		r.frames = append(r.frames, describe(opcode(op), rest[:length]))
		stream = rest[length:]
	}
	return r
}

func FuzzDecoder(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add([]byte(v.Bytes), uint64(1))
	}
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64) {
		want := reference(stream)
		random := rand.New(rand.NewPCG(seed, 0))
		for _, cut := range []func(int) int{whole, byteWise, func(left int) int { return 1 + random.IntN(left) }} {
			if got := decode(stream, cut); !got.equal(want) {
				t.Fatalf("got %v, want %v", got, want)
			}
		}
		code, reason, err := wire.ParseClose(stream)
		if err == nil && len(stream) <= wire.MaxControl && !bytes.Equal(appendClose(nil, code, reason), appendFrame(nil, opClose, stream)) {
			t.Fatalf("close %d %q", code, reason)
		}
	})
}

// TestDecoderMemory makes sure that a frame costs what has arrived of it, not what it announces.
func TestDecoderMemory(t *testing.T) {
	d := decoder{limit: 1 << 30}
	defer d.abandon()
	announced := append([]byte{byte(opText)}, quicvarint.Append(nil, 1<<29)...)
	if _, rest, err := d.next(append(announced, "abc"...)); err != nil || len(rest) != 0 {
		t.Fatalf("got %q left, error %v", rest, err)
	}
	if c := cap(d.collected.B); c > 128<<10 { // it may be memory that somebody else has given back
		t.Errorf("%d bytes are held for 3", c)
	}
}
