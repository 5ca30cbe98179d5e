package core

import (
	"regexp"
	"slices"
	"strconv"
)

// expressSource is what path-to-regexp 0.1.13 makes of a path: the source of a
// JavaScript regular expression, and names for its groups. The rewriting is on
// the text, without regard to what it means as a regular expression, and every
// oddity that follows from that is kept. As routes that are not strict:
//
//	/users/:id(\d+)   ^/users(?:/(\d+))/?$
//	/:a-:b            ^(?:/([^/]+?))-(?:((?:(?!/|-).)+?))/?$
type expressSource struct {
	text   []rune
	origin []int    // of each rune of text, the byte in the pattern
	keys   []string // of each group, the param's name; there may be more than groups
}

// boundaryText ends the source of a mount. As nothing can follow it, the
// compiler matches the slash instead of looking ahead, and does not count it.
const boundaryText = "(?=/|$)"

func expandExpress(path string, o matchOptions) expressSource {
	e := expressExpander{}
	for offset, r := range path {
		e.path = append(e.path, r)
		e.offsets = append(e.offsets, offset)
	}
	for e.i < len(e.path) {
		e.next()
	}
	e.nameGroups()

	e.i = len(e.path)
	endsInSlash := len(e.text) > 0 && e.text[len(e.text)-1] == '/'
	switch {
	case o.strict:
	case endsInSlash:
		e.emit("?")
	default:
		e.emit("/?")
	}
	switch {
	case o.end:
		e.emit("$")
	case !o.strict || !endsInSlash:
		e.emit(boundaryText)
	}
	e.text = slices.Insert(e.text, 0, '^')
	e.origin = slices.Insert(e.origin, 0, 0)
	return e.expressSource
}

type expressExpander struct {
	expressSource
	path    []rune
	offsets []int // of each rune of path
	i       int   // the next rune of path to read

	// between is the text since the last param or wildcard, which a param
	// without a slash of its own may not match. copied is how far into path it
	// goes; an escape and a dot leave it behind by what lies before them.
	between []rune
	copied  int

	named []namedKey
}

type namedKey struct {
	name string
	at   int // where its first group is, at the earliest
}

func (e *expressExpander) emit(s string) {
	e.emitRunes([]rune(s))
}

func (e *expressExpander) emitRunes(s []rune) {
	offset := 0
	if e.i < len(e.offsets) {
		offset = e.offsets[e.i]
	} else if n := len(e.offsets); n > 0 {
		offset = e.offsets[n-1] + len(string(e.path[n-1]))
	}
	for _, r := range s {
		e.text = append(e.text, r)
		e.origin = append(e.origin, offset)
	}
}

// copyRune emits the next rune as it is.
func (e *expressExpander) copyRune() {
	e.emitRunes(e.path[e.i : e.i+1])
	e.i++
}

// peek returns the rune k after the next one, or 0.
func (e *expressExpander) peek(k int) rune {
	if e.i+k < len(e.path) {
		return e.path[e.i+k]
	}
	return 0
}

// next rewrites what comes next.
func (e *expressExpander) next() {
	switch r := e.peek(0); {
	case r == '\\' && isEscape(e.path[e.i:]):
		e.between = append(e.between, e.path[e.i:e.i+2]...)
		e.copied += 2
		e.copyRune()
		e.copyRune()
	case e.param():
	case r == '.':
		e.between = append(e.between, '\\', '.')
		e.copied++
		e.emit(`\.`)
		e.i++
	case r == '*':
		e.between = nil
		e.emit("(.*)")
		e.i++
		e.copied = e.i
	case r == '/' && e.peek(1) == '(':
		e.between = append(e.between, e.path[e.copied:e.i]...)
		e.between = append(e.between, '/')
		e.emit("/(?:")
		e.i += 2
		e.copied = e.i
	default:
		e.copyRune()
	}
}

// param rewrites a param, if one comes next: an optional slash and dot, a colon
// and a name, and after it an optional group, star and question mark.
func (e *expressExpander) param() bool {
	k := 0
	slash, format := "", ""
	if e.peek(k) == '/' {
		slash = "/"
		k++
	}
	if e.peek(k) == '.' {
		format = `\.`
		k++
	}
	if e.peek(k) != ':' {
		return false
	}
	k++
	name := e.i + k
	for e.peek(k) < 0x80 && isWordByte(byte(e.peek(k))) {
		k++
	}
	if e.i+k == name {
		return false
	}
	key := string(e.path[name : e.i+k])
	if slash+format != "" {
		e.between = nil
	} else {
		e.between = append(e.between, e.path[e.copied:e.i]...)
	}
	e.named = append(e.named, namedKey{key, len(e.text)})

	e.emit("(?:" + format + slash)
	start := e.i
	if n := groupLen(e.path[e.i+k:]); n > 0 {
		e.i += k
		e.emitCapture(n)
		k = e.i - start
		e.i = start
	} else if len(e.between) > 0 {
		e.emit("((?:(?!/|")
		e.emitRunes(e.between)
		e.emit(").)+?)")
	} else {
		e.emit("([^/" + format + "]+?)")
	}
	if e.peek(k) == '*' {
		e.emit("((?:[/" + format + "].+?)?)")
		k++
	}
	e.emit(")")
	if e.peek(k) == '?' {
		e.emit("?")
		k++
	}
	e.between = nil
	e.i += k
	e.copied = e.i
	return true
}

