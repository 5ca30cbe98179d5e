package core

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The limits of the wire protocol, as docs/protocol.md states them. The size
// of a whole message is checked by its transport, before it allocates.
const (
	maxFields = 32
	maxLevels = 64 // of nesting; the message object is the first
	maxMethod = 64
	maxPath   = 2048
	maxReason = 1024
)

// A message is one request or one response as it is on the wire. Its strings
// share one copy of the text.
type message struct {
	id           string // JSON text exactly as it was written: `"abc"` or `12`
	key          string // canonical id: equal for equal ids, however they were written
	method, path string // a request has a method
	status       int    // a response has a status
	reason       string
	data, sender JSON   // "" when absent; a sender that is not an object counts as absent
	trace        string // "" when absent, and when it is no trace context
}

// A messageError says why a message was refused.
type messageError struct {
	reason string // for the peer: what is wrong, and where
	id     string // of the request that a 400 answers, as JSON text; "" when none can be answered
	offset int    // number of bytes before the one that is wrong
}

func (e *messageError) Error() string { return e.reason }

// The rules of a request's fields, as peers and applications get to read them.
const (
	faultMethod = `"method" must be a string of 1 to 64 characters of A-Z a-z 0-9 _ . -`
	faultPath   = `"path" must be a string of at most 2048 bytes that starts with "/" and has no control characters`
)

var (
	errMethod = errors.New(faultMethod)
	errPath   = errors.New(faultPath)
)

// validMethod checks the method of a request that is about to be sent.
func validMethod(s string) error {
	if s == "" || len(s) > maxMethod {
		return errMethod
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '.', c == '-':
		default:
			return errMethod
		}
	}
	return nil
}

// validPath checks the path of a request that is about to be sent.
func validPath(s string) error {
	if !isPath(s) {
		return errPath
	}
	odd := byte(0)
	for i := range len(s) { // once over what is nearly always short and ASCII
		odd |= s[i] | (s[i] - ' ') // below a space, and beyond ASCII, one of the two is large
	}
	if odd >= utf8.RuneSelf && (hasControl(s) || !utf8.ValidString(s)) {
		return errPath
	}
	return nil
}

func isPath(s string) bool {
	return s != "" && s[0] == '/' && len(s) <= maxPath
}

func hasControl(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' {
			return true
		}
	}
	return false
}

// appendRequest appends a request. The method, the path and the JSON texts
// must be valid.
func appendRequest(dst []byte, method, path, id string, data, sender JSON) []byte {
	dst = append(dst, `{"method":`...)
	dst = appendString(dst, method)
	dst = append(dst, `,"path":`...)
	dst = appendString(dst, path)
	dst = append(dst, `,"id":`...)
	dst = append(dst, id...)
	if data != "" {
		dst = append(dst, `,"data":`...)
		dst = append(dst, data...)
	}
	if sender != "" {
		dst = append(dst, `,"sender":`...)
		dst = append(dst, sender...)
	}
	return append(dst, '}')
}

// appendResponse appends a response. The status and the JSON texts must be
// valid; a reason that is longer than a message may carry is cut.
func appendResponse(dst []byte, status int, reason, id string, data JSON) []byte {
	dst = append(dst, `{"status":`...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, `,"reason":`...)
	dst = appendString(dst, cutReason(reason))
	dst = append(dst, `,"id":`...)
	dst = append(dst, id...)
	if data != "" {
		dst = append(dst, `,"data":`...)
		dst = append(dst, data...)
	}
	return append(dst, '}')
}

// cutReason cuts s to maxReason bytes, in front of the character that has none left.
func cutReason(s string) string {
	if len(s) <= maxReason/len("\uFFFD") {
		return s // even if each byte of it were replaced
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= maxReason {
		return s
	}
	end := maxReason
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}
