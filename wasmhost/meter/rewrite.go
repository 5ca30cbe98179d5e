package meter

import "slices"

// A rewriter writes the module that was parsed.
type rewriter struct {
	*parser
	out    []byte
	gate   []string // what is called through the gate; none without one
	state  bool     // whether mutable globals are exported
	body   body
	copies []copied // of leaves
	code            // of the function that is written
}

func (p *parser) rewrite(o Options) []byte {
	w := &rewriter{parser: p, gate: o.Gate, state: o.State, out: make([]byte, 0, len(p.reader.data)+len(p.reader.data)/2)}
	w.body.parser = p
	w.global, w.yield = uint32(p.nGlobals), uint32(p.imported.funcs)
	w.out = append(w.out, p.reader.data[:8]...)
	w.findLeaves()
	for _, s := range sections {
		w.one(s.id)
	}
	if p.names != nil {
		gate := uint32(0)
		if len(w.gate) > 0 {
			gate = uint32(len(p.funcs)) + 1
		}
		w.section(sectionCustom, appendNames(nil, p.names, p.reader.data, w.yield, gate, w.copies))
	}
	return w.out
}

func (w *rewriter) section(id byte, content []byte) {
	w.out = append(w.out, id)
	w.out = appendU32(w.out, uint32(len(content)))
	w.out = append(w.out, content...)
}

// one writes the section of this id.
func (w *rewriter) one(id byte) {
	switch id {
	case sectionType:
		w.extended(id, len(w.info.Types), []byte{0x60, 1, byte(I64), 1, byte(I64)}, gateType)
	case sectionImport:
		yield := appendName(appendName(nil, YieldModule), YieldFunction)
		yield = append(yield, byte(KindFunction))
		w.extended(id, len(w.info.Imports), appendU32(yield, uint32(len(w.info.Types))), nil)
	case sectionFunction:
		copies := make([][]byte, len(w.copies))
		for i, c := range w.copies {
			copies[i] = appendU32(nil, w.funcs[c.of])
		}
		w.extended(id, len(w.parser.bodies), nil, appendU32(nil, uint32(len(w.info.Types))+1), copies...)
	case sectionTable:
		if own := w.ownTables(); len(own) > 0 {
			w.section(id, tableSection(own))
		}
	case sectionGlobal:
		w.extended(id, w.info.Globals, []byte{byte(I64), 1, opI64Const, 0, opEnd}, nil)
	case sectionExport:
		fuel := append(appendName(nil, FuelGlobal), byte(KindGlobal))
		gate := append(appendName(nil, GateFunction), byte(KindFunction))
		w.extended(id, len(w.info.Exports), appendU32(fuel, w.global), appendU32(gate, uint32(len(w.funcs))+1), w.stateExports()...)
	case sectionData:
		if all, ok := w.merged(); ok {
			w.section(id, dataSection(nil, all))
			return
		}
		w.unchanged(id)
	case sectionCode:
		if s := w.content[id]; s.end > s.start || len(w.gate) > 0 {
			w.bodies()
		}
	default:
		w.unchanged(id)
	}
}

// unchanged writes a section in which nothing but references to functions changes.
func (w *rewriter) unchanged(id byte) {
	if s := w.content[id]; s.end > s.start {
		w.section(id, w.renumbered(nil, s))
	}
}

// extended writes a section with another element at the end of its vector, with one for the gate if there is to be one, and with
// more. The first two can be nil.
func (w *rewriter) extended(id byte, n int, element, gate []byte, more ...[]byte) {
	if len(w.gate) == 0 {
		gate = nil
	}
	for _, e := range [][]byte{element, gate} {
		if e != nil {
			n++
		}
	}
	n += len(more)
	if n == 0 {
		return
	}
	content := w.renumbered(appendU32(nil, uint32(n)), w.items[id])
	content = append(append(content, element...), gate...)
	w.section(id, append(content, slices.Concat(more...)...))
}

// renumbered appends a part of the module with its references to functions
// adapted to the import that is added.
func (w *rewriter) renumbered(b []byte, s span) []byte {
	at := s.start
	for len(w.refs) > 0 && w.refs[0].start < s.end {
		r := w.refs[0]
		w.refs = w.refs[1:]
		if int(r.function) < w.imported.funcs {
			continue
		}
		b = append(b, w.reader.data[at:r.start]...)
		b = appendU32(b, r.function+1)
		at = r.end
	}
	return append(b, w.reader.data[at:s.end]...)
}

func (w *rewriter) bodies() {
	content := make([]byte, 0, w.info.CodeBytes+w.info.CodeBytes/2)
	n := len(w.parser.bodies)
	if len(w.gate) > 0 {
		n++
	}
	content = appendU32(content, uint32(n+len(w.copies)))
	add := func() {
		w.write(&w.body)
		content = appendU32(content, uint32(len(w.b)))
		content = append(content, w.b...)
	}
	for f := range w.parser.bodies {
		w.body.read(f)
		add()
	}
	if len(w.gate) > 0 {
		body := w.gateBody(w.gate, w.global)
		content = append(appendU32(content, uint32(len(body))), body...)
	}
	for _, c := range w.copies {
		w.body.read(int(c.of) - w.imported.funcs)
		w.body.regions[0].cost = 0
		add()
	}
	w.section(sectionCode, content)
}

// A copied function is behind all others a second time.
type copied struct {
	of    uint32 // the function's index in the module that was parsed
	index uint32
}

// findLeaves finds the functions that are copied without their charge, because those who call the copy pay for it.
func (w *rewriter) findLeaves() {
	next := uint32(len(w.funcs)) + 1
	if len(w.gate) > 0 {
		next++
	}
	leaves := make([]leaf, len(w.funcs))
	for f, at := range w.parser.bodies {
		if at.end-at.start > leafBytes {
			continue
		}
		w.body.read(f)
		if cost := w.body.constant(); cost > 0 {
			i := w.imported.funcs + f
			leaves[i] = leaf{next, cost}
			w.copies = append(w.copies, copied{uint32(i), next})
			next++
		}
	}
	w.leaves = leaves
	w.allTargets, w.joins = 0, 0 // all are read again
}
