package websocket_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/websocket"
)

// compressing returns a path's server with permessage-deflate turned on.
func (p path) compressing(c websocket.Compression) path {
	p.options.Compression = &c
	return p
}

// negotiate connects with a header that offers extensions, and returns the answer without blanks.
func (s *server) negotiate(t testing.TB, offers ...string) (*client, string) {
	t.Helper()
	c := s.dialRaw(t)
	for i := range offers {
		offers[i] = "Sec-WebSocket-Extensions: " + offers[i]
	}
	target := "/?username=z&uuid=" + strconv.FormatInt(conversations.Add(1), 10)
	if err := c.write(handshake(target, offers...)); err != nil {
		t.Fatal(err)
	}
	answers := c.switched(t)["Sec-Websocket-Extensions"]
	return c, strings.ReplaceAll(strings.Join(answers, "|"), " ", "")
}

// The answers to an offer that asks for nothing.
const (
	noTakeover = "permessage-deflate;server_no_context_takeover;client_no_context_takeover"
	takeover   = "permessage-deflate"
)

func TestNegotiation(t *testing.T) {
	type test struct {
		offer    string // header lines with | in between
		fresh    string // the answer of a server without context takeover
		takeover string // and of one with it
	}
	tests := []test{
		{"permessage-deflate", noTakeover, takeover},
		{"permessage-deflate; server_no_context_takeover", noTakeover, takeover + ";server_no_context_takeover"},
		{"permessage-deflate; client_no_context_takeover", noTakeover, takeover + ";client_no_context_takeover"},
		{"permessage-deflate; client_no_context_takeover; server_no_context_takeover", noTakeover, noTakeover},
		{"permessage-deflate; client_max_window_bits", noTakeover, takeover},
		{"permessage-deflate;client_max_window_bits=10;server_no_context_takeover", noTakeover, takeover + ";server_no_context_takeover"},
		{"  permessage-deflate ;  client_max_window_bits  =  \"9\" ", noTakeover, takeover},

		// Several offers: the first that can be accepted.
		{"permessage-deflate, permessage-deflate; server_no_context_takeover", noTakeover, takeover},
		{"permessage-deflate; server_no_context_takeover, permessage-deflate", noTakeover, takeover + ";server_no_context_takeover"},
		{"permessage-bzip2, permessage-deflate", noTakeover, takeover},
		{"x-webkit-deflate-frame, permessage-deflate", noTakeover, takeover},
		{"permessage-deflate; unknown, permessage-deflate", noTakeover, takeover},
		{"permessage-deflate; server_max_window_bits=7, permessage-deflate; client_no_context_takeover", noTakeover, takeover + ";client_no_context_takeover"},
		{"permessage-bzip2|permessage-deflate", noTakeover, takeover},
		{"permessage-deflate; unknown|permessage-deflate", noTakeover, takeover},
		{"permessage-deflate|permessage-deflate; server_no_context_takeover", noTakeover, takeover},
		{"a=b=c;;|permessage-deflate", noTakeover, takeover},
		{strings.Repeat("permessage-deflate; unknown, ", 50) + "permessage-deflate", noTakeover, takeover},

		// Declined.
		{"", "", ""},
		{"permessage-bzip2", "", ""},
		{"Permessage-Deflate", "", ""},
		{"permessage-deflate; unknown", "", ""},
		{"permessage-deflate; unknown=1; server_no_context_takeover", "", ""},
		{"permessage-deflate; server_no_context_takeover; server_no_context_takeover", "", ""},
		{"permessage-deflate; client_no_context_takeover; client_no_context_takeover", "", ""},
		{"permessage-deflate; client_max_window_bits; client_max_window_bits", "", ""},
		{"permessage-deflate; client_max_window_bits; client_max_window_bits=10", "", ""},
		{"permessage-deflate; client_max_window_bits=10; client_max_window_bits=10", "", ""},
		{"permessage-deflate; server_max_window_bits=10; server_max_window_bits=10", "", ""},
		{"permessage-deflate; server_no_context_takeover=1", "", ""},
		{"permessage-deflate; client_no_context_takeover=true", "", ""},
		{"permessage-deflate; server_max_window_bits", "", ""},
	}
	for _, name := range []string{"server_max_window_bits", "client_max_window_bits"} {
		for _, value := range []string{"0", "7", "16", "-8", "+8", "08", "010", "8.0", "1e1", "abc", "99999999999999999999", "0x8", `" 8"`, `""`} {
			if value == `""` && name == "client_max_window_bits" {
				continue // which the parser cannot tell from no value
			}
			tests = append(tests, test{"permessage-deflate; " + name + "=" + value, "", ""})
		}
	}
	for bits := 8; bits <= 15; bits++ {
		with := fmt.Sprintf(";server_max_window_bits=%d", bits)
		kept := takeover + with
		if bits < 15 {
			kept = takeover + ";server_no_context_takeover" + with
		}
		tests = append(tests,
			test{"permessage-deflate; server_max_window_bits=" + strconv.Itoa(bits), noTakeover + with, kept},
			test{"permessage-deflate; client_max_window_bits=" + strconv.Itoa(bits), noTakeover, takeover},
		)
	}

	// What is not even a list of extensions declines itself.
	for _, header := range []string{";", "=", ";;;", "permessage-deflate;;", "permessage-deflate; =8", "permessage-deflate; a=", `permessage-deflate; a="`, "\"permessage-deflate\"", "permessage-deflate; (comment", "(", "@", "permessage-deflate; a=b=c"} {
		tests = append(tests, test{header, "", ""})
	}

	for _, keep := range []bool{false, true} {
		s := start(t, paths[0].compressing(websocket.Compression{Threshold: 1, ContextTakeover: keep}), echo(), byQuery)
		for _, tt := range tests {
			t.Run(fmt.Sprintf("%s, takeover %v", tt.offer, keep), func(t *testing.T) {
				want := tt.fresh
				if keep {
					want = tt.takeover
				}
				var offers []string
				if tt.offer != "" {
					offers = strings.Split(tt.offer, "|")
				}
				c, answer := s.negotiate(t, offers...)
				if answer != want {
					t.Errorf("got answer %q, want %q", answer, want)
				}
				newZipped(c, answer).exchange(t, "works", "works", "still works")
			})
		}
	}
	t.Run("off", func(t *testing.T) {
		c, answer := start(t, paths[0], echo(), byQuery).negotiate(t, "permessage-deflate")
		if answer != "" {
			t.Errorf("got answer %q, want none", answer)
		}
		newZipped(c, answer).exchange(t, "works")
	})
}

