package core

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxPatternLen bounds a path pattern, in bytes. A request's path is no longer
// than this, so a longer literal could never match.
const maxPatternLen = 2048

// Pattern says which paths a layer of a [Router] is for.
//
// [Path] makes one from a string in the dialect of Express 4 (path-to-regexp
// 0.1.13), [Regexp] from a regular expression, and [AnyOf] combines several:
//
//	Path("/users/:name")         /users/alice           not /users, /users/a/b
//	Path("/users/:name/:id?")    /users/alice, /users/alice/7
//	Path("/items/:id(\\d+)")     /items/42              not /items/x
//	Path("/:from-:to")           /lisbon-porto
//	Path("/abc?d")               /abd, /abcd
//	Path("/ab+cd")               /abcd, /abbcd
//	Path("/files/*")             /files/, /files/a/b    param "0" is "a/b"
//	Path("*")                    every path
//
// A path is matched as it was sent. The values of its params are
// percent-decoded afterwards.
//
// The zero value is Path(""). A Pattern is immutable, and any goroutine may
// use it.
type Pattern struct {
	path   string
	re     *regexp.Regexp
	anyOf  []Pattern
	source patternSource
}

type patternSource uint8

const (
	sourcePath patternSource = iota
	sourceRegexp
	sourceAnyOf
)

// Path returns the pattern that path describes in the dialect of Express 4, as
// path-to-regexp 0.1.13 reads it. A path that cannot be read is reported when
// the pattern is registered.
//
// Parentheses may hold any JavaScript regular expression that can be matched in
// linear time: lookahead, lookbehind and backreferences are refused, and so are
// repetitions whose groups JavaScript would clear from one round to the next.
// Two things differ from JavaScript. A character is a code point and not a
// UTF-16 code unit, so one beyond U+FFFF counts once. And case is folded as
// Go's version of Unicode has it.
func Path(path string) Pattern {
	return Pattern{path: path}
}

// Regexp returns the pattern of the paths in which re finds a match: anywhere
// in the path for a route, from the start of the path up to a "/" or its end
// for a mount. Named groups become params of that name, and the others become
// the params "0", "1" and so on. Whether case matters is up to re, whatever the
// router's settings are.
func Regexp(re *regexp.Regexp) Pattern {
	return Pattern{source: sourceRegexp, re: re}
}

// AnyOf returns the pattern that matches when any of patterns does. The first
// that matches gives the params.
func AnyOf(patterns ...Pattern) Pattern {
	return Pattern{source: sourceAnyOf, anyOf: slices.Clone(patterns)}
}

// String returns the pattern as it was written, for messages, logs and metric
// labels: a path as it is, a regular expression as regexp(…), and several
// patterns between brackets.
func (p Pattern) String() string {
	switch p.source {
	case sourceRegexp:
		if p.re == nil {
			return "regexp(nil)"
		}
		return "regexp(" + p.re.String() + ")"
	case sourceAnyOf:
		var b strings.Builder
		b.WriteByte('[')
		for i, alternative := range p.anyOf {
			if i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(alternative.String())
		}
		b.WriteByte(']')
		return b.String()
	default:
		return p.path
	}
}

// compile returns the matcher of the pattern. Its errors name the pattern, the
// byte in it and what was expected there.
func (p Pattern) compile(o matchOptions) (*matcher, error) {
	m := &matcher{}
	if err := m.add(p, o, true); err != nil {
		return nil, err
	}
	return m, nil
}

// add appends the ways to match p. Express has shortcuts for "*" and "/" that
// differ slightly from what these patterns mean inside an array: alone says
// whether p is outside of one.
func (m *matcher) add(p Pattern, o matchOptions, alone bool) error {
	switch p.source {
	case sourceAnyOf:
		if len(p.anyOf) == 0 {
			return errors.New("pattern []: expected at least one pattern")
		}
		for _, alternative := range p.anyOf {
			if err := m.add(alternative, o, false); err != nil {
				return err
			}
		}
		return nil
	case sourceRegexp:
		if p.re == nil {
			return errors.New("pattern regexp(nil): expected a regular expression")
		}
		m.ways = append(m.ways, way{expression: wrapRegexp(p.re, o)})
		return nil
	}
	w, err := compilePath(p.path, o, alone)
	if err != nil {
		return err
	}
	m.ways = append(m.ways, w)
	return nil
}

func compilePath(path string, o matchOptions, alone bool) (way, error) {
	if len(path) > maxPatternLen {
		return way{}, fmt.Errorf("pattern %.32q…: %d bytes long, expected at most %d", path, len(path), maxPatternLen)
	}
	if !utf8.ValidString(path) {
		return way{}, fmt.Errorf("pattern %q: expected valid UTF-8", path)
	}
	switch {
	case alone && path == "*":
		return way{whole: true}, nil
	case alone && path == "/" && !o.end:
		return way{}, nil
	}
	if segments := newSegmentPattern(path, o); segments != nil {
		return way{segments: segments}, nil
	}
	expression, err := newExpression(path, o)
	return way{expression: expression}, err
}

