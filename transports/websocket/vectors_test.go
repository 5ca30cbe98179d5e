package websocket_test

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// A vector is a conversation of frames. testdata/websocket/README.md describes how they are written.
type vector struct {
	Name string
	Send []string
	Want []string
}

func readVectors(t *testing.T, file string) []vector {
	b, err := os.ReadFile("../../testdata/websocket/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var vs []vector
	if err := json.Unmarshal(b, &vs); err != nil {
		t.Fatal(err)
	}
	return vs
}

var opcodes = map[string]byte{"cont": 0, "text": 1, "binary": 2, "close": 8, "ping": 9, "pong": 10}

func opcode(name string) (byte, error) {
	if op, ok := opcodes[name]; ok {
		return op, nil
	}
	op, err := strconv.ParseUint(name, 0, 4)
	return byte(op), err
}

// encode returns the bytes that a client sends for a frame.
func encode(frame string) ([]byte, error) {
	words := strings.Fields(frame)
	if digits, ok := strings.CutPrefix(words[0], "raw:"); ok {
		return hex.DecodeString(digits)
	}
	op, err := opcode(words[0])
	if err != nil {
		return nil, err
	}
	var (
		first   = final | op
		maskBit = byte(0x80)
		mask    = [4]byte{0xa1, 0x02, 0x53, 0xff}
		form    = ""
		says    = int64(-1)
		payload []byte
	)
	for _, word := range words[1:] {
		name, arg, _ := strings.Cut(word, ":")
		switch name {
		case "more":
			first &^= final
		case "rsv1", "rsv2", "rsv3":
			first |= 0x80 >> (name[3] - '0')
		case "bare":
			maskBit = 0
		case "mask":
			_, err = hex.Decode(mask[:], []byte(arg))
		case "len16", "len64":
			form = name
		case "says":
			var n uint64
			n, err = strconv.ParseUint(arg, 10, 64)
			says = int64(n)
			if n >= 1<<16 {
				form = "len64"
			}
		default:
			payload, err = appendTerm(payload, name, arg)
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", word, err)
		}
	}
	n := uint64(len(payload))
	if says != -1 || form == "len64" && strings.Contains(frame, "says:") {
		n = uint64(says)
	}
	b := []byte{first}
	switch {
	case form == "len64" || form == "" && n >= 1<<16:
		b = binary.BigEndian.AppendUint64(append(b, maskBit|127), n)
	case form == "len16" || n >= 126:
		b = binary.BigEndian.AppendUint16(append(b, maskBit|126), uint16(n))
	default:
		b = append(b, maskBit|byte(n))
	}
	if maskBit == 0 {
		return append(b, payload...), nil
	}
	b = append(b, mask[:]...)
	for i, c := range payload {
		b = append(b, c^mask[i%4])
	}
	return b, nil
}

// appendTerm appends a part of a payload.
func appendTerm(dst []byte, kind, arg string) ([]byte, error) {
	arg, slice, sliced := strings.Cut(strings.TrimSuffix(arg, "]"), "[")
	var b []byte
	var err error
	n := 0
	switch kind {
	case "x", "echo", "code":
		if n, err = strconv.Atoi(arg); err != nil {
			return nil, err
		}
	}
	switch kind {
	case "x":
		b = []byte(strings.Repeat("x", n))
	case "s":
		b = []byte(arg)
	case "hex":
		b, err = hex.DecodeString(arg)
	case "code":
		b = binary.BigEndian.AppendUint16(nil, uint16(n))
	case "echo":
		b = []byte(echoRequest(strings.Repeat("x", n-len(echoRequest("")))))
	case "quote":
		var data []byte
		data, err = hex.DecodeString(arg)
		b = []byte(echoRequest(string(data)))
	default:
		err = fmt.Errorf("no such term")
	}
	if err != nil || !sliced {
		return append(dst, b...), err
	}
	from, to, _ := strings.Cut(slice, ":")
	start, end := 0, len(b)
	if from != "" {
		start, err = strconv.Atoi(from)
	}
	if to != "" && err == nil {
		end, err = strconv.Atoi(to)
	}
	if err != nil || start > end || end > len(b) {
		return nil, fmt.Errorf("no bytes %s of %d", slice, len(b))
	}
	return append(dst, b[start:end]...), nil
}

// echoRequest returns a request that is answered with its own data, a string that needs no escapes.
func echoRequest(data string) string {
	return `{"method":"message","path":"/echo","id":"1","data":"` + data + `"}`
}

func echoResponse(data string) string {
	return `{"status":200,"reason":"ok","id":"1","data":"` + data + `"}`
}

// wanted is what a vector expects. Messages and pongs each come in order; the answer to a request whose handler
// has taken long may come behind a pong.
type wanted struct {
	messages, pongs []string
	closing         []byte // payload of the close frame
	closed          bool
}

func expect(frames []string) (w wanted, err error) {
	for _, frame := range frames {
		words := strings.Fields(frame)
		var payload []byte
		for _, word := range words[1:] {
			kind, arg, _ := strings.Cut(word, ":")
			if payload, err = appendTerm(payload, kind, arg); err != nil {
				return w, err
			}
		}
		switch words[0] {
		case "text":
			data := strings.TrimSuffix(string(payload[len(echoRequest(""))-2:]), `"}`)
			w.messages = append(w.messages, echoResponse(data))
		case "pong":
			w.pongs = append(w.pongs, string(payload))
		case "close":
			w.closed, w.closing = true, payload
		default:
			return w, fmt.Errorf("%q: not a frame that a server sends", frame)
		}
	}
	return w, nil
}
