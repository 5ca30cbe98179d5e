package meter

import "slices"

// names is what is kept of the name section (§7.4.1): what stack traces show.
type names struct {
	module    span // its part's content, empty without one
	functions span // the pairs of index and name
	count     int  // of pairs
}

// readNames reads the whole section strictly, although its mistakes make no
// module invalid: engines trust the counts in it and reserve memory for them.
func readNames(r *reader) *names {
	n := &names{}
	last := -1
	for r.more() {
		at := r.pos
		id := int(r.byte())
		if id <= last {
			r.malformed(at, "each part once and in its order", "misplaced part %d of the name section", id)
		}
		last = id
		r.within(r.u32(), "part of the name section", func() {
			start := r.pos
			switch id {
			case 0:
				r.name()
				n.module = span{start, r.pos}
			case 1:
				n.count = readNameMap(r, func(at int) { start = at })
				n.functions = span{start, r.pos}
			case 2:
				for range r.count("functions with names of locals", r.end) {
					r.u32()
					readNameMap(r, func(int) {})
				}
			default:
				r.pos = r.end
			}
		})
	}
	return n
}

// readNameMap returns the number of pairs, and tells where the first one begins.
func readNameMap(r *reader, begins func(at int)) int {
	n := r.count("names", r.end)
	begins(r.pos)
	next := uint64(0)
	for range n {
		at := r.pos
		i := uint64(r.u32())
		if i < next {
			r.malformed(at, "rising indices", "name of index %d", i)
		}
		next = i + 1
		r.name()
	}
	return n
}

// appendNames writes the section for the module in which yield's function is new, and those from there on have moved up by one.
// Behind them come the gate, if its index is not 0, and copies of functions, which have the names of these.
func appendNames(out []byte, n *names, module []byte, yield, gate uint32, copies []copied) []byte {
	part := func(id byte, content []byte) {
		out = append(out, id)
		out = appendU32(out, uint32(len(content)))
		out = append(out, content...)
	}
	out = appendName(out, "name")
	if n.module.end > n.module.start {
		part(0, module[n.module.start:n.module.end])
	}
	count := n.count + 1
	var functions, behind []byte
	if gate > 0 {
		behind = appendName(appendU32(behind, gate), GateFunction)
		count++
	}
	r := reader{data: module, pos: n.functions.start, end: n.functions.end}
	own := appendName(appendU32(nil, yield), YieldModule+"."+YieldFunction)
	for r.more() {
		i := r.u32()
		start := r.pos
		r.bytes(r.u32())
		name := module[start:r.pos]
		for len(copies) > 0 && copies[0].of < i {
			copies = copies[1:]
		}
		if len(copies) > 0 && copies[0].of == i {
			behind = append(appendU32(behind, copies[0].index), name...)
			count++
		}
		if i >= yield {
			functions = append(functions, own...)
			own = nil
			i++
		}
		functions = append(appendU32(functions, i), name...)
	}
	functions = append(functions, own...)
	part(1, slices.Concat(appendU32(nil, uint32(count)), functions, behind))
	return out
}
