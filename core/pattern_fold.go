package core

import (
	"slices"
	"sync"
	"unicode"
	"unicode/utf8"
)

// foldRune returns the rune that stands for all those that equal r when case
// is ignored as JavaScript's i flag does without the u flag: the upper case of
// a single code unit. So, unlike in Go's regexp package, no letter beyond ASCII
// equals one of ASCII (the Kelvin sign is not a k), and letters beyond U+FFFF
// equal only themselves.
func foldRune(r rune) rune {
	switch {
	case r < utf8.RuneSelf:
		if 'a' <= r && r <= 'z' {
			r -= 'a' - 'A'
		}
		return r
	case r > 0xFFFF, uppercasesToTwo(r):
		return r
	}
	if upper := unicode.ToUpper(r); upper >= utf8.RuneSelf && upper <= 0xFFFF {
		return upper
	}
	return r
}

// uppercasesToTwo reports whether r is one of the Greek letters whose upper
// case is two letters by Unicode's special rules, though the simple ones have a
// single one. JavaScript does not fold these. For all other letters with such a
// special rule there is no simple one.
func uppercasesToTwo(r rune) bool {
	switch r {
	case 0x1FB3, 0x1FBC, 0x1FC3, 0x1FCC, 0x1FF3, 0x1FFC:
		return true
	}
	return 0x1F80 <= r && r <= 0x1FAF
}

// foldsByTarget returns, for every rune that is foldRune of others, those others.
var foldsByTarget = sync.OnceValue(func() map[rune][]rune {
	folds := map[rune][]rune{}
	for r := 'a'; r <= 'z'; r++ {
		folds[foldRune(r)] = []rune{r}
	}
	for _, c := range unicode.CaseRanges {
		for r := max(rune(c.Lo), utf8.RuneSelf); r <= min(rune(c.Hi), 0xFFFF); r++ {
			if target := foldRune(r); target != r {
				folds[target] = append(folds[target], r)
			}
		}
	}
	return folds
})

// runeSet is a set of runes as the regexp/syntax package has it: pairs of first
// and last, sorted, neither overlapping nor adjacent once normalized.
type runeSet []rune

// Sets while they are put together are sets of UTF-16 code units, as in JavaScript.
const maxUnit = 0xFFFF

var (
	digitSet = runeSet{'0', '9'}
	wordSet  = runeSet{'0', '9', 'A', 'Z', '_', '_', 'a', 'z'}
	spaceSet = runeSet{
		'\t', '\r', ' ', ' ', 0xA0, 0xA0, 0x1680, 0x1680, 0x2000, 0x200A,
		0x2028, 0x2029, 0x202F, 0x202F, 0x205F, 0x205F, 0x3000, 0x3000, 0xFEFF, 0xFEFF,
	}
	lineEndSet = runeSet{'\n', '\n', '\r', '\r', 0x2028, 0x2029}
)

func (s runeSet) normalized() runeSet {
	var pairs [][2]rune
	for i := 0; i < len(s); i += 2 {
		pairs = append(pairs, [2]rune{s[i], s[i+1]})
	}
	slices.SortFunc(pairs, func(a, b [2]rune) int { return int(a[0] - b[0]) })
	var out runeSet
	for _, p := range pairs {
		if n := len(out); n > 0 && p[0] <= out[n-1]+1 {
			out[n-1] = max(out[n-1], p[1])
		} else {
			out = append(out, p[0], p[1])
		}
	}
	return out
}

// negated returns the runes up to last that are not in s, which is normalized.
func (s runeSet) negated(last rune) runeSet {
	var out runeSet
	next := rune(0)
	for i := 0; i < len(s); i += 2 {
		if next < s[i] {
			out = append(out, next, s[i]-1)
		}
		next = s[i+1] + 1
	}
	if next <= last {
		out = append(out, next, last)
	}
	return out
}

func (s runeSet) minus(t runeSet) runeSet {
	both := append(slices.Clone(s).normalized().negated(unicode.MaxRune), t...)
	return both.normalized().negated(unicode.MaxRune)
}

func (s runeSet) contains(r rune) bool {
	for i := 0; i < len(s) && s[i] <= r; i += 2 {
		if r <= s[i+1] {
			return true
		}
	}
	return false
}

// folded adds all runes that equal one in s when case is ignored.
func (s runeSet) folded() runeSet {
	s = s.normalized()
	out := slices.Clone(s)
	add := func(r rune) {
		if !s.contains(r) {
			out = append(out, r, r)
		}
	}
	for target, others := range foldsByTarget() {
		if s.contains(target) || slices.ContainsFunc(others, s.contains) {
			add(target)
			for _, r := range others {
				add(r)
			}
		}
	}
	return out.normalized()
}

// withoutSurrogates turns a set of UTF-16 code units into a set of runes. A
// set with all surrogates has all runes beyond U+FFFF; one with some of them
// tells the halves of a rune apart, which cannot be done here: ok is false.
func (s runeSet) withoutSurrogates() (set runeSet, ok bool) {
	const first, last = 0xD800, 0xDFFF
	surrogates := runeSet{first, last}
	rest := s.minus(surrogates)
	switch {
	case slices.Equal(rest, s):
		return rest, true
	case len(surrogates.minus(s)) == 0:
		return append(rest, maxUnit+1, unicode.MaxRune).normalized(), true
	default:
		return nil, false
	}
}
