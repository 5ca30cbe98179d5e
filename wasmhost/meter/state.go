package meter

import "strconv"

// stateGlobals bounds the mutable globals of a module whose state can be set. Programs have one for their stack, and some for
// their run-time system.
const stateGlobals = 64

// state returns what can change in an instance, nil if that is more than can be set from outside. The code has been
// read.
func (p *parser) state() *State {
	if p.volatile || len(p.mutable) > stateGlobals {
		return nil
	}
	s := &State{Globals: make([]string, len(p.mutable))}
	for i, g := range p.mutable {
		s.Globals[i] = stateName(g)
	}
	return s
}

func stateName(global uint32) string { return StatePrefix + strconv.FormatUint(uint64(global), 10) }

// stateExports returns the exports of the mutable globals.
func (w *rewriter) stateExports() [][]byte {
	if !w.state || len(w.mutable) > stateGlobals {
		return nil
	}
	all := make([][]byte, len(w.mutable))
	for i, g := range w.mutable {
		all[i] = appendU32(append(appendName(nil, stateName(g)), byte(KindGlobal)), g)
	}
	return all
}

// declare takes note of a global.
func (p *parser) declare(t ValueType, mutable, imported bool) {
	switch {
	case !mutable:
	case imported || t != I32 && t != I64 && t != F32 && t != F64:
		p.volatile = true // it is shared, or cannot be set from outside
	default:
		p.mutable = append(p.mutable, uint32(p.nGlobals))
	}
	p.nGlobals++
}
