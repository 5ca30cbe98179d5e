package meter

import (
	"cmp"
	"slices"
)

// mergeGap is how many zeros may be between two data segments that become one. An engine needs more than that to
// remember a segment.
const mergeGap = 64

// A segment is a data segment whose place in memory is known.
type segment struct {
	offset uint32
	bytes  []byte
}

func (s *segment) end() uint64 { return uint64(s.offset) + uint64(len(s.bytes)) }

// segment notes a data segment whose offset is the constant expression at offset, which is empty if it is passive.
func (p *parser) segment(offset span, content []byte) {
	if offset.start == offset.end || p.reader.data[offset.start] != opI32Const {
		p.fixed = true
		return
	}
	r := reader{data: p.reader.data, pos: offset.start + 1, end: offset.end}
	p.segments = append(p.segments, segment{uint32(r.signed(32)), content})
}

// merged returns the data segments with those that are close to each other made one, and whether that is
// possible. A program in Go has tens of thousands, which takes most of the time that an instance takes to be made.
//
// An instance has the same memory afterwards, or is not made at all, as before: the memory is its own and begins
// with zeros, segments that do not overlap can be written in any order, and one that is too far up is still in one that is.
// Instructions can name segments only in modules with a data count section.
func (p *parser) merged() ([]segment, bool) {
	own := len(p.info.Memories) == 1 && !slices.ContainsFunc(p.info.Imports, func(m Import) bool { return m.Kind == KindMemory })
	all := p.segments
	if p.fixed || p.declared >= 0 || !own || len(all) < 2 {
		return nil, false
	}
	slices.SortStableFunc(all, func(a, b segment) int { return cmp.Compare(a.offset, b.offset) })
	runs, copied := 1, false
	for i := 1; i < len(all); i++ {
		last, next := &all[runs-1], &all[i]
		gap := int64(next.offset) - int64(last.end())
		if gap < 0 {
			return nil, false
		}
		if gap > mergeGap {
			all[runs] = *next
			runs, copied = runs+1, false
			continue
		}
		if !copied { // still a part of the module
			last.bytes, copied = slices.Clone(last.bytes), true
		}
		last.bytes = append(append(last.bytes, zeros[:gap]...), next.bytes...)
	}
	return all[:runs], true
}

var zeros [mergeGap]byte

// dataSection appends the content of the data section.
func dataSection(b []byte, all []segment) []byte {
	b = appendU32(b, uint32(len(all)))
	for _, s := range all {
		b = append(b, 0, opI32Const)
		b = appendS64(b, int64(int32(s.offset)))
		b = append(b, opEnd)
		b = append(appendU32(b, uint32(len(s.bytes))), s.bytes...)
	}
	return b
}
