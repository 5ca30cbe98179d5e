package websocket

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/internal/wire"
)

// compressed is compress into memory of its own.
func (d *deflate) compressed(msg []byte) []byte {
	var b wire.Buffer
	d.compress(&b, msg)
	return b.B
}

// codeOf returns the close code of an error, 0 if there is none.
func codeOf(err error) int {
	if err == nil {
		return 0
	}
	code, _ := wire.CloseOf(err)
	return code
}

// Oracle is the other side of a connection, by the standard library. A side that keeps its context is one
// stream over all messages. What has a capital here is for package websocket_test.
type Oracle struct {
	keepSent, keepReceived bool

	out    bytes.Buffer
	writer *flate.Writer
	past   []byte
}

func NewOracle(level int, keepSent, keepReceived bool) *Oracle {
	o := &Oracle{keepSent: keepSent, keepReceived: keepReceived}
	o.writer, _ = flate.NewWriter(&o.out, level)
	return o
}

func (o *Oracle) Compress(msg []byte) []byte {
	o.out.Reset()
	if !o.keepSent {
		o.writer.Reset(&o.out)
	}
	_, _ = o.writer.Write(msg)
	_ = o.writer.Flush()
	return bytes.Clone(bytes.TrimSuffix(o.out.Bytes(), tail))
}

func (o *Oracle) Inflate(payload []byte) ([]byte, error) {
	msg, err := io.ReadAll(flate.NewReaderDict(io.MultiReader(bytes.NewReader(payload), bytes.NewReader(inflateTail)), o.past))
	if o.keepReceived {
		o.past = append(o.past, msg...)
		o.past = o.past[max(0, len(o.past)-largestWindow):]
	}
	return msg, err
}

// RandomMessage returns text that repeats itself and what earlier messages said, or does not, at most n bytes of it.
func RandomMessage(r *rand.Rand, n int) []byte {
	words := strings.Fields("method message path /echo id data sender username uuid status 200 reason ok äöü 日本語")
	var b []byte
	size := r.IntN(n + 1)
	if r.IntN(3) == 0 {
		size = r.IntN(200)
	}
	for len(b) < size {
		switch r.IntN(8) {
		case 0:
			for range r.IntN(40) {
				b = append(b, byte(r.Uint32()))
			}
		case 1:
			b = append(b, bytes.Repeat([]byte{byte(r.Uint32())}, r.IntN(700))...)
		case 2:
			if len(b) > 0 {
				from := r.IntN(len(b))
				b = append(b, b[from:min(len(b), from+r.IntN(5000))]...)
			}
		default:
			b = append(b, words[r.IntN(len(words))]...)
		}
	}
	return b[:size]
}

func TestDeflateRoundTrip(t *testing.T) {
	const limit = 70_000
	for _, keepSent := range []bool{false, true} {
		for _, keepReceived := range []bool{false, true} {
			for level := flate.HuffmanOnly; level <= flate.BestCompression; level++ {
				t.Run(fmt.Sprintf("%v %v level %d", keepSent, keepReceived, level), func(t *testing.T) {
					r := rand.New(rand.NewPCG(uint64(level), 1))
					d := &deflate{window: largestWindow, keepSent: keepSent, keepReceived: keepReceived}
					o := NewOracle(level, keepReceived, keepSent)
					for i := range 12 {
						msg := RandomMessage(r, limit)
						got, err := o.Inflate(d.compressed(msg))
						if err != nil || !bytes.Equal(got, msg) {
							t.Fatalf("message %d of %d bytes: the standard library reads %d bytes, error %v", i, len(msg), len(got), err)
						}
						msg = RandomMessage(r, limit)
						got, err = d.inflate(nil, o.Compress(msg), limit)
						if err != nil || !bytes.Equal(got, msg) {
							t.Fatalf("message %d of %d bytes: got %d bytes, error %v", i, len(msg), len(got), err)
						}
					}
					if n := cap(d.sent) + cap(d.received); n > 50<<10 {
						t.Errorf("the context takes %d bytes", n)
					}
				})
			}
		}
	}
}