// zipped is a client with what it has negotiated.
type zipped struct {
	*client
	oracle *websocket.Oracle // nil without compression
}

func newZipped(c *client, answer string) *zipped {
	z := &zipped{client: c}
	if answer != "" {
		z.oracle = websocket.NewOracle(6, !strings.Contains(answer, "client_no_context_takeover"), !strings.Contains(answer, "server_no_context_takeover"))
	}
	return z
}

const rsv1 = 0x40

// frame returns a text message, compressed if that was negotiated.
func (z *zipped) frame(msg string) []byte {
	if z.oracle == nil {
		return text(msg)
	}
	return masked(final|rsv1|1, z.oracle.Compress([]byte(msg)))
}

// nextText reads a text message, and reports whether it was compressed.
func (z *zipped) nextText(t *testing.T) (msg string, compressed bool) {
	t.Helper()
	for {
		first, payload, err := z.next()
		if err != nil {
			t.Fatal(err)
		}
		switch first {
		case final | 1:
			return string(payload), false
		case final | rsv1 | 1:
			if z.oracle == nil {
				t.Fatal("a compressed message that nobody has asked for")
			}
			msg, err := z.oracle.Inflate(payload)
			if err != nil {
				t.Fatalf("compressed message: %v", err)
			}
			return string(msg), true
		case final | 8:
			t.Fatalf("closed by the server: %q", payload)
		}
	}
}

