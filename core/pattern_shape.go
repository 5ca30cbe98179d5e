package core

import (
	"regexp/syntax"
	"slices"
	"unicode/utf8"
)

// pathShape is what all paths that match a pattern have in common, as the index
// uses it: the segments they start with. It may promise too little, never too
// much.
type pathShape struct {
	segments []shapeSegment
	required int  // how many of segments each path has
	open     bool // paths may have more segments than these
}

type shapeSegment struct {
	wild    bool   // any segment, also an empty one
	literal string // by foldKey
}

// add appends a segment. The required ones come first.
func (s *pathShape) add(literal string, wild, required bool) {
	segment := shapeSegment{wild: wild}
	if !wild {
		segment.literal = string(foldKey(nil, literal))
	}
	s.segments = append(s.segments, segment)
	if required {
		s.required = len(s.segments)
	}
}

// trim allows for the index looking paths up without their trailing slashes: no
// segment is required that may be empty and at the end. wildEmpty says whether
// wild segments may be.
func (s *pathShape) trim(wildEmpty bool) {
	for s.required > 0 {
		last := s.segments[s.required-1]
		if last.wild && !wildEmpty || last.literal != "" {
			return
		}
		s.required--
	}
}

// foldKey appends segment as the index keeps it: lower case for ASCII, else as
// foldRune has it. So most segments are their own keys.
func foldKey(dst []byte, segment string) []byte {
	for i := 0; i < len(segment); {
		c := segment[i]
		if c < utf8.RuneSelf {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			dst = append(dst, c)
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(segment[i:])
		dst = utf8.AppendRune(dst, foldRune(r))
		i += size
	}
	return dst
}

// shapeOf finds the leading segments of an expression: literal ones, and parts
// that can match no slash, up to the first that may.
func (p *jsParser) shapeOf(root *syntax.Regexp) pathShape {
	shape := pathShape{open: true}
	parts := partsOf(root, nil)
	if parts[0].Op != syntax.OpBeginText {
		return shape
	}
	for len(parts) > 0 && parts[0].Op == syntax.OpBeginText {
		parts = parts[1:]
	}
	if len(parts) == 0 || !isSlash(parts[0]) {
		return shape
	}
	parts = parts[1:]
	var literal []byte
	wild := false
	for ; len(parts) > 0 && parts[0] != p.boundary && parts[0].Op != syntax.OpEndText; parts = parts[1:] {
		part := parts[0]
		if isSlash(part) {
			shape.add(string(literal), wild, true)
			literal, wild = nil, false
		} else if set, ok := setOf(part); ok && p.isOneCharacter(set) {
			literal = utf8.AppendRune(literal, set[0])
		} else if canMatchSlash(part) {
			break
		} else {
			wild = true
		}
	}
	// What is left must leave the last segment as it is.
	rest := parts
	for len(rest) > 0 && rest[0].Op == syntax.OpRepeat && rest[0].Min == 0 && startsWithSlash(rest[0].Sub[0]) {
		rest = rest[1:]
	}
	if len(rest) > 0 && (startsWithSlash(rest[0]) || rest[0] == p.boundary || rest[0].Op == syntax.OpEndText) {
		shape.add(string(literal), wild, true)
		// Its whole path is known if only a slash may follow before the end.
		if parts[0].Op == syntax.OpRepeat && isSlash(parts[0].Sub[0]) && parts[0].Max == 1 {
			parts = parts[1:]
		}
		shape.open = len(parts) == 0 || parts[0].Op != syntax.OpEndText
	}
	shape.trim(true)
	return shape
}

// partsOf appends the parts that re matches one after the other.
func partsOf(re *syntax.Regexp, dst []*syntax.Regexp) []*syntax.Regexp {
	switch re.Op {
	case syntax.OpConcat, syntax.OpCapture:
		for _, sub := range re.Sub {
			dst = partsOf(sub, dst)
		}
		return dst
	case syntax.OpEmptyMatch:
		return dst
	}
	return append(dst, re)
}

func isSlash(re *syntax.Regexp) bool {
	return re.Op == syntax.OpLiteral && re.Rune[0] == '/'
}

// startsWithSlash reports whether all that re matches starts with a slash.
func startsWithSlash(re *syntax.Regexp) bool {
	parts := partsOf(re, nil)
	if len(parts) > 0 && parts[0].Op == syntax.OpRepeat && parts[0].Min > 0 {
		return startsWithSlash(parts[0].Sub[0])
	}
	return len(parts) > 0 && isSlash(parts[0])
}

func canMatchSlash(re *syntax.Regexp) bool {
	if set, ok := setOf(re); ok {
		return set.contains('/')
	}
	return slices.ContainsFunc(re.Sub, canMatchSlash)
}
