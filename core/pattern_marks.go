package core

import (
	"fmt"
	"io"
	"regexp/syntax"
	"slices"
	"unicode/utf8"
)

// A param that follows text in its segment may not run over that text again:
// path-to-regexp says so by a lookahead in front of every character of the
// param, which Go's regular expressions do not have. Where the text is one
// character, leaving it out of a class does the same. Otherwise it is looked up
// in the path beforehand: a character at which the text starts is replaced by a
// mark as it is read, and every class that has the character also gets the
// mark, except that of the param.

const (
	// maxMarkTexts bounds how many different texts a pattern can look up.
	maxMarkTexts = 6

	// The marks are surrogates, which no path has.
	firstMark, lastMark = 0xD800, 0xDFFF
)

// textMarks is the marks of a pattern: one for each combination of texts that
// can start at a character, and each kind of character. Two characters are of
// the same kind if they are between the same two neighbours in kinds: no class
// of the pattern tells them apart.
type textMarks struct {
	texts []markText
	kinds []rune
}

// markText finds where a text starts, by running its expression backwards.
type markText struct {
	source   string
	backward *syntax.Prog
}

func newMarkText(re *syntax.Regexp) (markText, error) {
	prog, err := syntax.Compile(reversed(re).Simplify())
	return markText{string(appendSource(nil, re)), prog}, err
}

// reversed returns an expression that matches what re matches, read backwards.
// There are no groups and no assertions in it.
func reversed(re *syntax.Regexp) *syntax.Regexp {
	r := *re
	r.Sub = make([]*syntax.Regexp, len(re.Sub))
	for i, sub := range re.Sub {
		r.Sub[i] = reversed(sub)
	}
	if r.Op == syntax.OpConcat {
		slices.Reverse(r.Sub)
	}
	return &r
}

// hasAssertion reports whether re looks at more than the characters it matches.
func hasAssertion(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpBeginText, syntax.OpEndText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return true
	}
	return slices.ContainsFunc(re.Sub, hasAssertion)
}

// find sets a bit in starts for each byte of path at which the text starts. It
// follows all states of the program at once, so it takes linear time.
func (t *markText) find(path string, starts []uint8, bit uint8) {
	states := stateSet{prog: t.backward, seen: make([]int, len(t.backward.Inst))}
	next := states
	next.seen = make([]int, len(t.backward.Inst))
	for end := len(path); end > 0; {
		states.add(t.backward.Start, end)
		c, size := utf8.DecodeLastRuneInString(path[:end])
		end -= size
		next.clear()
		for _, pc := range states.waiting {
			if inst := &t.backward.Inst[pc]; inst.MatchRune(c) {
				next.add(int(inst.Out), end)
			}
		}
		if next.matched {
			starts[end] |= bit
		}
		states, next = next, states
	}
}

// stateSet is the states that a program can be in at one place of a text.
type stateSet struct {
	prog    *syntax.Prog
	waiting []uint32 // those that wait for a character
	matched bool
	seen    []int // by state, the last place it was added at, plus one
}

func (s *stateSet) clear() {
	s.waiting, s.matched = s.waiting[:0], false
}

func (s *stateSet) add(pc, place int) {
	if s.seen[pc] == place+1 {
		return
	}
	s.seen[pc] = place + 1
	switch inst := &s.prog.Inst[pc]; inst.Op {
	case syntax.InstAlt, syntax.InstAltMatch:
		s.add(int(inst.Out), place)
		s.add(int(inst.Arg), place)
	case syntax.InstNop, syntax.InstCapture:
		s.add(int(inst.Out), place)
	case syntax.InstMatch:
		s.matched = true
	case syntax.InstFail, syntax.InstEmptyWidth:
	default:
		s.waiting = append(s.waiting, uint32(pc))
	}
}

// text adds a text, if need be, and returns its bit.
func (m *textMarks) text(re *syntax.Regexp) (bit uint8, err error) {
	t, err := newMarkText(re)
	if err != nil {
		return 0, err
	}
	i := slices.IndexFunc(m.texts, func(other markText) bool { return other.source == t.source })
	if i < 0 {
		i = len(m.texts)
		m.texts = append(m.texts, t)
	}
	if i >= maxMarkTexts {
		return 0, fmt.Errorf("at most %d different texts before params", maxMarkTexts)
	}
	return 1 << i, nil
}

// apply lets the classes of a tree match marks. guarded says which texts may
// not start at what a class matches. It returns false if there are too many marks.
func (m *textMarks) apply(root *syntax.Regexp, guarded map[*syntax.Regexp]uint8) bool {
	m.collectKinds(root)
	slices.Sort(m.kinds)
	m.kinds = slices.Compact(m.kinds)
	combinations := 1<<len(m.texts) - 1
	if firstMark+combinations*len(m.kinds)-1 > lastMark {
		return false
	}
	m.applyTo(root, guarded)
	return true
}

func (m *textMarks) collectKinds(re *syntax.Regexp) {
	for _, sub := range re.Sub {
		m.collectKinds(sub)
	}
	set, _ := setOf(re)
	for i := 0; i < len(set); i += 2 {
		m.kinds = append(m.kinds, set[i], set[i+1]+1)
	}
}

func (m *textMarks) applyTo(re *syntax.Regexp, guarded map[*syntax.Regexp]uint8) {
	for _, sub := range re.Sub {
		m.applyTo(sub, guarded)
	}
	set, ok := setOf(re)
	if !ok {
		return
	}
	all := slices.Clone(set)
	for starting := 1; starting < 1<<len(m.texts); starting++ {
		if guarded[re]&uint8(starting) != 0 {
			continue
		}
		for kind, c := range m.kinds {
			if set.contains(c) {
				mark := m.mark(starting, kind)
				all = append(all, mark, mark)
			}
		}
	}
	re.Op, re.Rune = syntax.OpCharClass, all.normalized()
}

func (m *textMarks) mark(starting, kind int) rune {
	return rune(firstMark + (starting-1)*len(m.kinds) + kind)
}

// read returns a reader of path with marks in it.
func (m *textMarks) read(path string) io.RuneReader {
	starts := make([]uint8, len(path))
	for i := range m.texts {
		m.texts[i].find(path, starts, 1<<i)
	}
	return &markedReader{marks: m, path: path, starts: starts}
}

type markedReader struct {
	marks  *textMarks
	path   string
	starts []uint8
	i      int
}

func (r *markedReader) ReadRune() (c rune, size int, err error) {
	if r.i == len(r.path) {
		return 0, 0, io.EOF
	}
	starting := int(r.starts[r.i])
	c, size = utf8.DecodeRuneInString(r.path[r.i:])
	r.i += size
	if starting != 0 {
		kind, isFirst := slices.BinarySearch(r.marks.kinds, c)
		if !isFirst {
			kind--
		}
		if kind >= 0 { // else it is in no class
			c = r.marks.mark(starting, kind)
		}
	}
	return c, size, nil
}

// setOf returns the runes that a node matches one of.
func setOf(re *syntax.Regexp) (set runeSet, ok bool) {
	switch re.Op {
	case syntax.OpCharClass:
		return slices.Clone(runeSet(re.Rune)), true
	case syntax.OpLiteral:
		return runeSet{re.Rune[0], re.Rune[0]}, true
	}
	return nil, false
}
