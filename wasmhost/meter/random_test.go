package meter

import (
	"math/rand/v2"
	"slices"
)

// A random writes random valid modules that always end: each loop and each call takes from an
// allowance and traps when there is none left.
type random struct {
	*rand.Rand
	asm     *asm
	counted bool // have the program count the cost of what it executes
	steady  bool // leave tables and segments as they are
	funcs   []FuncType
	locals  []ValueType // of the function that is written
	results []ValueType
	labels  [][]ValueType // what a branch to each takes, innermost last
	left    int           // statements that may still be written
}

// Globals of random modules.
const (
	allowance = iota
	counter   // only written when counted
	global32
	global64
)

// The number of iterations and calls that a random program may do.
const allowed = 1500

func randomModule(seed uint64, counted bool) *asm {
	return (&random{Rand: rand.New(rand.NewPCG(seed, 1)), counted: counted}).module()
}

func (g *random) module() *asm {
	g.asm = &asm{
		memory:  &Extent{Min: 1, Max: 3, HasMax: true},
		tables:  []asmTable{{FuncRef, Extent{Min: 8, Max: 40, HasMax: true}}},
		counted: true,
		globals: []asmGlobal{
			{I32, true, constI32(allowed)}, {I64, true, constI64(0)},
			{I32, true, constI32(5)}, {I64, true, constI64(-7)},
		},
	}
	for range 2 + g.IntN(3) {
		g.funcs = append(g.funcs, FuncType{g.valueTypes(3), g.valueTypes(2)})
	}
	g.funcs[0] = FuncType{types(I32, I64), types(I32, I64)}
	leaves := len(g.funcs)
	for range g.IntN(3) {
		g.funcs = append(g.funcs, FuncType{g.valueTypes(2), g.valueTypes(2)})
	}
	for i, f := range g.funcs {
		if i < leaves {
			g.function(f)
		} else {
			g.leaf(f)
		}
	}
	g.asm.datas = [][]byte{
		seq(u32(0), constI32(16), op(opEnd), appendName(nil, "active")),
		seq(u32(1), appendName(nil, "passive data")),
	}
	all := vec(g.funcs, func(FuncType) []byte { return u32(g.IntN(len(g.funcs))) })
	g.asm.elems = [][]byte{
		seq(u32(0), constI32(1), op(opEnd), all),
		seq(u32(1), u32(0), all),
		seq(u32(3), u32(0), u32(len(g.funcs))), // declares all, so that they may be referred to
	}
	for i := range g.funcs {
		g.asm.elems[2] = append(g.asm.elems[2], u32(i)...)
	}
	g.asm.export("run", KindFunction, 0)
	g.asm.export("memory", KindMemory, 0)
	g.asm.export("counter", KindGlobal, counter)
	g.asm.export("g32", KindGlobal, global32)
	g.asm.export("g64", KindGlobal, global64)
	return g.asm
}

func (g *random) valueTypes(most int) []ValueType {
	all := make([]ValueType, g.IntN(most+1))
	for i := range all {
		all[i] = g.valueType()
	}
	return all
}

func (g *random) valueType() ValueType {
	if g.IntN(3) == 0 {
		return I64
	}
	return I32
}

func (g *random) function(f FuncType) {
	own := append(types(I32, I64), g.valueTypes(4)...)
	g.locals = append(append([]ValueType{}, f.Params...), own...)
	g.results = f.Results
	g.labels = [][]ValueType{f.Results}
	g.left = 40 + g.IntN(60)
	body := seq(g.charge(costEntry+costLocal*len(g.locals)), g.take())
	for g.left > 0 {
		body = seq(body, g.statement())
	}
	g.asm.fn(f.Params, f.Results, own, body, g.pushAll(f.Results))
}

// leaf adds a function without loops and calls, which is usually so small that its callers pay for it. It may trap.
func (g *random) leaf(f FuncType) {
	own := types(I32, I64)
	g.locals = append(append([]ValueType{}, f.Params...), own...)
	body := g.charge(costEntry + costLocal*len(g.locals))
	if g.IntN(2) == 0 {
		body = seq(body, op(opBlock), void, g.push(I32, 1), g.ins(brIf(0)), g.push(I32, 1), g.ins(globalSet(global32)), op(opEnd))
	}
	g.asm.fn(f.Params, f.Results, own, body, g.pushAll(f.Results))
}

// charge counts a cost, when counting.
func (g *random) charge(cost int) []byte {
	if !g.counted || cost == 0 {
		return nil
	}
	return seq(globalGet(counter), constI64(int64(cost)), op(i64Add), globalSet(counter))
}

// ins is an instruction, with its cost counted.
func (g *random) ins(b []byte) []byte {
	cost := int(plain[b[0]].cost)
	if b[0] == prefixMisc {
		cost = int(misc[b[1]].cost)
	}
	return seq(g.charge(cost), b)
}

