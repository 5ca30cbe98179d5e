package core

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"unicode"
)

const (
	// maxExpressionSize bounds a compiled pattern: the characters to match once
	// its counted repetitions are written out, times the groups to keep track of
	// meanwhile. A match takes at most about this times the length of the path.
	maxExpressionSize = 10_000

	// maxTextSize bounds, in the same way, what is looked up before a match.
	maxTextSize = maxExpressionSize / 4

	// maxRepeat is the highest count that Go's regular expressions can repeat.
	maxRepeat = 1000

	// maxNesting bounds how deep groups are nested.
	maxNesting = 200
)

// jsExpression is a JavaScript regular expression made into one of Go's.
type jsExpression struct {
	re       *regexp.Regexp
	groups   []int // of each group of the source, the group of re, or 0
	boundary int   // the group of re that is the slash after a mount's match, or 0
	marks    *textMarks
	shape    pathShape
}

// compileJS reads a regular expression as JavaScript does without the u flag,
// including what the language allows only on the web (a lone brace, octal
// escapes). It refuses what it cannot express exactly.
func compileJS(pattern string, source expressSource, fold bool) (x *jsExpression, err error) {
	p := &jsParser{pattern: pattern, text: source.text, origin: source.origin, fold: fold}
	defer func() {
		switch e := recover().(type) {
		case nil:
		case *patternError:
			err = e
		default:
			panic(e)
		}
	}()
	root := p.parse()
	if expandedSize(root)*(1+p.goGroups) > maxExpressionSize {
		p.fail(0, tooLarge, maxExpressionSize)
	}
	shape := p.shapeOf(root)
	if p.marks != nil {
		if p.usesWordBoundary {
			p.fail(0, `no \b or \B together with a param after text of several characters`)
		}
		if !p.marks.apply(root, p.guarded) {
			p.fail(0, "fewer params after texts of several characters")
		}
	}
	re, err := regexp.Compile(string(appendSource(nil, root)))
	if err != nil {
		return nil, fmt.Errorf("pattern %q: %w", pattern, err)
	}
	return &jsExpression{re, p.groups, p.boundaryGroup, p.marks, shape}, nil
}

const tooLarge = "at most %d characters after writing out its repetitions, counted once for each group"

// patternError is what the parser panics with, for compileJS to return.
type patternError struct {
	pattern  string
	offset   int
	expected string
}

func (e *patternError) Error() string {
	return fmt.Sprintf("pattern %q: at byte %d: expected %s", e.pattern, e.offset, e.expected)
}

type jsParser struct {
	pattern string
	text    []rune
	origin  []int
	fold    bool
	i       int // the next rune of text

	groupCount  int // groups in the whole text
	groups      []int
	goGroups    int
	names       map[string]bool // nil when no group has a name
	nesting     int
	inLookahead bool

	boundary         *syntax.Regexp
	boundaryGroup    int
	usesWordBoundary bool
	marks            *textMarks // nil when there is none
	textSize         int        // of their texts, repetitions written out
	guarded          map[*syntax.Regexp]uint8
}

// fail reports what was expected at a rune of the text.
func (p *jsParser) fail(at int, format string, args ...any) {
	offset := len(p.pattern)
	if at < len(p.origin) {
		offset = p.origin[at]
	}
	panic(&patternError{p.pattern, offset, fmt.Sprintf(format, args...)})
}

func (p *jsParser) parse() *syntax.Regexp {
	p.countGroups()
	root := p.disjunction()
	if p.i < len(p.text) {
		p.fail(p.i, `an opening parenthesis before ")"`)
	}
	return root
}

// countGroups looks ahead for what decides how escapes are read.
func (p *jsParser) countGroups() {
	inClass := false
	for i := 0; i < len(p.text); i++ {
		switch p.text[i] {
		case '\\':
			i++
		case '[':
			inClass = true
		case ']':
			inClass = false
		case '(':
			if rest := p.text[i+1:]; !inClass && opensGroup(rest) {
				p.groupCount++
				if len(rest) > 0 && rest[0] == '?' {
					p.names = map[string]bool{}
				}
			}
		}
	}
}

// peek returns the next rune, or -1 at the end.
func (p *jsParser) peek() rune {
	if p.i < len(p.text) {
		return p.text[p.i]
	}
	return -1
}

// take consumes s if it comes next.
func (p *jsParser) take(s string) bool {
	n := p.i
	for _, r := range s {
		if n == len(p.text) || p.text[n] != r {
			return false
		}
		n++
	}
	p.i = n
	return true
}

func (p *jsParser) disjunction() *syntax.Regexp {
	subs := []*syntax.Regexp{p.alternative()}
	for p.take("|") {
		subs = append(subs, p.alternative())
	}
	if len(subs) == 1 {
		return subs[0]
	}
	return &syntax.Regexp{Op: syntax.OpAlternate, Sub: subs}
}

