package core

import (
	"regexp/syntax"
	"unicode"
	"unicode/utf8"
)

// escape reads what follows a backslash outside of a class.
func (p *jsParser) escape(start int) *syntax.Regexp {
	c := p.peek()
	switch {
	case c < 0:
		p.fail(p.i, "a character after the backslash")
	case '1' <= c && c <= '9':
		n := 0
		for i := p.i; i < len(p.text) && '0' <= p.text[i] && p.text[i] <= '9'; i++ {
			n = min(n*10+int(p.text[i]-'0'), maxPatternLen)
		}
		if n <= p.groupCount {
			p.fail(start, "no backreference")
		}
	case c == 'k' && p.names != nil:
		p.fail(start, "no backreference")
	}
	if set := p.classEscape(); set != nil {
		return p.setNode(set, start)
	}
	r := p.characterEscape(false)
	if 0xD800 <= r && r < 0xDC00 && p.take(`\u`) {
		if low := p.hex(4); 0xDC00 <= low && low <= 0xDFFF {
			return p.literalNode((r-0xD800)<<10 + (low - 0xDC00) + 0x10000)
		}
	}
	if 0xD800 <= r && r <= 0xDFFF {
		p.fail(start, "no half of a surrogate pair")
	}
	return p.literalNode(r)
}

// classEscape reads the letter of \d, \s, \w and their opposites.
func (p *jsParser) classEscape() runeSet {
	var set runeSet
	switch p.peek() {
	case 'd', 'D':
		set = digitSet
	case 's', 'S':
		set = spaceSet
	case 'w', 'W':
		set = wordSet
	default:
		return nil
	}
	if unicode.IsUpper(p.peek()) {
		set = set.negated(maxUnit)
	}
	p.i++
	return set
}

// characterEscape reads the escape of a single character, after its backslash.
func (p *jsParser) characterEscape(inClass bool) rune {
	c := p.peek()
	if '0' <= c && c <= '7' {
		return p.octal()
	}
	p.i++
	switch c {
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'v':
		return '\v'
	case 'c':
		next := p.peek()
		letter := 'a' <= next && next <= 'z' || 'A' <= next && next <= 'Z'
		if letter || inClass && next < utf8.RuneSelf && next > 0 && isWordByte(byte(next)) {
			p.i++
			return next % 32
		}
		p.i-- // then the backslash stands for itself, and the c too
		return '\\'
	case 'x':
		if r := p.hex(2); r >= 0 {
			return r
		}
	case 'u':
		if r := p.hex(4); r >= 0 {
			return r
		}
	}
	return c
}

// octal reads an octal escape of up to three digits and 0377.
func (p *jsParser) octal() rune {
	r := rune(0)
	for range 3 {
		c := p.peek()
		if c < '0' || c > '7' || r*8+c-'0' > 0o377 {
			break
		}
		r = r*8 + c - '0'
		p.i++
	}
	return r
}

// hex reads exactly n hexadecimal digits, or nothing and returns -1.
func (p *jsParser) hex(n int) rune {
	if p.i+n > len(p.text) {
		return -1
	}
	r := rune(0)
	for _, c := range p.text[p.i : p.i+n] {
		digit := hexDigit(c)
		if digit < 0 {
			return -1
		}
		r = r<<4 | digit
	}
	p.i += n
	return r
}

// class reads a character class, after its opening bracket.
func (p *jsParser) class(start int) *syntax.Regexp {
	negated := p.take("^")
	set := runeSet{}
	for !p.take("]") {
		low, lowSet := p.classAtom(start)
		set = append(set, lowSet...)
		if p.peek() != '-' || p.i+1 < len(p.text) && p.text[p.i+1] == ']' {
			continue
		}
		p.i++
		high, highSet := p.classAtom(start)
		set = append(set, highSet...)
		switch {
		case low < 0 || high < 0:
			set = append(set, '-', '-')
		case low > high:
			p.fail(start, "the ranges of the class to be in order")
		default:
			set = append(set, low, high)
		}
	}
	set = set.normalized()
	if !negated {
		return p.setNode(set, start)
	}
	if p.fold {
		set = set.folded()
	}
	return p.foldedNode(set.negated(maxUnit), start)
}

// classAtom reads a member of a class: one character, or a set and -1.
func (p *jsParser) classAtom(start int) (rune, runeSet) {
	c := p.peek()
	switch {
	case c < 0:
		p.fail(start, "a closing bracket")
	case c > maxUnit:
		p.fail(p.i, "no character beyond U+FFFF in a class, which JavaScript would read as two")
	case c != '\\':
		p.i++
		return c, runeSet{c, c}
	}
	p.i++
	if set := p.classEscape(); set != nil {
		return -1, set
	}
	switch c := p.peek(); {
	case c < 0:
		p.fail(p.i, "a character after the backslash")
	case c == 'b':
		p.i++
		return '\b', runeSet{'\b', '\b'}
	case c == 'k' && p.names != nil:
		p.fail(p.i, `no \k in a class when groups have names`)
	case c > maxUnit:
		p.fail(p.i, "no character beyond U+FFFF in a class, which JavaScript would read as two")
	}
	c = p.characterEscape(true)
	return c, runeSet{c, c}
}

func (p *jsParser) literalNode(c rune) *syntax.Regexp {
	return nodeOf(p.literalSet(c))
}

// literalSet returns the runes that match the character c of the source.
func (p *jsParser) literalSet(c rune) runeSet {
	if !p.fold || c > maxUnit {
		return runeSet{c, c}
	}
	target := foldRune(c)
	set := runeSet{target, target}
	for _, r := range foldsByTarget()[target] {
		set = append(set, r, r)
	}
	return set.normalized()
}

func (p *jsParser) setNode(set runeSet, start int) *syntax.Regexp {
	if p.fold {
		set = set.folded()
	}
	return p.foldedNode(set, start)
}

func (p *jsParser) foldedNode(set runeSet, start int) *syntax.Regexp {
	set, ok := set.withoutSurrogates()
	if !ok {
		p.fail(start, "no half of a surrogate pair")
	}
	return nodeOf(set)
}

func nodeOf(set runeSet) *syntax.Regexp {
	if len(set) == 2 && set[0] == set[1] {
		return &syntax.Regexp{Op: syntax.OpLiteral, Rune: []rune{set[0]}}
	}
	return &syntax.Regexp{Op: syntax.OpCharClass, Rune: set}
}