// take takes from the allowance.
func (g *random) take() []byte {
	return seq(
		g.ins(globalGet(allowance)), g.ins(op(i32Eqz)),
		g.ins(op(opIf)), void, op(opUnreachable, opEnd),
		g.ins(globalGet(allowance)), g.ins(constI32(1)), g.ins(op(i32Sub)), g.ins(globalSet(allowance)))
}

func (g *random) pushAll(list []ValueType) []byte {
	var b []byte
	for _, t := range list {
		b = seq(b, g.push(t, 2))
	}
	return b
}

// dropAll takes values from the stack, some of them into locals.
func (g *random) dropAll(list []ValueType) []byte {
	var b []byte
	for _, t := range slices.Backward(list) {
		if g.IntN(2) == 0 {
			b = seq(b, g.ins(op(opDrop)))
		} else {
			b = seq(b, g.ins(set(g.local(t))))
		}
	}
	return b
}

// local is the index of a local of this type.
func (g *random) local(t ValueType) int {
	for {
		if i := g.IntN(len(g.locals)); g.locals[i] == t {
			return i
		}
	}
}

// push pushes a value with an expression of this depth at most.
func (g *random) push(t ValueType, depth int) []byte {
	if depth == 0 {
		if g.IntN(2) == 0 {
			return g.ins(get(g.local(t)))
		}
		if t == I64 {
			return g.ins(constI64(g.Int64() >> g.IntN(64)))
		}
		return g.ins(constI32(int64(int32(g.Uint32()) >> g.IntN(32))))
	}
	depth--
	if t == I64 {
		switch g.IntN(5) {
		case 0:
			return seq(g.push(I32, depth), g.ins(op(opI64ExtendU)))
		case 1:
			return g.ins(globalGet(global64))
		case 2:
			return seq(g.push(I64, depth), g.ins(tee(g.local(I64))))
		default:
			ops := []byte{i64Add, opI64Sub, 0x7e, 0x83, 0x84, 0x85, opI64Shl, opI64ShrU, 0x7f, 0x80} // the last two trap
			return seq(g.push(I64, depth), g.push(I64, depth), g.ins(op(ops[g.IntN(len(ops))])))
		}
	}
	switch g.IntN(10) {
	case 0:
		return seq(g.push(I64, depth), g.ins(op(i32Wrap)))
	case 1:
		return g.ins(globalGet(global32))
	case 2:
		return seq(g.address(depth), g.ins(mem(i32Load, g.IntN(64))))
	case 3:
		return seq(g.push(I32, depth), g.push(I32, depth), g.push(I32, depth), g.ins(op(0x1b))) // select
	case 4:
		return g.ins(op(opMemorySize, 0))
	case 5:
		return seq(g.push(I32, depth), g.ins(op(i32Eqz)))
	case 6:
		return seq(g.push(I32, depth), g.ins(tee(g.local(I32))))
	default:
		ops := []byte{i32Add, i32Sub, i32Mul, i32And, i32Or, i32Xor, i32Shl, i32ShrU, i32Rotl, i32LtS, i32LtU, i32GtS, i32Eq, i32DivU, i32RemU}
		return seq(g.push(I32, depth), g.push(I32, depth), g.ins(op(ops[g.IntN(len(ops))])))
	}
}

// address pushes an address that is usually in memory.
func (g *random) address(depth int) []byte {
	if g.IntN(20) == 0 {
		return g.push(I32, depth)
	}
	return g.masked(depth, 0x7fff)
}

func (g *random) masked(depth int, mask int64) []byte {
	return seq(g.push(I32, depth), g.ins(constI32(mask)), g.ins(op(i32And)))
}

// blockType adds a type and returns its encoding.
func (g *random) blockType(params, results []ValueType) []byte {
	if len(params) == 0 && len(results) == 0 {
		return void
	}
	if len(params) == 0 && len(results) == 1 && g.IntN(2) == 0 {
		return []byte{byte(results[0])}
	}
	g.asm.types = append(g.asm.types, FuncType{params, results})
	return appendS64(nil, int64(len(g.asm.types)-1))
}

// inside writes the content of a block.
func (g *random) inside(label, params, results []ValueType) []byte {
	g.labels = append(g.labels, label)
	b := g.dropAll(params)
	for range g.IntN(4) {
		b = seq(b, g.statement())
	}
	b = seq(b, g.pushAll(results))
	g.labels = g.labels[:len(g.labels)-1]
	return b
}

// branch returns what a branch to a random label needs on the stack.
func (g *random) branch() (label int, values []byte) {
	label = g.IntN(len(g.labels))
	return label, g.pushAll(g.labels[len(g.labels)-1-label])
}