func (p *jsParser) alternative() *syntax.Regexp {
	var subs []*syntax.Regexp
	for c := p.peek(); c >= 0 && c != '|' && c != ')'; c = p.peek() {
		subs = append(subs, p.term())
	}
	switch len(subs) {
	case 0:
		return &syntax.Regexp{Op: syntax.OpEmptyMatch}
	case 1:
		return subs[0]
	}
	return &syntax.Regexp{Op: syntax.OpConcat, Sub: subs}
}

// term reads an assertion, or an atom with its quantifier.
func (p *jsParser) term() *syntax.Regexp {
	switch start := p.i; {
	case p.take("^"):
		return &syntax.Regexp{Op: syntax.OpBeginText}
	case p.take("$"):
		return &syntax.Regexp{Op: syntax.OpEndText}
	case p.take(`\b`):
		p.usesWordBoundary = true
		return &syntax.Regexp{Op: syntax.OpWordBoundary}
	case p.take(`\B`):
		p.usesWordBoundary = true
		return &syntax.Regexp{Op: syntax.OpNoWordBoundary}
	case string(p.text[p.i:min(p.i+len(boundaryText), len(p.text))]) == boundaryText && p.i+len(boundaryText) == len(p.text):
		p.i = len(p.text)
		return p.boundaryTerm()
	case p.take("(?!"):
		return p.guardedTerm(start)
	case p.take("(?="), p.take("(?<="), p.take("(?<!"):
		p.fail(start, "no lookahead or lookbehind")
	}
	start := p.i
	atom := p.atom()
	quantifierAt := p.i
	q, ok := p.quantifier()
	if !ok {
		return atom
	}
	if atom.Op == syntax.OpLiteral && atom.Rune[0] > maxUnit {
		p.fail(start, "no repetition of a character beyond U+FFFF, of which JavaScript would repeat the second half")
	}
	return p.repeat(atom, q, quantifierAt)
}

// boundaryTerm is the end of a mount's match: a slash that is not part of it,
// or the end of the path.
func (p *jsParser) boundaryTerm() *syntax.Regexp {
	p.goGroups++
	p.boundaryGroup = p.goGroups
	slash := &syntax.Regexp{Op: syntax.OpLiteral, Rune: []rune{'/'}}
	p.boundary = &syntax.Regexp{Op: syntax.OpAlternate, Sub: []*syntax.Regexp{
		{Op: syntax.OpCapture, Cap: p.goGroups, Sub: []*syntax.Regexp{slash}},
		{Op: syntax.OpEndText},
	}}
	return p.boundary
}

// guardedTerm reads a negative lookahead, after its start, and the one
// character that must follow it.
func (p *jsParser) guardedTerm(start int) *syntax.Regexp {
	const expected = "no lookahead or lookbehind, except one that excludes text before a single character"
	if p.inLookahead {
		p.fail(start, expected)
	}
	p.inLookahead = true
	excluded := p.disjunction()
	p.inLookahead = false
	if !p.take(")") {
		p.fail(p.i, "a closing parenthesis")
	}
	if c := p.peek(); c < 0 || slices.Contains([]rune("()|^$*+?{"), c) || p.take(`\b`) || p.take(`\B`) {
		p.fail(start, expected)
	}
	atom := p.atom()
	set, ok := setOf(atom)
	if _, quantified := p.quantifier(); !ok || quantified {
		p.fail(start, expected)
	}
	alternatives := []*syntax.Regexp{excluded}
	if excluded.Op == syntax.OpAlternate {
		alternatives = excluded.Sub
	}
	var characters runeSet
	for _, alternative := range alternatives {
		if canBeEmpty(alternative) && !hasAssertion(alternative) {
			characters = runeSet{0, unicode.MaxRune}
		} else if first, whole := firstOf(alternative); whole {
			characters = append(characters, first...)
		}
	}
	guarded := &syntax.Regexp{Op: syntax.OpCharClass, Rune: set.minus(characters)}
	alternatives = slices.DeleteFunc(slices.Clone(alternatives), func(alternative *syntax.Regexp) bool {
		first, _ := firstOf(alternative)
		return len(first.minus(characters)) == 0
	})
	if len(alternatives) > 0 {
		p.guard(guarded, &syntax.Regexp{Op: syntax.OpAlternate, Sub: alternatives}, start)
	}
	return guarded
}

// guard keeps a node from matching where a text starts.
func (p *jsParser) guard(node, text *syntax.Regexp, start int) {
	if hasAssertion(text) {
		p.fail(start, "no assertion in text before a param")
	}
	if p.textSize += expandedSize(text); p.textSize > maxTextSize {
		p.fail(start, "at most %d characters in texts before params", maxTextSize)
	}
	if p.marks == nil {
		p.marks, p.guarded = &textMarks{}, map[*syntax.Regexp]uint8{}
	}
	bit, err := p.marks.text(text)
	if err != nil {
		p.fail(start, "%v", err)
	}
	p.guarded[node] = bit
}

