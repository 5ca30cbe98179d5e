package core

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// unquote returns what a valid JSON string says. ok is false when it says half
// a surrogate pair, which no Go string can hold.
func unquote(text string) (s string, ok bool) {
	text = text[1 : len(text)-1]
	plain := strings.IndexByte(text, '\\')
	if plain < 0 {
		return text, true
	}
	b := make([]byte, 0, len(text))
	for plain >= 0 {
		b = append(b, text[:plain]...)
		escape := text[plain+1]
		text = text[plain+2:]
		switch escape {
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			r := codeUnit(text)
			text = text[4:]
			if utf16.IsSurrogate(r) {
				if !strings.HasPrefix(text, `\u`) {
					return "", false
				}
				r = utf16.DecodeRune(r, codeUnit(text[2:]))
				if r == utf8.RuneError {
					return "", false
				}
				text = text[6:]
			}
			b = utf8.AppendRune(b, r)
		default: // the quote, the slash and the backslash stand for themselves
			b = append(b, escape)
		}
		plain = strings.IndexByte(text, '\\')
	}
	return string(append(b, text...)), true
}

// codeUnit reads the four hexadecimal digits that s begins with.
func codeUnit(s string) rune {
	n, _ := strconv.ParseUint(s[:4], 16, 16)
	return rune(n)
}

// appendString appends s as a JSON string. It escapes what JSON requires and
// the two line ends that JSON allows in strings and old JavaScript does not. A
// byte that is not UTF-8 becomes U+FFFD.
func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	done := 0 // s[:done] is in dst
	for i := 0; ; {
		i = skipPlain(s, i)
		if i == len(s) {
			dst = append(dst, s[done:]...)
			return append(dst, '"')
		}
		c, width := s[i], 1
		if c >= utf8.RuneSelf {
			var r rune
			r, width = utf8.DecodeRuneInString(s[i:])
			invalid := r == utf8.RuneError && width == 1
			if !invalid && r != '\u2028' && r != '\u2029' {
				i += width
				continue
			}
			dst = append(dst, s[done:i]...)
			if invalid {
				dst = utf8.AppendRune(dst, utf8.RuneError)
			} else {
				dst = append(dst, '\\', 'u', '2', '0', '2', hex[r&0xF])
			}
		} else {
			dst = append(dst, s[done:i]...)
			switch c {
			case '"', '\\':
				dst = append(dst, '\\', c)
			case '\b':
				dst = append(dst, '\\', 'b')
			case '\f':
				dst = append(dst, '\\', 'f')
			case '\n':
				dst = append(dst, '\\', 'n')
			case '\r':
				dst = append(dst, '\\', 'r')
			case '\t':
				dst = append(dst, '\\', 't')
			default:
				dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xF])
			}
		}
		i += width
		done = i
	}
}
