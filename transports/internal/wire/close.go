// Package wire is what the framings of the transports have in common: close frames, what breaks the rules, and the buffers in which
// frames are put together.
package wire

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/protoo-go/protoo/core"
)

// MaxControl is the length of the longest payload of a control frame, in bytes (RFC 6455, section 5.5).
const MaxControl = 125

// A violation is what a peer did against the framing, or beyond our limits, with the close code that tells them.
type violation struct {
	code   int
	reason string
}

func (v *violation) Error() string { return fmt.Sprintf("%s (%d)", v.reason, v.code) }

// Breach returns the error about what a peer did against the framing, or beyond our limits, with the close code and the
// reason that tell them.
func Breach(code int, format string, args ...any) error {
	return &violation{code, fmt.Sprintf(format, args...)}
}

// CloseOf returns the code and reason that tell the other side about err.
func CloseOf(err error) (code int, reason string) {
	if v, ok := errors.AsType[*violation](err); ok {
		return v.code, v.reason
	}
	return core.CloseInternalError, "internal error"
}

// ParseClose reads the payload of a close frame (RFC 6455, section 5.5.1).
func ParseClose(payload []byte) (code int, reason string, err error) {
	switch {
	case len(payload) == 0:
		return core.CloseNoStatus, "", nil
	case len(payload) == 1:
		return 0, "", Breach(core.CloseProtocolError, "close frame with half a code")
	}
	code = int(binary.BigEndian.Uint16(payload))
	if !core.ValidCloseCode(code) {
		return 0, "", Breach(core.CloseProtocolError, "close code %d may not be sent", code)
	}
	if !utf8.Valid(payload[2:]) {
		return 0, "", Breach(core.CloseInvalidData, "close reason is not valid UTF-8")
	}
	return code, string(payload[2:]), nil
}

// CloseCode returns the code for a close frame that a caller asks for: 0 stands for a frame without a code. It fails if the code may not be sent.
func CloseCode(code int) (int, error) {
	code = cmp.Or(code, core.CloseNoStatus)
	if code != core.CloseNoStatus && !core.ValidCloseCode(code) {
		return 0, fmt.Errorf("close code %d may not be sent", code)
	}
	return code, nil
}

// ClosePayload makes the payload of a close frame in memory of the caller's. A reason that is too long is cut, between characters.
func ClosePayload(memory *[MaxControl]byte, code int, reason string) []byte {
	if code == core.CloseNoStatus {
		return nil
	}
	binary.BigEndian.PutUint16(memory[:], uint16(code))
	n := copy(memory[2:], reason)
	for n > 0 && n < len(reason) && !utf8.RuneStart(reason[n]) {
		n--
	}
	return memory[:2+n]
}
