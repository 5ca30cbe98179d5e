package meter

// Opcodes that are treated in a special way, §5.4.
const (
	opUnreachable  byte = 0x00
	opBlock        byte = 0x02
	opLoop         byte = 0x03
	opIf           byte = 0x04
	opElse         byte = 0x05
	opEnd          byte = 0x0b
	opBr           byte = 0x0c
	opBrIf         byte = 0x0d
	opBrTable      byte = 0x0e
	opReturn       byte = 0x0f
	opCall         byte = 0x10
	opCallIndirect byte = 0x11
	opSelectTyped  byte = 0x1c
	opLocalGet     byte = 0x20
	opLocalSet     byte = 0x21
	opLocalTee     byte = 0x22
	opGlobalGet    byte = 0x23
	opGlobalSet    byte = 0x24
	opTableGet     byte = 0x25
	opTableSet     byte = 0x26
	opMemorySize   byte = 0x3f
	opMemoryGrow   byte = 0x40
	opI32Const     byte = 0x41
	opI64Const     byte = 0x42
	opF32Const     byte = 0x43
	opF64Const     byte = 0x44
	opI32Eq        byte = 0x46
	opI32Ne        byte = 0x47
	opI64LtS       byte = 0x53
	opI64Add       byte = 0x7c
	opI64GeS       byte = 0x59
	opI64Sub       byte = 0x7d
	opI64Shl       byte = 0x86
	opI64ShrU      byte = 0x88
	opI64ExtendU   byte = 0xad
	opRefNull      byte = 0xd0
	opRefFunc      byte = 0xd2
	prefixMisc     byte = 0xfc
	prefixVector   byte = 0xfd

	noResult = 0x40 // a block type
)

// Opcodes after prefixMisc.
const (
	miscMemoryInit uint32 = iota + 8
	miscDataDrop
	miscMemoryCopy
	miscMemoryFill
	miscTableInit
	miscElemDrop
	miscTableCopy
	miscTableGrow
	miscTableSize
	miscTableFill
)

// vecConst is v128.const after prefixVector.
const vecConst uint32 = 12

// immediate is what follows an opcode.
type immediate byte

const (
	unknown immediate = iota
	none
	special // read by the code that knows the opcode
	local
	global
	table
	memarg // alignment and offset
	lane
	memargLane
	bytes16
	i32
	i64
	bytes4
	bytes8
)

// opcode describes an instruction: what follows it, and what it costs.
type opcode struct {
	imm  immediate
	cost uint8
}

// What instructions cost, in units. One unit is about the time of an addition.
const (
	costPlain    = 1
	costDivide   = 8  // integer division, and what the processor does in many steps
	costCall     = 4  // besides the callee's entry
	costIndirect = 8  // a call through a table, with its checks
	costEntry    = 16 // of a function
	costCaller   = 48 // of one that calls: many frames of it can be on the stack, which this bounds
	costLocal    = 2  // of a function's entry, for each parameter and local
	costBulk     = 16 // an operation on many bytes or elements, without them
	costGrow     = 128

	bytesPerUnitShift = 3  // of bulk operations on memories: 8 bytes a unit
	elementsUnitShift = 0  // of those on tables: one element a unit
	pageUnits         = 13 // memory.grow: 2^13 units for a page, 8 bytes a unit
)

// The instructions by opcode: alone, after prefixMisc, after prefixVector.
var plain, misc, vector = instructions()

func instructions() (plain [256]opcode, misc [18]opcode, vector [256]opcode) {
	set := func(table []opcode, from, to int, imm immediate, cost uint8) {
		for i := from; i <= to; i++ {
			table[i] = opcode{imm, cost}
		}
	}
	// Structure is free: it is no instruction of any processor.
	set(plain[:], 0x00, 0x00, special, 0) // unreachable
	set(plain[:], 0x01, 0x01, none, 0)    // nop
	set(plain[:], 0x02, 0x03, special, 0)
	set(plain[:], 0x04, 0x04, special, costPlain) // if
	set(plain[:], 0x05, 0x05, special, 0)
	set(plain[:], 0x0b, 0x0b, special, 0)
	set(plain[:], 0x0c, 0x0f, special, costPlain) // br, br_if, br_table, return
	set(plain[:], 0x10, 0x10, special, costCall)
	set(plain[:], 0x11, 0x11, special, costIndirect)
	set(plain[:], 0x1a, 0x1b, none, costPlain) // drop, select
	set(plain[:], 0x1c, 0x1c, special, costPlain)
	set(plain[:], 0x20, 0x22, local, costPlain)
	set(plain[:], 0x23, 0x24, global, costPlain)
	set(plain[:], 0x25, 0x26, table, costPlain)
	set(plain[:], 0x28, 0x3e, memarg, costPlain) // loads and stores
	set(plain[:], 0x3f, 0x3f, special, costPlain)
	set(plain[:], 0x40, 0x40, special, costGrow)
	plain[opI32Const] = opcode{i32, costPlain}
	plain[opI64Const] = opcode{i64, costPlain}
	plain[opF32Const] = opcode{bytes4, costPlain}
	plain[opF64Const] = opcode{bytes8, costPlain}
	set(plain[:], 0x45, 0xc4, none, costPlain)  // numbers
	set(plain[:], 0x6d, 0x70, none, costDivide) // i32.div, rem
	set(plain[:], 0x7f, 0x82, none, costDivide) // i64.div, rem
	for _, op := range []int{0x91, 0x95, 0x9f, 0xa3} {
		plain[op].cost = costDivide // square roots, division of floats
	}
	set(plain[:], 0xd0, 0xd0, special, costPlain)
	set(plain[:], 0xd1, 0xd1, none, costPlain) // ref.is_null
	set(plain[:], 0xd2, 0xd2, special, costPlain)
	set(plain[:], int(prefixMisc), int(prefixVector), special, 0)

	set(misc[:], 0, 7, none, costPlain) // saturating conversions
	set(misc[:], 8, 17, special, costBulk)
	misc[miscTableSize].cost = costPlain

	set(vector[:], 0, 255, none, costPlain)
	set(vector[:], 0, 11, memarg, costPlain)
	set(vector[:], 12, 13, bytes16, costPlain) // v128.const, shuffle
	set(vector[:], 21, 34, lane, costPlain)
	set(vector[:], 0x54, 0x5b, memargLane, costPlain)
	set(vector[:], 0x5c, 0x5d, memarg, costPlain)
	for _, gap := range []int{
		0x9a, 0xa2, 0xa5, 0xa6, 0xaf, 0xb0, 0xb2, 0xb3, 0xb4, 0xbb,
		0xc2, 0xc5, 0xc6, 0xcf, 0xd0, 0xd2, 0xd3, 0xd4, 0xe2, 0xee,
	} {
		vector[gap] = opcode{}
	}
	return plain, misc, vector
}