// TestDeflateWindow reads what was compressed for a small window: nothing in it may refer back further.
func TestDeflateWindow(t *testing.T) {
	far := bytes.Repeat(slices.Concat([]byte(strings.Repeat("the quick brown fox ", 3)), bytes.Repeat([]byte{0}, 300)), 120)
	for bits := 8; bits <= 15; bits++ {
		t.Run(fmt.Sprint(bits), func(t *testing.T) {
			d := &deflate{window: 1 << bits, keepSent: bits == 15}
			r := rand.New(rand.NewPCG(uint64(bits), 2))
			o := NewOracle(1, false, d.keepSent)
			reach := 0
			for i := range 20 {
				msg := RandomMessage(r, 90_000)
				if i == 0 {
					msg = far
				}
				b := d.compressed(msg)
				if got, err := o.Inflate(b); err != nil || !bytes.Equal(got, msg) {
					t.Fatalf("message %d: got %d bytes of %d, error %v", i, len(got), len(msg), err)
				}
				reach = max(reach, farthest(append(b, inflateTail...)))
			}
			if reach > 1<<bits || reach == 0 {
				t.Errorf("refers %d bytes back, %d are allowed", reach, 1<<bits)
			}
		})
	}
}

// TestDeflateStreams has messages as other compressors than ours may write them.
func TestDeflateStreams(t *testing.T) {
	stored := func(final byte, text string) string {
		n := len(text)
		return string([]byte{final, byte(n), byte(n >> 8), ^byte(n), ^byte(n >> 8)}) + text
	}
	const hello = "\xf2\x48\xcd\xc9\xc9\x07\x00" // in a block of its own, from RFC 7692, section 7.2.3.1
	tests := []struct {
		name, payload, text string
		code                int
	}{
		{"one block", hello, "Hello", 0},
		{"two blocks", "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", "Hello", 0},
		{"no compression", "\x00\x05\x00\xfa\xffHello\x00", "Hello", 0},
		{"final block", "\xf3\x48\xcd\xc9\xc9\x07\x00\x00", "Hello", 0},
		{"final block without an end", "\xf3\x48\xcd\xc9\xc9\x07\x00", "Hello", 0},
		{"two final blocks", "\xf3\x48\xcd\xc9\xc9\x07\x00\xf3\x48\xcd\xc9\xc9\x07\x00\x00", "HelloHello", 0},
		{"block after a final one", "\xf3\x48\xcd\xc9\xc9\x07\x00" + hello, "HelloHello", 0},
		{"15 final blocks", strings.Repeat(stored(1, "x"), 15) + "\x00", strings.Repeat("x", 15), 0},
		{"1000 final blocks", strings.Repeat("\x03\x00", 1000) + "\x00", "", 1007},
		{"reference across a final block", stored(1, "Hello") + "\x02\x13\x00\x00", "HelloHello", 0},
		{"empty", "\x00", "", 0},
		{"empty, in a fixed block", "\x02\x00", "", 0},
		{"empty, twice", "\x00\x00\x00\xff\xff\x00", "", 0},
		{"stored at the limit", stored(0, strings.Repeat("x", testLimit)) + "\x00", strings.Repeat("x", testLimit), 0},
		{"stored beyond the limit", stored(0, strings.Repeat("x", testLimit+1)) + "\x00", "", 1009},

		{"nothing at all", "", "", 1007},
		{"cut", hello[:4], "", 1007},
		{"cut after a byte", hello[:1], "", 1007},
		{"cut in a final block, whose end looks as if it were there", "\x03", "", 1007},
		{"reserved block type", "\x06\x00", "", 1007},
		{"length that does not match", "\x00\x05\x00\xfa\xfeHello\x00", "", 1007},
		{"stored block that is cut", "\x00\x05\x00\xfa\xffHel", "", 1007},
		{"reference before the beginning", "\x02\x13\x00\x00", "", 1007},
		{"reference before the beginning, after text", "\xf2\x00\x11\x1a\x00", "", 1007},
		{"a code with too many symbols", "\xfc\xff\xff\xff\xff\xff\xff\xff\xff", "", 1007},
		{"nonsense", "\xff\xff\xff\xff\xff\xff", "", 1007},
		{"text", "Hello, world", "", 1007},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, keep := range []bool{false, true} {
				d := &deflate{window: largestWindow, keepReceived: keep}
				for range 2 {
					got, err := d.inflate(nil, []byte(tt.payload), testLimit)
					if code := codeOf(err); code != tt.code || err == nil && string(got) != tt.text {
						t.Fatalf("got %.100q, code %d, want %.100q, code %d", got, code, tt.text, tt.code)
					}
					if tt.code != 0 {
						break
					}
				}
			}
		})
	}
}

