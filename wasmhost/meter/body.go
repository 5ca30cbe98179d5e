package meter

// What a region may cost that is charged where the condition is on which it
// depends, whether it runs or not. That is cheaper than a charge of its own,
// and bounds what is charged too much.
const (
	absorbed     = 8
	absorbedLoop = 64 // the rest of a loop after the test at its head
	absorbedLeaf = 64 // all of a function that has no check
)

// leafBytes is the most that the body of a leaf has.
const leafBytes = 256

// A leaf is a function that always costs the same and is never checked. cost is 0 for others.
type leaf struct {
	copy uint32 // index of a copy that does not charge
	cost int64
}

// A region is code that runs as often as its beginning, apart from traps. Its
// cost is charged there, in one.
type region struct {
	cost   int64
	leaves int64 // what the leaves cost that it calls
	parent int32 // runs whenever this one does, at most as often; -1 if unknown
	check  check // whether running out of fuel is noticed here
	back   bool  // whether a branch in it goes to the head of a loop
}

// check says how it is checked that there is fuel left.
type check byte

const (
	unchecked check = iota
	checked
	checkedLoop // by what is around the loop
)

// bytesPerTarget bounds the branch targets of a module by its size. An engine takes some microseconds for each, as for this much
// other code. Programs in Go have one for 46 bytes.
const bytesPerTarget = 16

// joinsPerByte bounds likewise what [Limits].Joins counts. Programs in Go have 50 to 200 for a byte.
const joinsPerByte = 500

// dead is the region of code that nothing reaches.
const dead int32 = -1

// A frame is a block whose end has not been read.
type frame struct {
	op       byte   // opBlock, opLoop, opIf, opElse; opCall for the function
	region   int32  // in which the block begins and, if no branch leaves it, goes on after it
	reach    int32  // the outermost frame that a branch in the block goes to
	targeted bool   // by a branch
	then     bool   // in opElse: whether the first arm reached its end
	calls    bool   // whether there are calls in it
	wrapped  bool   // whether it is a loop that gets more frames
	wraps    uint32 // frames of that kind that are open, with this one
	loop     uint32 // which of body.loops it is
	ways     int    // by which its end is reached, or the head of a loop, but for the plain one
	before   int    // branches that were before it
}

// A cycle is a loop that something reaches.
type cycle struct {
	head  int32 // region
	body  int   // where its instructions begin
	calls bool  // whether there are calls in it
}

// What is done at a site.
type siteKind byte

const (
	siteEnter      siteKind = iota // charge for region arg, with which the function begins
	siteCharge                     // charge for region arg
	siteFunction                   // replace the function index by arg
	siteBulk                       // charge for the number on the stack, shifted right by arg
	siteGrowBefore                 // keep the number on the stack
	siteGrowAfter                  // charge for it, shifted left by arg, if growing succeeded
	siteReload                     // the fuel may have changed
	siteLoop                       // loop arg begins
	siteLoopBody                   // its code begins
	siteLoopEnd                    // it ends
	siteLabel                      // replace the label by arg
)

// A site is a place where a body changes.
type site struct {
	at   int // offset in the module
	kind siteKind
	arg  uint32
}

// A body takes the body of one function apart. It is used again for the next
// one, to spare allocations.
type body struct {
	*parser
	locals  int    // parameters included
	groups  span   // of the declarations of locals
	nGroups uint32 // of them
	start   int    // of the instructions
	current int32  // region
	nested  int    // loops that are open
	calls   bool   // whether there are any
	targets int    // of its br_tables
	taken   int    // branches, with those of if
	frames  []frame
	regions []region
	loops   []cycle
	sites   []site
}

// read finds regions and sites in the body of function f.
func (b *body) read(f int) {
	at := b.bodies[f]
	b.pos, b.end = at.start, at.end
	b.section, b.function = "code", b.imported.funcs+f
	b.frames, b.regions, b.sites = b.frames[:0], b.regions[:0], b.sites[:0]

	b.declarations(len(b.info.Types[b.funcs[b.imported.funcs+f]].Params))
	b.start = b.pos
	b.loops, b.nested, b.targets, b.taken = b.loops[:0], 0, 0, 0
	b.region(dead, checked)
	b.site(siteEnter, b.pos, uint32(b.current))
	b.charge(costEntry + costLocal*int64(b.locals))
	b.frames = append(b.frames, frame{op: opCall, region: b.current, reach: 0})
	for len(b.frames) > 0 {
		b.instruction()
	}
	if b.more() {
		b.malformed(b.pos, "the end of the function", "%d bytes too many", b.end-b.pos)
	}
	if b.calls {
		b.regions[0].cost += costCaller
	}
	b.absorb()
	for i := range b.regions {
		b.regions[i].cost += b.regions[i].leaves
	}
}