// firstOf returns a set that the first character that re matches is in. It
// reports whether any character in it is a match.
func firstOf(re *syntax.Regexp) (first runeSet, whole bool) {
	parts := partsOf(re, nil)
	if len(parts) == 0 {
		return nil, false
	}
	switch parts[0].Op {
	case syntax.OpLiteral, syntax.OpCharClass:
		first, whole = setOf(parts[0])
	case syntax.OpRepeat:
		if parts[0].Min > 0 {
			first, whole = firstOf(parts[0].Sub[0])
			whole = whole && parts[0].Min == 1
		} else {
			first = runeSet{0, unicode.MaxRune}
		}
	default:
		first = runeSet{0, unicode.MaxRune}
	}
	for _, part := range parts[1:] {
		whole = whole && canBeEmpty(part) && !hasAssertion(part)
	}
	return first, whole
}

// isOneCharacter reports whether all of set is the same character, case aside.
func (p *jsParser) isOneCharacter(set runeSet) bool {
	return len(set) > 0 && slices.Equal(set, p.literalSet(set[0]))
}

func (p *jsParser) atom() *syntax.Regexp {
	start := p.i
	c := p.peek()
	switch c {
	case '(':
		return p.group()
	case '[':
		p.i++
		return p.class(start)
	case '.':
		p.i++
		return p.setNode(lineEndSet.negated(maxUnit), start)
	case '\\':
		p.i++
		return p.escape(start)
	case '*', '+', '?':
		p.fail(p.i, "something to repeat before %q", c)
	case '{':
		if _, ok := p.quantifier(); ok {
			p.fail(start, "something to repeat before %q", c)
		}
	}
	p.i++
	return p.literalNode(c)
}

func (p *jsParser) group() *syntax.Regexp {
	start := p.i
	p.i++
	capture := true
	if p.take("?") {
		switch {
		case p.take(":"):
			capture = false
		case p.take("<"):
			p.groupName(start)
		default:
			p.fail(start, `"(?:" or "(?<name>" to start a group`)
		}
	}
	group := 0
	if capture {
		// A group in a negative lookahead never takes part in a match.
		if !p.inLookahead {
			p.goGroups++
			group = p.goGroups
		}
		p.groups = append(p.groups, group)
	}
	if p.nesting++; p.nesting > maxNesting {
		p.fail(start, "at most %d groups in each other", maxNesting)
	}
	re := p.disjunction()
	p.nesting--
	if !p.take(")") {
		p.fail(p.i, "a closing parenthesis")
	}
	if group > 0 {
		re = &syntax.Regexp{Op: syntax.OpCapture, Cap: group, Sub: []*syntax.Regexp{re}}
	}
	return re
}

// groupName skips the name of a group. Names are not used: as in Express, only
// the order of the groups counts.
func (p *jsParser) groupName(start int) {
	name := p.i
	for c := p.peek(); c == '_' || c == '$' || unicode.IsLetter(c) || p.i > name && unicode.IsDigit(c); c = p.peek() {
		p.i++
	}
	s := string(p.text[name:p.i])
	if s == "" || p.names[s] || !p.take(">") {
		p.fail(start, `"(?<name>" with a name of letters and digits that no other group has`)
	}
	p.names[s] = true
}

// appendSource appends re in Go's syntax. The tree's own String method looks at
// the case of every rune in every class, which takes milliseconds.
func appendSource(dst []byte, re *syntax.Regexp) []byte {
	switch re.Op {
	case syntax.OpNoMatch:
		dst = append(dst, `[^\x00-\x{10FFFF}]`...)
	case syntax.OpBeginText:
		dst = append(dst, `\A`...)
	case syntax.OpEndText:
		dst = append(dst, `\z`...)
	case syntax.OpWordBoundary:
		dst = append(dst, `\b`...)
	case syntax.OpNoWordBoundary:
		dst = append(dst, `\B`...)
	case syntax.OpLiteral:
		dst = fmt.Appendf(dst, `\x{%X}`, re.Rune[0])
	case syntax.OpCharClass:
		if len(re.Rune) == 0 {
			return append(dst, `[^\x00-\x{10FFFF}]`...)
		}
		dst = append(dst, '[')
		for i := 0; i < len(re.Rune); i += 2 {
			dst = fmt.Appendf(dst, `\x{%X}-\x{%X}`, re.Rune[i], re.Rune[i+1])
		}
		dst = append(dst, ']')
	case syntax.OpCapture:
		dst = append(dst, '(')
		dst = appendSource(dst, re.Sub[0])
		dst = append(dst, ')')
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			dst = appendSource(dst, sub)
		}
	case syntax.OpAlternate:
		dst = append(dst, "(?:"...)
		for i, sub := range re.Sub {
			if i > 0 {
				dst = append(dst, '|')
			}
			dst = appendSource(dst, sub)
		}
		dst = append(dst, ')')
	case syntax.OpRepeat:
		dst = append(dst, "(?:"...)
		dst = appendSource(dst, re.Sub[0])
		dst = fmt.Appendf(dst, "){%d,", re.Min)
		if re.Max >= 0 {
			dst = fmt.Append(dst, re.Max)
		}
		dst = append(dst, '}')
		if re.Flags&syntax.NonGreedy != 0 {
			dst = append(dst, '?')
		}
	}
	return dst
}
