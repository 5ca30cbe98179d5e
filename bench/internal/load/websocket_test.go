package load

import (
	"bytes"
	"net"
	"strings"
	"testing"
)

// script is a connection from which fixed bytes come, in pieces of a size.
type script struct {
	net.Conn
	input  *bytes.Reader
	piece  int
	output bytes.Buffer
}

func (s *script) Read(b []byte) (int, error) { return s.input.Read(b[:min(len(b), s.piece)]) }

func (s *script) Write(b []byte) (int, error) { return s.output.Write(b) }

func (s *script) Close() error { return nil }

func receiveAll(input []byte, piece int) (messages []string, err error) {
	w := &webSocket{conn: &script{input: bytes.NewReader(input), piece: piece}}
	for {
		msg, err := w.Receive()
		if err != nil {
			return messages, err
		}
		messages = append(messages, string(msg))
	}
}

func TestReceive(t *testing.T) {
	long := strings.Repeat("x", 300)
	longer := strings.Repeat("y", 70_000)
	for _, tt := range []struct {
		name  string
		input string
		want  []string
		err   string
	}{
		{"two", "\x81\x01a\x81\x02bc", []string{"a", "bc"}, "EOF"},
		{"sizes", "\x81\x7e\x01\x2c" + long + "\x81\x7f\x00\x00\x00\x00\x00\x01\x11\x70" + longer + "\x81\x01z", []string{long, longer, "z"}, "EOF"},
		{"ping between", "\x89\x01p\x81\x01a", []string{"a"}, "EOF"},
		{"closed", "\x88\x04\x03\xe9by", nil, "closed by the server"},
		{"fragment", "\x01\x01a", nil, "fragmented"},
		{"reserved bit", "\xc1\x01a", nil, "extended"},
		{"masked", "\x81\x81aaaa", nil, "masked"},
		{"binary", "\x82\x01a", nil, "opcode 2"},
		{"enormous", "\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", nil, "expected at most"},
	} {
		for _, piece := range []int{1, 7, 1 << 20} {
			got, err := receiveAll([]byte(tt.input), piece)
			if strings.Join(got, "|") != strings.Join(tt.want, "|") || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s in pieces of %d: got %.50q, %v", tt.name, piece, got, err)
			}
		}
	}
}

func FuzzReceive(f *testing.F) {
	f.Add([]byte("\x81\x01a\x89\x00\x81\x7e\x00\x02bc"))
	f.Add([]byte("\x81\x7f\x00\x00\x00\x00\x00\x00\x00\x01a\x88\x00"))
	f.Fuzz(func(t *testing.T, input []byte) {
		whole, err := receiveAll(input, 1<<20)
		bytewise, other := receiveAll(input, 1)
		if strings.Join(whole, "|") != strings.Join(bytewise, "|") || err.Error() != other.Error() {
			t.Errorf("at once %q, %v; byte by byte %q, %v", whole, err, bytewise, other)
		}
		if n := len(strings.Join(whole, "")); n > len(input) {
			t.Errorf("%d bytes out of %d", n, len(input))
		}
	})
}

func TestSend(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 65535, 65536} {
		s := &script{}
		w := &webSocket{conn: s}
		msg := bytes.Repeat([]byte("m"), n)
		if err := w.Send(msg); err != nil {
			t.Fatal(err)
		}
		b := s.output.Bytes()
		header := 2 + map[bool]int{true: 2}[n > 125 && n < 65536] + map[bool]int{true: 8}[n >= 65536]
		if b[0] != 0x81 || b[1]&0x80 == 0 || len(b) != header+4+n {
			t.Fatalf("%d bytes make a frame of %d that begins with %x", n, len(b), b[:2])
		}
		mask, payload := b[header:header+4], b[header+4:]
		for i := range payload {
			payload[i] ^= mask[i%4]
		}
		if !bytes.Equal(payload, msg) {
			t.Errorf("%d bytes arrive changed", n)
		}
	}
}
