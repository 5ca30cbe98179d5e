package load

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// A Dialect is how a server wants its requests, and what it answers, with $id for a request's number and $data for its
// data. $path stands for the path in requests of protoo's own.
type Dialect struct {
	Request  string
	Response string
	Hello    []string // messages to send before everything else
	Skip     int      // messages that are then to come
	Lossy    bool     // requests, or answers, may get lost
	Ping     string   // a message that may come at any time, if not "", and
	Pong     string   // what it is answered with
}

// Protoo is protoo's own protocol.
var Protoo = Dialect{
	Request:  `{"method":"message","path":"$path","id":"$id","data":$data}`,
	Response: `{"status":200,"reason":"OK","id":"$id","data":$data}`,
}

// A form is a message in which only a number changes. It has ten digits, so that every message has the same length and its
// bytes stay where they are.
type form struct {
	text    []byte
	numbers []int // where they are
}

const (
	digits  = 10
	firstID = 1_000_000_000
	lastID  = 9_999_999_999
)

// newForm replaces $id, and $data by a text of so many bytes that begins with the number, too.
func newForm(template string, payload int) *form {
	const filler = "the quick brown fox jumps over the lazy dog "
	const number = "0000000000"
	rest := strings.Repeat(filler, payload/len(filler)+1)[:payload-digits]
	template = strings.ReplaceAll(template, "$data", `{"type":"text","text":"$id`+rest+`"}`)
	f := new(form)
	for {
		before, after, found := strings.Cut(template, "$id")
		f.text = append(f.text, before...)
		if !found {
			return f
		}
		f.numbers = append(f.numbers, len(f.text))
		f.text = append(f.text, number...)
		template = after
	}
}

// fill returns the message with a number. It is valid until the next call of fill or match.
func (f *form) fill(n int64) []byte {
	var text [digits]byte
	for i := range text {
		text[digits-1-i] = byte('0' + n%10)
		n /= 10
	}
	for _, at := range f.numbers {
		copy(f.text[at:], text[:])
	}
	return f.text
}

// match returns the number of a message, which must be the form's in everything else.
func (f *form) match(msg []byte) (int64, error) {
	if len(msg) == len(f.text) {
		n, ok := number(msg[f.numbers[0]:][:digits])
		if ok && bytes.Equal(msg, f.fill(n)) {
			return n, nil
		}
	}
	return 0, fmt.Errorf("got %s, expected %s", excerpt(msg), excerpt(f.fill(0)))
}

func number(text []byte) (n int64, ok bool) {
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	return n, true
}

func excerpt(msg []byte) string {
	const limit = 200
	if len(msg) <= limit {
		return fmt.Sprintf("%q", msg)
	}
	return fmt.Sprintf("%q and %d bytes more", msg[:limit], len(msg)-limit)
}

var errUnasked = errors.New("an answer to nothing that was asked, or the second one")