// statement leaves the stack as it was.
func (g *random) statement() []byte {
	g.left--
	kind := g.IntN(26)
	if g.left <= 0 || len(g.labels) > 8 {
		kind %= 5
	}
	switch kind {
	case 0, 1:
		t := g.valueType()
		return seq(g.push(t, 3), g.ins(set(g.local(t))))
	case 2:
		return seq(g.push(I32, 2), g.ins(globalSet(global32)))
	case 3:
		return seq(g.push(I64, 2), g.ins(globalSet(global64)))
	case 4:
		return seq(g.address(2), g.push(I32, 2), g.ins(mem(i32Store, g.IntN(64))))
	case 5, 6:
		params, results := g.valueTypes(2), g.valueTypes(2)
		b := seq(g.pushAll(params), op(opBlock), g.blockType(params, results), g.inside(results, params, results), op(opEnd))
		return seq(b, g.dropAll(results))
	case 7, 8, 9:
		params, results := g.valueTypes(g.IntN(2)), g.valueTypes(2)
		b := seq(g.pushAll(params), op(opLoop), g.blockType(params, results),
			g.charge(costPlain), g.take(), g.inside(params, params, results), op(opEnd))
		return seq(b, g.dropAll(results))
	case 10:
		return seq(g.push(I32, 2), g.ins(op(opIf)), void, g.inside(nil, nil, nil), op(opEnd))
	case 11, 12:
		results := g.valueTypes(2)
		b := seq(g.push(I32, 2), g.ins(op(opIf)), g.blockType(nil, results),
			g.inside(results, nil, results), op(opElse), g.inside(results, nil, results), op(opEnd))
		return seq(b, g.dropAll(results))
	case 13:
		label, values := g.branch()
		return seq(values, g.ins(br(label)))
	case 14, 15, 16:
		label, values := g.branch()
		types := g.labels[len(g.labels)-1-label]
		return seq(values, g.push(I32, 2), g.ins(brIf(label)), g.dropAll(types))
	case 17:
		return g.table()
	case 18:
		if g.IntN(3) > 0 {
			return op(opNop)
		}
		return seq(g.pushAll(g.results), g.ins(op(opReturn)))
	case 19, 20:
		f := g.IntN(len(g.funcs))
		return seq(g.pushAll(g.funcs[f].Params), g.ins(call(f)), g.dropAll(g.funcs[f].Results))
	case 21:
		f := g.IntN(len(g.funcs)) // its type has to be the one that the table has, or it traps
		g.asm.types = append(g.asm.types, g.funcs[f])
		return seq(g.pushAll(g.funcs[f].Params), g.masked(1, 7), g.ins(callIndirect(len(g.asm.types)-1, 0)), g.dropAll(g.funcs[f].Results))
	case 22:
		return seq(g.address(1), g.address(1), g.masked(1, 0xff), g.ins(miscOp(miscMemoryCopy, 0, 0)))
	case 23:
		return seq(g.address(1), g.push(I32, 1), g.masked(1, 0xff), g.ins(miscOp(miscMemoryFill, 0)))
	case 24:
		if g.IntN(4) == 0 && !g.steady {
			return g.ins(miscOp(miscDataDrop, 1))
		}
		return seq(g.address(1), g.masked(0, 3), g.masked(0, 3), g.ins(miscOp(miscMemoryInit, 1, 0)))
	default:
		return g.grow()
	}
}

// table is a br_table between labels of the same types.
func (g *random) table() []byte {
	label, values := g.branch()
	want := string(valueBytes(g.labels[len(g.labels)-1-label]))
	targets := []int{label}
	for range g.IntN(5) {
		if l := g.IntN(len(g.labels)); string(valueBytes(g.labels[len(g.labels)-1-l])) == want {
			targets = append(targets, l)
		}
	}
	return seq(values, g.masked(1, 7), g.ins(brTable(targets...)))
}

func valueBytes(list []ValueType) []byte {
	b := make([]byte, len(list))
	for i, t := range list {
		b[i] = byte(t)
	}
	return b
}

// grow is an operation on the size of the memory, or on the table.
func (g *random) grow() []byte {
	which := g.IntN(6)
	if g.steady {
		which %= 2
		which *= 5
	}
	switch which {
	case 0:
		return seq(g.masked(1, 1), g.ins(op(opMemoryGrow, 0)), g.ins(set(g.local(I32))))
	case 1:
		return seq(g.ins(op(opRefNull, byte(FuncRef))), g.masked(1, 7), g.ins(miscOp(miscTableGrow, 0)), g.ins(set(g.local(I32))))
	case 2:
		return seq(g.masked(0, 3), g.masked(0, 3), g.masked(0, 3), g.ins(miscOp(miscTableCopy, 0, 0)))
	case 3:
		return seq(g.masked(0, 7), g.masked(0, 1), g.masked(0, 1), g.ins(miscOp(miscTableInit, 1, 0)))
	case 4:
		return seq(g.masked(0, 7), g.ins(withIndex(opRefFunc, g.IntN(len(g.funcs)))), g.masked(0, 3), g.ins(miscOp(miscTableFill, 0)))
	default:
		return seq(g.ins(miscOp(miscTableSize, 0)), g.ins(set(g.local(I32))))
	}
}
