package meter

// A small assembler: a module as data, and functions that return instructions.

type asm struct {
	types   []FuncType
	imports []Import // of functions: typ says which type
	typ     []int    // of imports that are functions
	funcs   []asmFunc
	tables  []asmTable
	memory  *Extent
	globals []asmGlobal
	exports []Export
	start   int // 0 for none: function 0 in these tests is never one that starts
	elems   [][]byte
	datas   [][]byte
	custom  []Custom
	counted bool // write the data count section
}

type asmFunc struct {
	typ    int
	locals []ValueType
	body   []byte // without the last end
	raw    []byte // instead of locals and body
}

type asmTable struct {
	elem   ValueType
	extent Extent
}

type asmGlobal struct {
	typ     ValueType
	mutable bool
	init    []byte // without end
}

func (a *asm) export(name string, k Kind, index int) {
	a.exports = append(a.exports, Export{Name: name, Kind: k, Index: index})
}

// fn adds a function and its type and returns its index.
func (a *asm) fn(params, results, locals []ValueType, body ...[]byte) int {
	a.types = append(a.types, FuncType{Params: params, Results: results})
	a.funcs = append(a.funcs, asmFunc{typ: len(a.types) - 1, locals: locals, body: seq(body...)})
	return len(a.typ) + len(a.funcs) - 1
}

func types(t ...ValueType) []ValueType { return t }

func (a *asm) bytes() []byte {
	out := []byte("\x00asm\x01\x00\x00\x00")
	add := func(id byte, content []byte) {
		out = append(out, section(id, content)...)
	}
	if len(a.types) > 0 {
		add(sectionType, vec(a.types, func(t FuncType) []byte {
			b := []byte{0x60}
			for _, list := range [][]ValueType{t.Params, t.Results} {
				b = append(b, vec(list, func(v ValueType) []byte { return []byte{byte(v)} })...)
			}
			return b
		}))
	}
	if len(a.imports) > 0 {
		next := 0
		add(sectionImport, vec(a.imports, func(m Import) []byte {
			b := append(appendName(appendName(nil, m.Module), m.Name), byte(m.Kind))
			switch m.Kind {
			case KindFunction:
				b = appendU32(b, uint32(a.typ[next]))
				next++
			case KindTable:
				b = append(append(b, byte(m.Value)), extent(m.Extent)...)
			case KindMemory:
				b = append(b, extent(m.Extent)...)
			case KindGlobal:
				b = append(b, byte(m.Value), flag(m.Mutable))
			}
			return b
		}))
	}
	if len(a.funcs) > 0 {
		add(sectionFunction, vec(a.funcs, func(f asmFunc) []byte { return u32(f.typ) }))
	}
	if len(a.tables) > 0 {
		add(sectionTable, vec(a.tables, func(t asmTable) []byte { return append([]byte{byte(t.elem)}, extent(t.extent)...) }))
	}
	if a.memory != nil {
		add(sectionMemory, append([]byte{1}, extent(*a.memory)...))
	}
	if len(a.globals) > 0 {
		add(sectionGlobal, vec(a.globals, func(g asmGlobal) []byte {
			return seq([]byte{byte(g.typ), flag(g.mutable)}, g.init, []byte{opEnd})
		}))
	}
	if len(a.exports) > 0 {
		add(sectionExport, vec(a.exports, func(e Export) []byte {
			return appendU32(append(appendName(nil, e.Name), byte(e.Kind)), uint32(e.Index))
		}))
	}
	if a.start > 0 {
		add(sectionStart, u32(a.start))
	}
	if len(a.elems) > 0 {
		add(sectionElement, vec(a.elems, func(b []byte) []byte { return b }))
	}
	if a.counted {
		add(sectionDataCount, u32(len(a.datas)))
	}
	if len(a.funcs) > 0 {
		add(sectionCode, vec(a.funcs, func(f asmFunc) []byte {
			if f.raw != nil {
				return append(u32(len(f.raw)), f.raw...)
			}
			b := vec(f.locals, func(v ValueType) []byte { return []byte{1, byte(v)} })
			b = append(append(b, f.body...), opEnd)
			return append(u32(len(b)), b...)
		}))
	}
	if len(a.datas) > 0 {
		add(sectionData, vec(a.datas, func(b []byte) []byte { return b }))
	}
	for _, c := range a.custom {
		add(sectionCustom, append(appendName(nil, c.Name), c.Data...))
	}
	return out
}

