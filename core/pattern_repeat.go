package core

import (
	"regexp/syntax"
	"slices"
)

// JavaScript gives a repetition two rules of its own. A round beyond the
// required ones that matches nothing is given up, and each round starts with
// the groups in it cleared. Go's regular expressions have neither, so the first
// is written into the repeated part, and parts for which a rule makes a
// difference that cannot be written are refused.

type quantifier struct {
	min, max int // max is -1 for no limit
	lazy     bool
}

// quantifier reads one, if it comes next.
func (p *jsParser) quantifier() (q quantifier, ok bool) {
	start := p.i
	switch {
	case p.take("*"):
		q = quantifier{min: 0, max: -1}
	case p.take("+"):
		q = quantifier{min: 1, max: -1}
	case p.take("?"):
		q = quantifier{min: 0, max: 1}
	case p.take("{"):
		if q, ok = p.counts(); !ok {
			p.i = start
			return q, false
		}
		if q.max >= 0 && q.max < q.min {
			p.fail(start, "the counts of the repetition to be in order")
		}
	default:
		return q, false
	}
	q.lazy = p.take("?")
	return q, true
}

// counts reads the rest of {n}, {n,} or {n,m}.
func (p *jsParser) counts() (q quantifier, ok bool) {
	if q.min, ok = p.count(); !ok {
		return q, false
	}
	q.max = q.min
	if p.take(",") {
		if q.max, ok = p.count(); !ok {
			q.max = -1
		}
	}
	return q, p.take("}")
}

// count reads a decimal number. All above maxRepeat are the same.
func (p *jsParser) count() (n int, ok bool) {
	for c := p.peek(); '0' <= c && c <= '9'; c = p.peek() {
		n = min(n*10+int(c-'0'), maxRepeat+1)
		ok = true
		p.i++
	}
	return n, ok
}

func (p *jsParser) repeat(re *syntax.Regexp, q quantifier, at int) *syntax.Regexp {
	if q.max != q.min && canBeEmpty(re) {
		full, ok := nonEmpty(re)
		if !ok || q.min > 0 {
			p.fail(at, "something to repeat that cannot match nothing")
		}
		re = full
	}
	if maxRounds(re)*max(1, q.min, q.max) > maxRepeat {
		p.fail(at, "at most %d repetitions, also of what is repeated itself", maxRepeat)
	}
	if q.max != 1 && q.max != 0 && missesGroup(re) {
		p.fail(at, "something to repeat whose groups all take part in each round")
	}
	repeated := &syntax.Regexp{Op: syntax.OpRepeat, Min: q.min, Max: q.max, Sub: []*syntax.Regexp{re}}
	if q.lazy {
		repeated.Flags = syntax.NonGreedy
	}
	return repeated
}

// canBeEmpty reports whether re matches the empty string somewhere.
func canBeEmpty(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpLiteral, syntax.OpCharClass:
		return false
	case syntax.OpCapture:
		return canBeEmpty(re.Sub[0])
	case syntax.OpRepeat:
		return re.Min == 0 || canBeEmpty(re.Sub[0])
	case syntax.OpConcat:
		return !slices.ContainsFunc(re.Sub, neverEmpty)
	case syntax.OpAlternate:
		return slices.ContainsFunc(re.Sub, canBeEmpty)
	default:
		return true
	}
}

func neverEmpty(re *syntax.Regexp) bool { return !canBeEmpty(re) }

// nonEmpty returns re without its empty matches, the others in the same order
// of preference, where that can be written.
func nonEmpty(re *syntax.Regexp) (*syntax.Regexp, bool) {
	if !canBeEmpty(re) {
		return re, true
	}
	switch re.Op {
	case syntax.OpRepeat:
		if re.Max == 0 {
			return &syntax.Regexp{Op: syntax.OpConcat, Sub: []*syntax.Regexp{re, {Op: syntax.OpNoMatch}}}, true
		}
		full := *re
		full.Min = 1
		return &full, !canBeEmpty(re.Sub[0])
	case syntax.OpCapture, syntax.OpAlternate:
		full := *re
		full.Sub = make([]*syntax.Regexp, len(re.Sub))
		for i, sub := range re.Sub {
			var ok bool
			if full.Sub[i], ok = nonEmpty(sub); !ok {
				return nil, false
			}
		}
		return &full, true
	case syntax.OpConcat:
		return nil, false
	default:
		return &syntax.Regexp{Op: syntax.OpNoMatch}, true
	}
}

// missesGroup reports whether re can match without one of its groups.
func missesGroup(re *syntax.Regexp) bool {
	optional := re.Op == syntax.OpAlternate || re.Op == syntax.OpRepeat && re.Min == 0
	for _, sub := range re.Sub {
		if missesGroup(sub) || optional && sub.MaxCap() > 0 {
			return true
		}
	}
	return false
}

// maxRounds returns how often the part of re that is repeated most is written out.
func maxRounds(re *syntax.Regexp) int {
	n := 1
	for _, sub := range re.Sub {
		n = max(n, maxRounds(sub))
	}
	if re.Op == syntax.OpRepeat {
		n *= max(1, re.Min, re.Max)
	}
	return n
}

// expandedSize returns how many characters re has when its repetitions are
// written out, or a number above maxExpressionSize.
func expandedSize(re *syntax.Regexp) int {
	n := 1
	for _, sub := range re.Sub {
		n = min(n+expandedSize(sub), maxExpressionSize+1)
	}
	if re.Op == syntax.OpRepeat {
		n *= max(1, re.Min, re.Max)
	}
	return min(n, maxExpressionSize+1)
}