// TestDeflateBomb inflates 16 MiB, of which it may keep 64 KiB.
func TestDeflateBomb(t *testing.T) {
	const limit = 64 << 10
	bomb := NewOracle(9, false, false).Compress(make([]byte, 16<<20))
	if len(bomb) > limit {
		t.Fatalf("the bomb has %d bytes", len(bomb))
	}
	d := &deflate{window: largestWindow, keepReceived: true}
	explode := func() {
		b := wire.GetBuffer()
		var err error
		b.B, err = d.inflate(b.B, bomb, limit)
		if code := codeOf(err); code != core.CloseTooBig {
			t.Errorf("got code %d, want 1009", code)
		}
		b.Put()
	}
	explode()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const times = 10
	for range times {
		explode()
	}
	runtime.ReadMemStats(&after)
	if n := (after.TotalAlloc - before.TotalAlloc) / times; n > 4*limit {
		t.Errorf("a bomb takes %d bytes of memory, the limit is %d", n, limit)
	}
}

// TestDeflateNothingKept makes sure that a message that is not to be remembered is not.
func TestDeflateNothingKept(t *testing.T) {
	msg := []byte(strings.Repeat("again and again ", 10))
	d := &deflate{window: largestWindow}
	first := d.compressed(msg)
	if second := d.compressed(msg); !bytes.Equal(first, second) {
		t.Error("a message without context takeover depends on the one before")
	}
	d.keepSent = true
	first = d.compressed(msg)
	if second := d.compressed(msg); len(second) >= len(first) {
		t.Errorf("with context takeover, the same message takes %d bytes and then %d", len(first), len(second))
	}
}

// FuzzDeflate inflates anything, and what was compressed.
func FuzzDeflate(f *testing.F) {
	f.Add([]byte("\xf2\x48\xcd\xc9\xc9\x07\x00"), uint8(15))
	f.Add([]byte("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), uint8(15))
	f.Add([]byte("\x00\x05\x00\xfa\xffHello\x00"), uint8(8))
	f.Add(NewOracle(9, false, false).Compress(make([]byte, 1<<20)), uint8(15))
	f.Add([]byte(strings.Repeat("text text ", 50)), uint8(9))
	f.Fuzz(func(t *testing.T, b []byte, bits uint8) {
		bits = 8 + bits%8
		d := &deflate{window: 1 << bits, keepSent: bits == 15, keepReceived: true}
		for range 2 {
			got, err := d.inflate(nil, b, testLimit)
			if code := codeOf(err); code == 0 && len(got) > testLimit {
				t.Fatalf("%d bytes, the limit is %d", len(got), testLimit)
			} else if code != 0 && code != core.CloseInvalidData && code != core.CloseTooBig {
				t.Fatalf("close code %d: %v", code, err)
			}
			if cap(got) > 4*testLimit {
				t.Fatalf("%d bytes of memory, the limit is %d", cap(got), testLimit)
			}
		}
		d.received = nil
		for range 3 {
			got, err := d.inflate(nil, d.compressed(b), len(b))
			if err != nil || !bytes.Equal(got, b) {
				t.Fatalf("got %q, error %v, want %q", got, err, b)
			}
		}
	})
}

// FuzzOffer negotiates with any header.
func FuzzOffer(f *testing.F) {
	f.Add("permessage-deflate")
	f.Add("permessage-deflate; server_max_window_bits=10; client_max_window_bits, x; y=\"z\"")
	f.Add("permessage-deflate; server_no_context_takeover; client_no_context_takeover; unknown")
	f.Add("a=b=c;; , permessage-deflate; server_max_window_bits=\"\\15\"")
	f.Fuzz(func(t *testing.T, header string) {
		for _, keep := range []bool{false, true} {
			o := &Compression{ContextTakeover: keep}
			d, answer := o.choose([]string{header})
			if (d == nil) != (answer == "") {
				t.Fatalf("answer %q with %v", answer, d)
			}
			if d == nil {
				continue
			}
			// The answer says what is going to be done.
			words := strings.Split(answer, ";")
			if words[0] != "permessage-deflate" ||
				slices.Contains(words, "server_no_context_takeover") == d.keepSent ||
				slices.Contains(words, "client_no_context_takeover") == d.keepReceived ||
				!keep && (d.keepSent || d.keepReceived) {
				t.Fatalf("answer %q with %+v", answer, d)
			}
			window := largestWindow
			for _, word := range words[1:] {
				if bits, ok := strings.CutPrefix(word, "server_max_window_bits="); ok {
					window = windowBits([]byte(bits)).Bytes()
				}
			}
			if d.window != window {
				t.Fatalf("answer %q, window of %d bytes", answer, d.window)
			}
		}
	})
}