// constant returns what a leaf costs, 0 if the function is none.
func (b *body) constant() int64 {
	if b.regions[0].check != unchecked {
		return 0
	}
	for _, r := range b.regions[1:] {
		if r.cost > 0 {
			return 0
		}
	}
	for _, s := range b.sites {
		switch s.kind {
		case siteBulk, siteGrowBefore:
			return 0
		}
	}
	return b.regions[0].cost
}

func (b *body) declarations(params int) {
	at := b.pos
	b.nGroups = uint32(b.count("declarations of locals", b.limits.Locals))
	b.groups.start = b.pos
	total := uint64(params)
	for range b.nGroups {
		total += uint64(b.u32())
		b.valueType()
		b.limit(at, "locals", total, uint64(b.limits.Locals))
	}
	b.groups.end = b.pos
	b.locals = int(total)
}

// absorb lets regions pay for what may follow them, if it is little. Children
// come after their parents, so they have absorbed theirs before.
func (b *body) absorb() {
	for i := len(b.regions) - 1; i > 0; i-- {
		r := &b.regions[i]
		if r.parent == dead {
			continue
		}
		parent, limit := &b.regions[r.parent], int64(absorbed)
		if r.back && parent.check != unchecked {
			limit = absorbedLoop
		}
		if r.cost <= limit {
			parent.cost += r.cost
			r.cost = 0
		}
	}
	if len(b.loops) > 0 || b.calls {
		return
	}
	var sum int64
	for _, r := range b.regions {
		sum += r.cost
	}
	if sum <= absorbedLeaf {
		b.regions[0].check = unchecked
	}
}

// begin makes a region current that begins here.
func (b *body) begin(parent int32, c check) {
	b.region(parent, c)
	b.site(siteCharge, b.pos, uint32(b.current))
}

// region makes a region current.
func (b *body) region(parent int32, c check) {
	b.current = int32(len(b.regions))
	b.regions = append(b.regions, region{parent: parent, check: c})
}

func (b *body) site(k siteKind, at int, arg uint32) {
	b.sites = append(b.sites, site{at, k, arg})
}

func (b *body) charge(cost int64) {
	if b.current != dead {
		b.regions[b.current].cost += cost
	}
}

func (b *body) instruction() {
	at := b.pos
	op := b.byte()
	o := plain[op]
	b.charge(int64(o.cost))
	switch o.imm {
	case special:
		b.special(at, op)
	case unknown:
		b.fail(ErrUnsupported, at, "an instruction of WebAssembly 2.0", "unknown opcode 0x%02x", op)
	default:
		b.immediate(o.imm)
		b.volatile = b.volatile || op == opTableSet
	}
}

func (b *body) immediate(imm immediate) {
	at := b.pos
	switch imm {
	case local:
		b.index(at, "local", b.u32(), b.locals)
	case global:
		b.index(at, "global", b.u32(), b.nGlobals)
	case table:
		b.index(at, "table", b.u32(), len(b.tableOf))
	case memarg, memargLane:
		if align := b.u32(); align > 4 {
			b.malformed(at, "at most 2^4", "alignment 2^%d", align)
		}
		b.u32()
		if imm == memargLane {
			b.byte()
		}
	case lane:
		b.byte()
	case bytes16:
		b.bytes(16)
	case i32:
		b.signed(32)
	case i64:
		b.signed(64)
	case bytes4:
		b.bytes(4)
	case bytes8:
		b.bytes(8)
	}
}

