package core

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// maxParams bounds the params of a segmentPattern.
const maxParams = 64

// segmentPattern matches the patterns that nearly all routes have without a
// regular expression: literal segments, :name, and :name? at the end.
//
//	/users/:name/:id?   →   literal "/users/", param "name", optional "id"
type segmentPattern struct {
	pieces        []segmentPiece
	params        int // pieces that are params
	caseSensitive bool
	strict        bool
	end           bool
	shape         pathShape
}

type segmentPiece struct {
	kind pieceKind
	text string // the literal, or the param's name
}

type pieceKind uint8

const (
	pieceLiteral  pieceKind = iota // may span segments; holds the slash before a param
	pieceParam                     // a segment that is not empty
	pieceOptional                  // a slash and a segment that is not empty, or nothing
)

// newSegmentPattern returns nil for a pattern of any other form.
func newSegmentPattern(path string, o matchOptions) *segmentPattern {
	if path == "" || path[0] != '/' {
		return nil
	}
	p := &segmentPattern{caseSensitive: o.caseSensitive, strict: o.strict, end: o.end}
	body := path
	if !o.strict {
		body = strings.TrimSuffix(path, "/")
	}
	literal, optional := 0, false // body[literal:i] is a literal that has not been added
	for i := 0; i < len(body); {
		end := strings.IndexByte(body[i+1:], '/')
		if end < 0 {
			end = len(body)
		} else {
			end += i + 1
		}
		segment := body[i+1 : end]
		name, isParam := strings.CutPrefix(segment, ":")
		name, isOptional := strings.CutSuffix(name, "?")
		if isParam = isParam && isWord(name); isParam {
			if isOptional {
				p.addLiteral(body[literal:i])
				p.pieces = append(p.pieces, segmentPiece{pieceOptional, name})
			} else {
				p.addLiteral(body[literal : i+1])
				p.pieces = append(p.pieces, segmentPiece{pieceParam, name})
			}
			p.params++
			literal = end
		} else if !isLiteral(segment) {
			return nil
		}
		if optional && !(isParam && isOptional) {
			return nil
		}
		optional = isParam && isOptional
		p.shape.add(segment, isParam, !optional)
		i = end
	}
	if p.params > maxParams {
		return nil // the expression will be too large
	}
	p.addLiteral(body[literal:])
	p.shape.open = !o.end
	p.shape.trim(false)
	return p
}

func (p *segmentPattern) addLiteral(s string) {
	if s != "" {
		p.pieces = append(p.pieces, segmentPiece{pieceLiteral, s})
	}
}

// isLiteral reports whether a segment of a pattern stands for itself.
func isLiteral(segment string) bool {
	for i, r := range segment {
		switch r {
		case '\\', '(', ')', '[', ']', '{', '}', '*', '+', '?', '^', '$', '|':
			return false
		case ':':
			if i+1 < len(segment) && isWordByte(segment[i+1]) {
				return false
			}
		}
	}
	return true
}

func isWord(s string) bool {
	for i := range len(s) {
		if !isWordByte(s[i]) {
			return false
		}
	}
	return s != ""
}

func isWordByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}

// match appends the params undecoded, also those of the same name.
func (p *segmentPattern) match(path string, dst []param) (params []param, n int, ok bool) {
	params = dst
	for i := range p.pieces {
		piece := &p.pieces[i]
		rest := path[n:]
		switch piece.kind {
		case pieceLiteral:
			k := p.literalPrefix(rest, piece.text)
			if k < 0 {
				return dst, 0, false
			}
			n += k
		case pieceParam:
			k := segmentLen(rest)
			if k == 0 {
				return dst, 0, false
			}
			params = append(p.grow(params, dst), param{piece.text, rest[:k]})
			n += k
		case pieceOptional:
			if rest == "" || rest[0] != '/' {
				continue
			}
			k := segmentLen(rest[1:])
			if k == 0 {
				continue
			}
			params = append(p.grow(params, dst), param{piece.text, rest[1 : 1+k]})
			n += 1 + k
		}
	}
	rest := path[n:]
	switch {
	case rest == "":
		return params, n, true
	case rest[0] != '/':
		return dst, 0, false
	case p.strict:
		return params, n, !p.end
	case len(rest) == 1:
		return params, n + 1, true
	case p.end:
		return dst, 0, false
	case rest[1] == '/':
		return params, n + 1, true
	default:
		return params, n, true
	}
}

// grow makes room for all params when the first is about to be appended.
func (p *segmentPattern) grow(params, dst []param) []param {
	if len(params) == len(dst) {
		return slices.Grow(params, p.params)
	}
	return params
}

// literalPrefix returns how many bytes of path match literal, or -1.
func (p *segmentPattern) literalPrefix(path, literal string) int {
	if strings.HasPrefix(path, literal) {
		return len(literal)
	}
	if p.caseSensitive {
		return -1
	}
	return foldedPrefix(path, literal)
}

// segmentLen returns the length of the segment that s starts with.
func segmentLen(s string) int {
	if k := strings.IndexByte(s, '/'); k >= 0 {
		return k
	}
	return len(s)
}

// foldedPrefix returns how many bytes of s match prefix, case aside, or -1.
func foldedPrefix(s, prefix string) int {
	n := 0
	for i := 0; i < len(prefix); {
		if n == len(s) {
			return -1
		}
		a, b := s[n], prefix[i]
		if a < utf8.RuneSelf && b < utf8.RuneSelf {
			if a != b && (a|0x20 != b|0x20 || a|0x20 < 'a' || a|0x20 > 'z') {
				return -1
			}
			n++
			i++
			continue
		}
		x, sizeX := utf8.DecodeRuneInString(s[n:])
		y, sizeY := utf8.DecodeRuneInString(prefix[i:])
		if foldRune(x) != foldRune(y) {
			return -1
		}
		n += sizeX
		i += sizeY
	}
	return n
}