// exchange has data echoed.
func (z *zipped) exchange(t *testing.T, data ...string) {
	t.Helper()
	for _, d := range data {
		if err := z.write(z.frame(echoRequest(d))); err != nil {
			t.Fatal(err)
		}
		if got, _ := z.nextText(t); got != echoResponse(d) {
			t.Fatalf("got %.100q, want the echo of %.100q", got, d)
		}
	}
}

// offers asks for each setting of context takeover, and for some windows.
var offers = []string{
	"permessage-deflate",
	"permessage-deflate; server_no_context_takeover",
	"permessage-deflate; client_no_context_takeover",
	"permessage-deflate; server_no_context_takeover; client_no_context_takeover",
	"permessage-deflate; server_max_window_bits=8",
	"permessage-deflate; server_max_window_bits=12; client_no_context_takeover",
	"permessage-deflate; server_max_window_bits=15; client_max_window_bits=15",
}

// TestCompression exchanges random messages, some of them not compressed, with the standard library.
func TestCompression(t *testing.T) {
	for _, p := range paths {
		t.Run(p.name, func(t *testing.T) {
			s := start(t, p.compressing(websocket.Compression{Threshold: 1, ContextTakeover: true}), echo(), byQuery)
			for i, offer := range offers {
				t.Run(offer, func(t *testing.T) {
					r := rand.New(rand.NewPCG(uint64(i), 3))
					c, answer := s.negotiate(t, offer)
					z := newZipped(c, answer)
					for range 20 {
						data := jsonText(websocket.RandomMessage(r, 40_000))
						z.exchange(t, data)
						if r.IntN(3) > 0 {
							continue
						}
						if err := z.write(text(echoRequest(data))); err != nil {
							t.Fatal(err)
						}
						if got, _ := z.nextText(t); got != echoResponse(data) {
							t.Fatalf("not compressed: got %.100q", got)
						}
					}
				})
			}
		})
	}
}

// jsonText makes b the inside of a JSON string that needs no escapes.
func jsonText(b []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == '"' || r == '\\' {
			return '.'
		}
		return r
	}, strings.ToValidUTF8(string(b), "?"))
}

func TestCompressionThreshold(t *testing.T) {
	for _, tt := range []struct{ threshold, size int }{{0, 512}, {1, 1}, {100, 100}, {5000, 5000}} {
		s := start(t, paths[0].compressing(websocket.Compression{Threshold: tt.threshold}), echo(), byQuery)
		c, answer := s.negotiate(t, "permessage-deflate")
		z := newZipped(c, answer)
		empty := len(echoResponse(""))
		for _, size := range []int{empty, tt.size - 1, tt.size, tt.size + 1, 10_000} {
			if size < empty {
				continue
			}
			if err := z.write(z.frame(echoRequest(strings.Repeat("x", size-empty)))); err != nil {
				t.Fatal(err)
			}
			msg, compressed := z.nextText(t)
			if len(msg) != size || compressed != (size >= tt.size) {
				t.Errorf("threshold %d: message of %d bytes, want %d, compressed: %v", tt.threshold, len(msg), size, compressed)
			}
		}
	}
}

