package meter

// gateBody returns the function through which the host calls those that [Options.Gate] names, with its size in front:
//
//	(func (param $which i32) (param $a i32) (param $b i32) (param $fuel i64) (result i64 i64)
//	  (global.set FUEL (local.get $fuel))
//	  (block (result i64)
//	    (if (i32.eq (local.get $which) (i32.const 0)) (then (call 0) (br 1)))
//	    (if (i32.eq (local.get $which) (i32.const 1)) (then (call 1) (br 1)))
//	    unreachable)
//	  (global.get FUEL))
//
// One comparison for the first of them takes less time than a br_table.
func (p *parser) gateBody(names []string, global uint32) []byte {
	b := []byte{0, opLocalGet, 3} // no locals
	b = appendU32(append(b, opGlobalSet), global)
	b = append(b, opBlock, byte(I64))
	for i, name := range names {
		b = appendU32(append(b, opLocalGet, 0, opI32Const), uint32(i))
		b = append(b, opI32Eq, opIf, noResult)
		b = p.gateCall(b, name)
		b = append(b, opBr, 1, opEnd)
	}
	b = append(b, opUnreachable, opEnd)
	b = appendU32(append(b, opGlobalGet), global)
	return append(b, opEnd)
}

// gateType is the type of that function.
var gateType = []byte{0x60, 4, byte(I32), byte(I32), byte(I32), byte(I64), 2, byte(I64), byte(I64)}

// gateCall appends a call of an exported function, which leaves an i64.
func (p *parser) gateCall(b []byte, name string) []byte {
	e := p.info.Export(name)
	if e == nil || !gated(e) {
		return append(b, opUnreachable)
	}
	for i := range e.Type.Params {
		b = append(b, opLocalGet, byte(1+i))
	}
	f := uint32(e.Index)
	if e.Index >= p.imported.funcs {
		f++
	}
	b = appendU32(append(b, opCall), f)
	if len(e.Type.Results) == 0 {
		b = append(b, opI64Const, 0)
	}
	return b
}

// gated tells whether the gate leads to an export.
func gated(e *Export) bool {
	if e.Kind != KindFunction || len(e.Type.Params) > 2 || len(e.Type.Results) > 1 {
		return false
	}
	for _, t := range e.Type.Params {
		if t != I32 {
			return false
		}
	}
	return len(e.Type.Results) == 0 || e.Type.Results[0] == I64
}