// emitCapture copies a param's own group of n runes. If its first star comes
// before its first escape, it is a wildcard.
func (e *expressExpander) emitCapture(n int) {
	decided := false
	for end := e.i + n; e.i < end; e.i++ {
		switch {
		case decided:
		case isEscape(e.path[e.i:end]):
			decided = true
		case e.path[e.i] == '*':
			decided = true
			e.emit("(.*)")
			continue
		}
		e.emitRunes(e.path[e.i : e.i+1])
	}
}

// groupLen returns how many runes there are from a parenthesis to the next that
// closes one on the same line, whatever is between them, or 0.
func groupLen(s []rune) int {
	if len(s) == 0 || s[0] != '(' {
		return 0
	}
	for i, r := range s {
		if r == ')' {
			return i + 1
		}
		if lineEndSet.contains(r) {
			break
		}
	}
	return 0
}

// isEscape reports whether s starts with a backslash and what it escapes.
func isEscape(s []rune) bool {
	return len(s) > 1 && s[0] == '\\' && !lineEndSet.contains(s[1])
}

// nameGroups gives each group of the text, in order, the next named key that
// does not come after it, or else the next number. It looks for parentheses
// only, so one in a class counts as a group too and shifts the names.
func (e *expressExpander) nameGroups() {
	named, number := e.named, 0
	for i := 0; i < len(e.text); i++ {
		switch {
		case isEscape(e.text[i:]):
			i++
		case e.text[i] == '(' && opensGroup(e.text[i+1:]):
			if len(named) > 0 && named[0].at <= i {
				e.keys = append(e.keys, named[0].name)
				named = named[1:]
			} else {
				e.keys = append(e.keys, strconv.Itoa(number))
				number++
			}
		}
	}
	for _, key := range named {
		e.keys = append(e.keys, key.name)
	}
}

// opensGroup reports whether s, after a parenthesis, begins a group with a number.
func opensGroup(s []rune) bool {
	switch {
	case len(s) == 0 || s[0] != '?':
		return true
	case len(s) < 3 || s[1] != '<':
		return false
	default:
		return s[2] != '=' && s[2] != '!'
	}
}

// expression matches by a regular expression what segmentPattern cannot.
type expression struct {
	re       *regexp.Regexp
	names    []string // of each group, "" for those without a param
	boundary int      // the group that is the slash after a mount's match, or 0
	marks    *textMarks
	end      bool
	shape    pathShape
}

func newExpression(path string, o matchOptions) (*expression, error) {
	source := expandExpress(path, o)
	c, err := compileJS(path, source, !o.caseSensitive)
	if err != nil {
		return nil, err
	}
	x := &expression{re: c.re, boundary: c.boundary, marks: c.marks, end: o.end, shape: c.shape}
	x.names = make([]string, c.re.NumSubexp()+1)
	for i, group := range c.groups {
		if group > 0 && i < len(source.keys) {
			x.names[group] = source.keys[i]
		}
	}
	return x, nil
}

// wrapRegexp uses a regular expression of the application's as it is.
func wrapRegexp(re *regexp.Regexp, o matchOptions) *expression {
	x := &expression{re: re, names: slices.Clone(re.SubexpNames()), end: o.end, shape: pathShape{open: true}}
	number := 0
	for i := 1; i < len(x.names); i++ {
		if x.names[i] == "" {
			x.names[i] = strconv.Itoa(number)
			number++
		}
	}
	return x
}

// match appends the params undecoded, also those of the same name.
func (x *expression) match(path string, dst []param) (params []param, n int, ok bool) {
	var loc []int
	if x.marks != nil {
		loc = x.re.FindReaderSubmatchIndex(x.marks.read(path))
	} else {
		loc = x.re.FindStringSubmatchIndex(path)
	}
	if loc == nil {
		return dst, 0, false
	}
	end := loc[1]
	if x.boundary > 0 && loc[2*x.boundary] >= 0 {
		end = loc[2*x.boundary]
	}
	n = end - loc[0]
	if !x.end && (loc[0] != 0 || !atBoundary(path, n)) {
		return dst, 0, false
	}
	params = slices.Grow(dst, len(x.names)-1)
	for i, name := range x.names {
		if name != "" && loc[2*i] >= 0 {
			params = append(params, param{name, path[loc[2*i]:loc[2*i+1]]})
		}
	}
	return params, n, true
}
