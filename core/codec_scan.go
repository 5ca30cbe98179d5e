package core

import (
	"math/bits"
	"strconv"
	"unicode/utf8"
)

// The skip functions check the grammar of JSON (RFC 8259). Each reads s from
// byte i on and returns the place after what it has read; or, with a fault, the
// place of the first byte that is wrong. A fault at the end of s is always
// that s ends there.

const (
	faultEnd    = "unexpected end"
	faultUTF8   = "invalid UTF-8"
	faultDepth  = "nested deeper than 64 levels, of which the message is the first"
	faultText   = "text after the end"
	faultValue  = "expected a value"
	faultNumber = "invalid number"
	faultString = "control character in a string"
	faultEscape = "invalid escape in a string"
	faultKey    = "expected a key in quotes"
	faultColon  = `expected ":"`
	faultObject = `expected "," or "}"`
	faultArray  = `expected "," or "]"`
)

// describeFault says in words what is wrong with s and where.
func describeFault(s string, at int, fault string) string {
	if at == len(s) {
		fault = faultEnd
	}
	return fault + " (at byte " + strconv.Itoa(at) + ")"
}

// skipValue reads a value, which may be nested levels deep, at most 64.
func skipValue(s string, i, levels int) (int, string) {
	var (
		fault   string
		open    int    // levels
		objects uint64 // one bit for each open level, the innermost lowest: is it an object?
	)
value:
	for {
		if i == len(s) {
			return i, faultEnd
		}
		switch c := s[i]; c {
		case '"':
			i, fault = skipString(s, i)
		case '{', '[':
			if open == levels {
				return i, faultDepth
			}
			i = skipSpace(s, i+1)
			if i < len(s) && s[i] == c+2 { // the bracket that closes it
				i++
				break
			}
			open++
			objects <<= 1
			if c == '{' {
				objects |= 1
				if _, i, fault = skipKey(s, i); fault != "" {
					return i, fault
				}
			}
			continue
		case 't':
			i, fault = skipLiteral(s, i, "true")
		case 'f':
			i, fault = skipLiteral(s, i, "false")
		case 'n':
			i, fault = skipLiteral(s, i, "null")
		default:
			i, fault = skipNumber(s, i)
		}
		if fault != "" {
			return i, fault
		}
		for open > 0 {
			i = skipSpace(s, i)
			if i == len(s) {
				return i, faultEnd
			}
			object := objects&1 != 0
			switch c := s[i]; {
			case c == ',':
				i = skipSpace(s, i+1)
				if object {
					if _, i, fault = skipKey(s, i); fault != "" {
						return i, fault
					}
				}
				continue value
			case object && c == '}', !object && c == ']':
				i++
				open--
				objects >>= 1
			case object:
				return i, faultObject
			default:
				return i, faultArray
			}
		}
		return i, ""
	}
}

func skipSpace(s string, i int) int {
	for i < len(s) && s[i] <= ' ' && (s[i] == ' ' || s[i] == '\n' || s[i] == '\r' || s[i] == '\t') {
		i++
	}
	return i
}

// skipKey reads a key, its colon and the space around that. The key alone is
// s[i:end].
func skipKey(s string, i int) (end, next int, fault string) {
	if i == len(s) || s[i] != '"' {
		return i, i, faultKey
	}
	end, fault = skipString(s, i)
	if fault != "" {
		return end, end, fault
	}
	next = skipSpace(s, end)
	if next == len(s) || s[next] != ':' {
		return end, next, faultColon
	}
	return end, skipSpace(s, next+1), ""
}

func skipLiteral(s string, i int, literal string) (int, string) {
	for j := range len(literal) {
		if i+j == len(s) || s[i+j] != literal[j] {
			return i + j, faultValue
		}
	}
	return i + len(literal), ""
}

func skipNumber(s string, i int) (int, string) {
	start := i
	if s[i] == '-' {
		i++
	}
	if i < len(s) && s[i] == '0' {
		i++
	} else {
		first := i
		if i = skipDigits(s, i); i == first {
			if i == start {
				return i, faultValue
			}
			return i, faultNumber
		}
	}
	if i < len(s) && s[i] == '.' {
		first := i + 1
		if i = skipDigits(s, first); i == first {
			return i, faultNumber
		}
	}
	if i < len(s) && s[i]|0x20 == 'e' {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		first := i
		if i = skipDigits(s, i); i == first {
			return i, faultNumber
		}
	}
	return i, ""
}

func skipDigits(s string, i int) int {
	for i < len(s) && s[i]-'0' <= 9 {
		i++
	}
	return i
}

// skipString reads a string, quotes included.
func skipString(s string, i int) (int, string) {
	i++
	for {
		i = skipPlain(s, i)
		if i == len(s) {
			return i, faultEnd
		}
		switch c := s[i]; {
		case c == '"':
			return i + 1, ""
		case c == '\\':
			var fault string
			if i, fault = skipEscape(s, i+1); fault != "" {
				return i, fault
			}
		case c < ' ':
			return i, faultString
		}
		for i < len(s) && s[i] >= utf8.RuneSelf {
			r, width := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && width == 1 {
				return i, faultUTF8
			}
			i += width
		}
	}
}

// skipEscape reads what follows a backslash.
func skipEscape(s string, i int) (int, string) {
	if i == len(s) {
		return i, faultEnd
	}
	switch s[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1, ""
	case 'u':
		for range 4 {
			if i++; i == len(s) || !isHex(s[i]) {
				return i, faultEscape
			}
		}
		return i + 1, ""
	}
	return i, faultEscape
}

func isHex(c byte) bool {
	return c-'0' <= 9 || (c|0x20)-'a' <= 5
}

// skipPlain reads what can stand in a string as it is, of ASCII only. Most
// strings are all plain, and strings are most of a message, so it looks at
// eight bytes at once.
func skipPlain(s string, i int) int {
	for i+16 <= len(s) && special(load8(s, i))|special(load8(s, i+8)) == 0 {
		i += 16
	}
	for i+8 <= len(s) {
		if stop := special(load8(s, i)); stop != 0 {
			return i + bits.TrailingZeros64(stop)/8
		}
		i += 8
	}
	for i < len(s) && ' ' <= s[i] && s[i] < utf8.RuneSelf && s[i] != '"' && s[i] != '\\' {
		i++
	}
	return i
}

// load8 is one load instruction where the processor allows it.
func load8(s string, i int) uint64 {
	s = s[i : i+8]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// special tells which of the eight bytes of w are not plain text in a JSON
// string: quotes, backslashes, control characters and all beyond ASCII. The
// high bit of the lowest of them is the lowest bit of the result; those above
// it are not to be relied on.
func special(w uint64) uint64 {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	// Flipping bit 1 puts the quote at 0x20, just above the control characters,
	// and nothing else there.
	return (((w ^ 2*ones) - 0x21*ones) | ((w ^ '\\'*ones) - ones) | w) & highs
}
