package core

import (
	"errors"
	"strings"
)

// The id of a request is kept as JSON text, exactly as its sender wrote it,
// because that is how the responses must repeat it.

const (
	maxID     = 128                // bytes of a string, unescaped
	maxNumber = "9007199254740991" // 2^53-1, the last integer that a double keeps exact
)

var (
	errID        = errors.New(`"id" must be a string of 1 to 128 bytes or an integer from 0 to 9007199254740991`)
	errSurrogate = errors.New(faultSurrogate)
)

// validID checks that a valid JSON text is an id.
func validID(text string) error {
	if text[0] != '"' {
		// Digits only: readers disagree on what 1.0 and 1e3 are.
		if skipDigits(text, 0) < len(text) || len(text) > len(maxNumber) ||
			len(text) == len(maxNumber) && text > maxNumber {
			return errID
		}
		return nil
	}
	s, ok := unquote(text)
	if !ok {
		return errSurrogate
	}
	if s == "" || len(s) > maxID {
		return errID
	}
	return nil
}

// canonicalID returns the one text that stands for all ways to write an id. It
// is the id itself if that was written as appendString writes.
func canonicalID(id string) string {
	// The byte 0xE2 may begin U+2028, which appendString escapes.
	if strings.IndexByte(id, '\\') < 0 && strings.IndexByte(id, 0xE2) < 0 {
		return id
	}
	return string(appendString(nil, idText(id)))
}

// idText returns what an id says: its digits or the content of its string.
func idText(id string) string {
	if id == "" || id[0] != '"' {
		return id
	}
	s, _ := unquote(id)
	return s
}