func section(id byte, content []byte) []byte {
	return append(append([]byte{id}, u32(len(content))...), content...)
}

func vec[T any](list []T, each func(T) []byte) []byte {
	b := u32(len(list))
	for _, t := range list {
		b = append(b, each(t)...)
	}
	return b
}

func extent(e Extent) []byte {
	if e.HasMax {
		return appendU32(appendU32([]byte{1}, e.Min), e.Max)
	}
	return appendU32([]byte{0}, e.Min)
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func u32(v int) []byte { return appendU32(nil, uint32(v)) }

func seq(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func op(ops ...byte) []byte { return ops }

func withIndex(op byte, i int) []byte { return appendU32([]byte{op}, uint32(i)) }

func get(i int) []byte        { return withIndex(opLocalGet, i) }
func set(i int) []byte        { return withIndex(opLocalSet, i) }
func tee(i int) []byte        { return withIndex(opLocalTee, i) }
func globalGet(i int) []byte  { return withIndex(opGlobalGet, i) }
func globalSet(i int) []byte  { return withIndex(opGlobalSet, i) }
func call(f int) []byte       { return withIndex(opCall, f) }
func br(label int) []byte     { return withIndex(opBr, label) }
func brIf(label int) []byte   { return withIndex(opBrIf, label) }
func constI32(v int64) []byte { return appendS64([]byte{opI32Const}, v) }
func constI64(v int64) []byte { return appendS64([]byte{opI64Const}, v) }

func callIndirect(typ, table int) []byte {
	return appendU32(withIndex(opCallIndirect, typ), uint32(table))
}

func brTable(labels ...int) []byte {
	b := appendU32([]byte{opBrTable}, uint32(len(labels)-1))
	for _, l := range labels {
		b = appendU32(b, uint32(l))
	}
	return b
}

// mem is a load or store with an offset.
func mem(op byte, offset int) []byte { return appendU32([]byte{op, 0}, uint32(offset)) }

func miscOp(sub uint32, immediates ...byte) []byte {
	return append(appendU32([]byte{prefixMisc}, sub), immediates...)
}

// void is the block type without parameters and results.
var void = []byte{noResult}

func block(typ []byte, body ...[]byte) []byte { return wrap(opBlock, typ, body) }
func loop(typ []byte, body ...[]byte) []byte  { return wrap(opLoop, typ, body) }
func when(typ []byte, body ...[]byte) []byte  { return wrap(opIf, typ, body) }

func wrap(op byte, typ []byte, body [][]byte) []byte {
	return seq([]byte{op}, typ, seq(body...), []byte{opEnd})
}

// Opcodes that only tests name.
const (
	i32Load    = 0x28
	i32Load8U  = 0x2d
	f64Load    = 0x2b
	i32Store   = 0x36
	i32Store8  = 0x3a
	f64Store   = 0x39
	i32Eqz     = 0x45
	i32Eq      = 0x46
	i32LtS     = 0x48
	i32LtU     = 0x49
	i32GtS     = 0x4a
	i32GtU     = 0x4b
	i32LeU     = 0x4d
	i32GeU     = 0x4f
	i32Add     = 0x6a
	i32Sub     = 0x6b
	i32Mul     = 0x6c
	i32DivU    = 0x6e
	i32RemU    = 0x70
	i32And     = 0x71
	i32Or      = 0x72
	i32Xor     = 0x73
	i32Shl     = 0x74
	i32ShrU    = 0x76
	i32Rotl    = 0x77
	i64Add     = 0x7c
	f64Add     = 0xa0
	f64Mul     = 0xa2
	f64Convert = 0xb7
	i32Wrap    = 0xa7
	opDrop     = 0x1a
	opNop      = 0x01
)