// matchOptions are those of path-to-regexp, with sensitive spelled out.
type matchOptions struct {
	caseSensitive bool
	strict        bool // a trailing slash counts
	end           bool // a route: the whole path must match; otherwise a mount: a prefix of it
}

// param is a named piece of a path, percent-decoded.
type param struct{ name, value string }

// decodeError reports a param that does not percent-decode to valid UTF-8.
type decodeError struct{ param, value string }

func (e *decodeError) Error() string {
	return fmt.Sprintf("param %q: %.64q does not percent-decode to valid UTF-8", e.param, e.value)
}

// matcher tells whether paths match a pattern. It is immutable, and any
// goroutine may use it.
type matcher struct {
	ways []way // the first that matches wins; there is at least one
}

// way is one way to match a path: a pattern has several if it was made by AnyOf.
// It is a struct and not an interface so that the params of a caller can stay
// on its stack. At most one field is set, and none means every path, matching
// nothing of it: the mount "/".
type way struct {
	whole      bool // every path as a whole: the pattern "*"
	segments   *segmentPattern
	expression *expression
}

// match reports whether path matches, and how many of its bytes did. It appends
// the params that took part to dst, each name once. The error is a
// *decodeError: then the path does match, but a param has no value.
//
// A path is expected to be valid UTF-8, as the codec ensures. One that is not
// does no harm, but which patterns it matches is undefined.
func (m *matcher) match(path string, dst []param) (params []param, n int, ok bool, err error) {
	for i := range m.ways {
		if params, n, ok, err = m.ways[i].match(path, dst); ok || err != nil {
			return params, n, ok, err
		}
	}
	return dst, 0, false, nil
}

func (w *way) match(path string, dst []param) (params []param, n int, ok bool, err error) {
	params = dst
	switch {
	case w.segments != nil:
		params, n, ok = w.segments.match(path, dst)
	case w.expression != nil:
		params, n, ok = w.expression.match(path, dst)
	case w.whole:
		params, n, ok = append(dst, param{"0", path}), len(path), true
	default:
		return dst, 0, true, nil
	}
	if !ok {
		return dst, 0, false, nil
	}
	if len(params) == len(dst) {
		return params, n, true, nil
	}
	if err := decodeParams(params[len(dst):]); err != nil {
		return dst, 0, false, err
	}
	return mergeParams(params, len(dst)), n, true, nil
}

// shapes returns, for each way, what all paths that match it have in common.
func (m *matcher) shapes() []pathShape {
	shapes := make([]pathShape, len(m.ways))
	for i, w := range m.ways {
		switch {
		case w.segments != nil:
			shapes[i] = w.segments.shape
		case w.expression != nil:
			shapes[i] = w.expression.shape
		default:
			shapes[i] = pathShape{open: true}
		}
	}
	return shapes
}

// atBoundary reports whether a mount may match the first n bytes of path: all
// of it, nothing, or what ends before a slash.
func atBoundary(path string, n int) bool {
	return n == 0 || n == len(path) || path[n] == '/'
}

// decodeParams decodes the values of params, which are raw pieces of a path.
func decodeParams(params []param) error {
	for i := range params {
		value, ok := decodeParam(params[i].value)
		if !ok {
			return &decodeError{params[i].name, params[i].value}
		}
		params[i].value = value
	}
	return nil
}

// mergeParams makes names unique in params[first:]. The last value wins.
func mergeParams(params []param, first int) []param {
	for i := first + 1; i < len(params); i++ {
		for j := first; j < i; j++ {
			if params[j].name == params[i].name {
				params[j].value = params[i].value
				params = slices.Delete(params, i, i+1)
				i--
				break
			}
		}
	}
	return params
}

// decodeParam percent-decodes s as decodeURIComponent does. It returns false
// for a broken escape and for what is not valid UTF-8 afterwards.
func decodeParam(s string) (string, bool) {
	i := 0
	for i < len(s) && s[i] != '%' && s[i] < utf8.RuneSelf {
		i++
	}
	if i == len(s) {
		return s, true
	}
	if i = strings.IndexByte(s, '%'); i < 0 {
		return s, utf8.ValidString(s)
	}
	b := make([]byte, 0, len(s))
	for ; i >= 0; i = strings.IndexByte(s, '%') {
		b = append(b, s[:i]...)
		if i+2 >= len(s) {
			return "", false
		}
		hi, lo := hexDigit(rune(s[i+1])), hexDigit(rune(s[i+2]))
		if hi < 0 || lo < 0 {
			return "", false
		}
		b = append(b, byte(hi<<4|lo))
		s = s[i+3:]
	}
	b = append(b, s...)
	return string(b), utf8.Valid(b)
}

// hexDigit returns the value of a hexadecimal digit, or -1.
func hexDigit(r rune) rune {
	switch {
	case '0' <= r && r <= '9':
		return r - '0'
	case 'a' <= r && r <= 'f':
		return r - 'a' + 10
	case 'A' <= r && r <= 'F':
		return r - 'A' + 10
	}
	return -1
}