// TestCompressedFrames has what the rules say about frames of compressed messages.
func TestCompressedFrames(t *testing.T) {
	deflated := func(msg string) []byte { return websocket.NewOracle(9, false, false).Compress([]byte(msg)) }
	hello := deflated(echoRequest("hello"))
	long := deflated(echoRequest(strings.Repeat("long ", 5000)))
	bomb := deflated(strings.Repeat("\x00", 4<<20))
	// No compressor makes these, but a client may.
	stored := func(msg string) []byte { return websocket.NewOracle(0, false, false).Compress([]byte(msg)) }
	longest := echoRequest(strings.Repeat("x", 64<<10-len(echoRequest(""))))
	const (
		more = 0
		zip  = rsv1
	)
	chopped := func(payload []byte, n int, between []byte) [][]byte {
		frames := [][]byte{masked(more|zip|1, nil)}
		for len(payload) > n {
			frames = append(frames, masked(more, payload[:n]), between)
			payload = payload[n:]
		}
		return append(frames, masked(final, payload))
	}
	hellos := func(n int) (all []string) {
		for range n {
			all = append(all, echoResponse("hello"))
		}
		return all
	}
	tests := []struct {
		name   string
		frames [][]byte
		want   []string
		code   int
	}{
		{"one frame", [][]byte{masked(final|zip|1, hello)}, hellos(1), 0},
		{"one frame and one that is not compressed", [][]byte{masked(final|zip|1, hello), text(echoRequest("hello"))}, hellos(2), 0},
		{"fragments", chopped(hello, 10, nil), hellos(1), 0},
		{"fragments of one byte", chopped(hello, 1, nil), hellos(1), 0},
		{"fragments with pings in between", chopped(hello, 10, masked(final|9, []byte("ping"))), hellos(1), 0},
		{"fragments of a long one", chopped(long, 20, nil), []string{echoResponse(strings.Repeat("long ", 5000))}, 0},
		{"compressed and plain fragments in turns", append(append(chopped(hello, 10, nil), masked(more|1, []byte(echoRequest("hello"))), masked(final, nil)), chopped(hello, 20, nil)...), hellos(3), 0},
		{"the longest message", [][]byte{masked(final|zip|1, deflated(longest))}, []string{echoResponse(longest[len(echoRequest(""))-2 : len(longest)-2])}, 0},
		{"the longest message, stored", [][]byte{masked(final|zip|1, stored(longest))}, []string{echoResponse(longest[len(echoRequest(""))-2 : len(longest)-2])}, 0},
		{"empty message", [][]byte{masked(final|zip|1, []byte{0}), masked(final|zip|1, hello)}, hellos(1), 0},
		{"binary", [][]byte{masked(final|zip|2, hello), masked(final|zip|1, hello)}, hellos(1), 0},

		{"no payload", [][]byte{masked(final|zip|1, nil)}, nil, core.CloseInvalidData},
		{"corrupt", [][]byte{masked(final|zip|1, []byte("\xff\xff\xff\xff"))}, nil, core.CloseInvalidData},
		{"plain text called compressed", [][]byte{masked(final|zip|1, []byte(echoRequest("hello")))}, nil, core.CloseInvalidData},
		{"cut", [][]byte{masked(final|zip|1, hello[:len(hello)/2])}, nil, core.CloseInvalidData},
		{"cut, in fragments", [][]byte{masked(more|zip|1, hello[:10]), masked(final, hello[10:20])}, nil, core.CloseInvalidData},
		{"reference to a message that is not kept", [][]byte{masked(final|zip|1, []byte("\x02\x13\x00\x00"))}, nil, core.CloseInvalidData},
		{"compressed text called plain", [][]byte{masked(final|1, bytes.Repeat([]byte{0xf2, 0x48, 0xcd}, 9))}, nil, core.CloseInvalidData},
		{"text that is not UTF-8", [][]byte{masked(final|zip|1, deflated("\xff\xfe"))}, nil, core.CloseInvalidData},
		{"text that ends in a character", [][]byte{masked(final|zip|1, deflated("abc\xc3"))}, nil, core.CloseInvalidData},
		{"text that is not UTF-8, in fragments", chopped(deflated("abc\xc3\x28"), 2, nil), nil, core.CloseInvalidData},
		{"bomb", [][]byte{masked(final|zip|1, bomb)}, nil, core.CloseTooBig},
		{"bomb in fragments", chopped(bomb, 1000, nil), nil, core.CloseTooBig},
		{"binary bomb", [][]byte{masked(final|zip|2, bomb)}, nil, core.CloseTooBig},
		{"one byte too long", [][]byte{masked(final|zip|1, deflated(longest+" "))}, nil, core.CloseTooBig},
		{"too long even compressed", [][]byte{masked(final|zip|1, stored(strings.Repeat("x", 70_000)))}, nil, core.CloseTooBig},
		{"64 MiB declared", [][]byte{{final | zip | 1, 0xff, 0, 0, 0, 0, 4, 0, 0, 0, 1, 2, 3, 4}}, nil, core.CloseTooBig},

		{"bit 1 on the continuation", [][]byte{masked(more|zip|1, hello[:10]), masked(final|zip, hello[10:])}, nil, core.CloseProtocolError},
		{"bit 1 on the continuation of a plain message", [][]byte{masked(more|1, []byte("x")), masked(final|zip, []byte("x"))}, nil, core.CloseProtocolError},
		{"bit 1 on a middle fragment", [][]byte{masked(more|zip|1, hello[:10]), masked(more|zip, hello[10:20])}, nil, core.CloseProtocolError},
		{"bit 1 on a ping", [][]byte{masked(final|zip|9, []byte{0})}, nil, core.CloseProtocolError},
		{"bit 1 on a pong", [][]byte{masked(final|zip|10, []byte{0})}, nil, core.CloseProtocolError},
		{"bit 1 on a close frame", [][]byte{masked(final|zip|8, nil)}, nil, core.CloseProtocolError},
		{"bit 1 on a ping between fragments", [][]byte{masked(more|zip|1, hello[:10]), masked(final|zip|9, nil)}, nil, core.CloseProtocolError},
		{"bit 2", [][]byte{masked(final|zip|0x20|1, hello)}, nil, core.CloseProtocolError},
		{"bit 3", [][]byte{masked(final|zip|0x10|1, hello)}, nil, core.CloseProtocolError},
		{"bit 2 without bit 1", [][]byte{masked(final|0x20|1, hello)}, nil, core.CloseProtocolError},
		{"bit 3 on the continuation", [][]byte{masked(more|zip|1, hello[:10]), masked(final|0x10, hello[10:])}, nil, core.CloseProtocolError},
		{"bit 1 on a reserved opcode", [][]byte{masked(final|zip|3, hello)}, nil, core.CloseProtocolError},
	}
	for _, p := range paths {
		t.Run(p.name, func(t *testing.T) {
			p.options.CloseTimeout = time.Minute
			s := start(t, p.compressing(websocket.Compression{Threshold: 1 << 20}), echo(), byQuery)
			for _, tt := range tests {
				t.Run(tt.name, func(t *testing.T) {
					c, answer := s.negotiate(t, "permessage-deflate")
					if answer != noTakeover {
						t.Fatalf("got answer %q", answer)
					}
					newZipped(c, answer).exchange(t, "hello")
					if err := c.write(bytes.Join(tt.frames, nil)); err != nil {
						t.Fatal(err)
					}
					var got wanted
					for len(got.messages) < len(tt.want) && !got.closed {
						c.collect(t, &got)
					}
					if tt.code == 0 {
						if err := c.write(closing(core.CloseNormal, "")); err != nil {
							t.Fatal(err)
						}
						tt.code = core.CloseNormal
					}
					for !got.closed {
						c.collect(t, &got)
					}
					if code := int(got.closing[0])<<8 | int(got.closing[1]); code != tt.code {
						t.Errorf("got close frame %q, want code %d", got.closing, tt.code)
					}
					if fmt.Sprint(got.messages) != fmt.Sprint(tt.want) {
						t.Errorf("got %.200q, want %.200q", got.messages, tt.want)
					}
					if _, _, err := c.next(); err != io.EOF {
						t.Errorf("after the close frame: got error %v, want EOF", err)
					}
				})
			}
		})
	}
}