func (b *body) special(at int, op byte) {
	switch op {
	case opUnreachable:
		b.current = dead
	case opBlock, opLoop, opIf:
		b.open(at, op)
	case opElse:
		b.otherwise(at)
	case opEnd:
		b.close()
	case opBr:
		b.branch()
		b.current = dead
	case opBrIf:
		b.branchIf()
	case opBrTable:
		n := b.count("branch targets", b.limits.BranchTargets)
		b.targets += n
		b.allTargets += n
		b.limit(at, "branch targets in a function", uint64(b.targets), uint64(b.limits.BranchTargets))
		b.limit(at, "branch targets in all functions", uint64(b.allTargets), uint64(b.limits.BranchTargets+len(b.reader.data)/bytesPerTarget))
		for range n + 1 {
			b.branch()
		}
		b.current = dead
	case opReturn:
		b.target(0)
		b.current = dead
	case opCall, opRefFunc:
		at := b.pos
		f := b.u32()
		b.index(at, "function", f, len(b.funcs))
		to := f + 1
		if op == opCall && b.leaves != nil && b.leaves[f].cost > 0 {
			to = b.leaves[f].copy
			if b.current != dead {
				b.regions[b.current].leaves += b.leaves[f].cost
			}
		}
		if int(f) >= b.imported.funcs {
			b.site(siteFunction, at, to)
		}
		if op == opCall {
			b.frames[len(b.frames)-1].calls = true
			b.site(siteReload, b.pos, 0)
		}
	case opCallIndirect:
		b.index(b.pos, "type", b.u32(), len(b.info.Types))
		b.index(b.pos, "table", b.u32(), len(b.tableOf))
		b.frames[len(b.frames)-1].calls = true
		b.site(siteReload, b.pos, 0)
	case opSelectTyped:
		at := b.pos
		if n := b.count("types", 1); n != 1 {
			b.malformed(at, "1", "%d types", n)
		}
		b.valueType()
	case opMemorySize:
		b.zero()
	case opMemoryGrow:
		b.site(siteGrowBefore, at, 0)
		b.zero()
		b.site(siteGrowAfter, b.pos, pageUnits)
	case opRefNull:
		b.refType()
	case prefixMisc:
		b.misc(at)
	case prefixVector:
		sub := b.u32()
		if sub >= uint32(len(vector)) || vector[sub].imm == unknown {
			b.fail(ErrUnsupported, at, "a vector instruction of WebAssembly 2.0", "unknown opcode 0xfd 0x%02x", sub)
		}
		b.charge(int64(vector[sub].cost))
		b.immediate(vector[sub].imm)
	}
}

func (b *body) misc(at int) {
	sub := b.u32()
	if sub >= uint32(len(misc)) {
		b.fail(ErrUnsupported, at, "an instruction of WebAssembly 2.0", "unknown opcode 0xfc 0x%02x", sub)
	}
	b.charge(int64(misc[sub].cost))
	switch sub {
	case miscDataDrop, miscTableInit, miscElemDrop, miscTableCopy, miscTableGrow, miscTableFill:
		b.volatile = true
	}
	switch sub {
	case miscMemoryInit, miscDataDrop:
		b.index(b.pos, "data segment", b.u32(), max(b.declared, 0))
		if sub == miscMemoryInit {
			b.zero()
			b.site(siteBulk, at, bytesPerUnitShift)
		}
	case miscMemoryCopy:
		b.zero()
		b.zero()
		b.site(siteBulk, at, bytesPerUnitShift)
	case miscMemoryFill:
		b.zero()
		b.site(siteBulk, at, bytesPerUnitShift)
	case miscTableInit:
		b.index(b.pos, "element segment", b.u32(), b.nElem)
		b.immediate(table)
		b.site(siteBulk, at, elementsUnitShift)
	case miscElemDrop:
		b.index(b.pos, "element segment", b.u32(), b.nElem)
	case miscTableCopy:
		b.immediate(table)
		b.immediate(table)
		b.site(siteBulk, at, elementsUnitShift)
	case miscTableGrow:
		b.immediate(table)
		b.site(siteBulk, at, elementsUnitShift)
	case miscTableSize:
		b.immediate(table)
	case miscTableFill:
		b.immediate(table)
		b.site(siteBulk, at, elementsUnitShift)
	}
}

