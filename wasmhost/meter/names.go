package meter

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

// appendNames writes the section for the module in which the function at index
// added is new, and those from there on have moved up by one. The one at last is new as well, if it is not 0.
func appendNames(out []byte, n *names, module []byte, added uint32, name string, last uint32) []byte {
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
	if last > 0 {
		count++
	}
	functions := appendU32(nil, uint32(count))
	r := reader{data: module, pos: n.functions.start, end: n.functions.end}
	own := appendName(appendU32(nil, added), name)
	for r.more() {
		i := r.u32()
		if i >= added {
			functions = append(functions, own...)
			own = nil
			i++
		}
		functions = appendU32(functions, i)
		start := r.pos
		r.bytes(r.u32())
		functions = append(functions, module[start:r.pos]...)
	}
	functions = append(functions, own...)
	if last > 0 {
		functions = appendName(appendU32(functions, last), GateFunction)
	}
	part(1, functions)
	return out
}