// open begins a block, §5.4.1.
func (b *body) open(start int, op byte) {
	at := b.pos
	b.limit(at, "nested blocks", uint64(len(b.frames)), uint64(b.limits.Depth))
	wrapped := op == opLoop && b.current != dead
	switch t := b.signed(33); t {
	case -1, -2, -3, -4, -5, -16, -17, -64: // value types and none, as signed numbers
	default:
		if t < 0 {
			b.fail(ErrUnsupported, at, "a block type", "block type %d", t)
		}
		b.index(at, "type", uint32(t), len(b.info.Types))
		if len(b.info.Types[t].Params) > 0 {
			wrapped = false // going back would need the parameters
		}
	}
	if op == opLoop {
		b.nested++
		b.limit(at, "nested loops", uint64(b.nested), uint64(b.limits.Loops))
	}
	parent := b.current
	f := frame{op: op, region: parent, reach: int32(len(b.frames)), wrapped: wrapped, wraps: b.frames[len(b.frames)-1].wraps, loop: uint32(len(b.loops))}
	if wrapped {
		f.wraps++
	}
	f.before = b.taken
	if op == opIf {
		f.ways++
		b.taken++
	}
	b.frames = append(b.frames, f)
	if parent == dead {
		return
	}
	switch op {
	case opLoop:
		n := uint32(len(b.loops))
		if wrapped {
			b.region(dead, checkedLoop)
			b.site(siteLoop, start, n)
			b.site(siteLoopBody, b.pos, n)
		} else {
			b.begin(dead, checked)
		}
		b.loops = append(b.loops, cycle{head: b.current, body: b.pos})
		b.charge(costPlain)
	case opIf:
		b.begin(parent, unchecked)
	}
}

func (b *body) otherwise(at int) {
	f := &b.frames[len(b.frames)-1]
	if f.op != opIf {
		b.malformed(at, "an if", "else without an if")
	}
	f.op, f.then = opElse, b.current != dead
	b.current = f.region
	if f.region != dead {
		b.begin(f.region, unchecked)
	}
}

// close ends a block and finds out to which region the code after it belongs.
func (b *body) close() {
	depth := len(b.frames) - 1
	f := b.frames[depth]
	b.frames = b.frames[:depth]
	b.joins += uint64(f.ways) * uint64(b.taken-f.before) * uint64(b.locals)
	b.limit(b.pos, "ways that locals come by, in all functions", b.joins, uint64(b.limits.Joins)+joinsPerByte*uint64(len(b.reader.data)))
	if depth == 0 {
		b.limit(b.pos, "branches times locals in a function", uint64(b.taken)*uint64(b.locals), uint64(b.limits.BranchLocals))
		b.calls = f.calls
		return
	}
	outer := &b.frames[depth-1]
	outer.calls = outer.calls || f.calls
	if f.op == opLoop {
		b.nested--
	}
	if f.wrapped {
		b.loops[f.loop].calls = f.calls
		b.site(siteLoopEnd, b.pos-1, f.loop)
	}
	escapes := f.reach < int32(depth)
	outer.reach = min(outer.reach, f.reach)
	joined := f.op != opLoop && f.targeted || f.op == opIf || f.then
	switch {
	case f.region == dead || b.current == dead && !joined:
		b.current = dead
	case !escapes:
		b.current = f.region
	case joined || f.op == opElse:
		b.begin(dead, unchecked)
	}
	// Otherwise there is one way to here, and it goes on.
}

// branch reads a label, §5.4.1.
func (b *body) branch() (to int) {
	at := b.pos
	label := b.u32()
	b.index(at, "label", label, len(b.frames))
	to = len(b.frames) - 1 - int(label)
	if n := b.frames[len(b.frames)-1].wraps - b.frames[to].wraps; n > 0 {
		b.site(siteLabel, at, label+3*n)
	}
	b.target(to)
	return to
}

func (b *body) target(to int) {
	if b.current == dead {
		return
	}
	b.frames[to].targeted = true
	b.frames[to].ways++
	b.taken++
	if b.frames[to].op == opLoop {
		b.regions[b.current].back = true
	}
	from := &b.frames[len(b.frames)-1]
	from.reach = min(from.reach, int32(to))
}

func (b *body) branchIf() {
	to := b.branch()
	if b.current == dead {
		return
	}
	// What follows the branch back to a loop's head runs once for many
	// iterations, which must not pay for it.
	parent := b.current
	if b.frames[to].op == opLoop {
		parent = dead
	}
	b.begin(parent, unchecked)
}
