package meter

// kernel is a program of the kind that guests run. Its function "run" takes a
// size and returns a checksum.
type kernel struct {
	name string
	n    uint64 // a size that takes about a millisecond
	mod  *asm
}

// count is a loop that counts local i from 0 until it is local n.
func count(i, n int, body ...[]byte) []byte {
	return seq(constI32(0), set(i), block(void, loop(void,
		get(i), get(n), op(i32GeU), brIf(1),
		seq(body...),
		get(i), constI32(1), op(i32Add), set(i), br(0))))
}

func kernels() []kernel {
	return []kernel{
		{"sieve", 100_000, sieve()},
		{"mix", 2_000, mix()},
		{"sort", 5_000, quicksort()},
		{"fib", 22, fib()},
		{"copy", 20_000, byteCopy()},
		{"bulk", 3_000, bulkCopy()},
		{"scan", 300_000, scan()},
		{"matrix", 90, matrix()},
		{"dispatch", 60_000, dispatch()},
		{"calls", 100_000, calls()},
	}
}

// program is a module with a memory and the function run, in which local 0
// is the size and others are i32.
func program(locals int, body ...[]byte) *asm {
	a := &asm{memory: &Extent{Min: 16}}
	a.export("run", KindFunction, a.fn(types(I32), types(I32), i32s(locals), body...))
	return a
}

func i32s(n int) []ValueType {
	all := make([]ValueType, n)
	for i := range all {
		all[i] = I32
	}
	return all
}

// sieve counts primes below n.
func sieve() *asm {
	const n, i, j, found = 0, 1, 2, 3
	return program(3,
		count(i, n, get(i), constI32(0), mem(i32Store8, 0)),
		count(i, n,
			get(i), constI32(2), op(i32GeU), get(i), mem(i32Load8U, 0), op(i32Eqz, i32And),
			when(void,
				get(found), constI32(1), op(i32Add), set(found),
				get(i), constI32(1), op(i32Shl), set(j),
				block(void, loop(void,
					get(j), get(n), op(i32GeU), brIf(1),
					get(j), constI32(1), mem(i32Store8, 0),
					get(j), get(i), op(i32Add), set(j), br(0))))),
		get(found))
}

// mix does n rounds of what hash functions do to 16 words in memory.
func mix() *asm {
	const n, i, a, b, c, d = 0, 1, 2, 3, 4, 5
	var round []byte
	for w := range 16 {
		round = seq(round,
			get(a), get(b), op(i32Add), constI32(0), mem(i32Load, 4*w), op(i32Add), constI32(7), op(i32Rotl), set(a),
			get(d), get(a), op(i32Xor), constI32(16), op(i32Rotl), set(d),
			get(c), get(d), op(i32Add), set(c),
			get(b), get(c), op(i32Xor), constI32(12), op(i32Rotl), set(b),
			constI32(0), get(b), mem(i32Store, 4*w))
	}
	return program(5, constI32(0x61707865), set(a), constI32(0x3320646e), set(b), count(i, n, round),
		get(a), get(b), op(i32Xor), get(c), op(i32Xor), get(d), op(i32Xor))
}

// quicksort sorts n pseudo-random words, recursively.
func quicksort() *asm {
	a := &asm{memory: &Extent{Min: 16}}
	const lo, hi, i, j, pivot, t = 0, 1, 2, 3, 4, 5
	word := func(index int) []byte { return seq(get(index), constI32(2), op(i32Shl)) }
	step := func(index int, by int64) []byte { return seq(get(index), constI32(by), op(i32Add), set(index)) }
	sort := 0
	a.fn(types(I32, I32), nil, i32s(4),
		get(lo), get(hi), op(0x4e), when(void, op(opReturn)), // i32.ge_s
		get(lo), set(i), get(hi), set(j),
		get(lo), get(hi), op(i32Add), constI32(1), op(i32ShrU), constI32(2), op(i32Shl), mem(i32Load, 0), set(pivot),
		loop(void,
			loop(void, word(i), mem(i32Load, 0), get(pivot), op(i32LtU), when(void, step(i, 1), br(1))),
			loop(void, word(j), mem(i32Load, 0), get(pivot), op(i32GtU), when(void, step(j, -1), br(1))),
			get(i), get(j), op(0x4c), // i32.le_s
			when(void,
				word(i), mem(i32Load, 0), set(t),
				word(i), word(j), mem(i32Load, 0), mem(i32Store, 0),
				word(j), get(t), mem(i32Store, 0),
				step(i, 1), step(j, -1), br(1))),
		get(lo), get(j), call(sort), get(i), get(hi), call(sort))
	const n, k, x = 0, 1, 2
	run := a.fn(types(I32), types(I32), i32s(2),
		constI32(12345), set(x),
		count(k, n,
			get(x), constI32(1103515245), op(i32Mul), constI32(12345), op(i32Add), tee(x), op(opDrop),
			word(k), get(x), mem(i32Store, 0)),
		constI32(0), get(n), constI32(1), op(i32Sub), call(sort),
		constI32(0), set(x),
		count(k, n, get(x), constI32(5), op(i32Rotl), word(k), mem(i32Load, 0), op(i32Xor), set(x)),
		get(x))
	a.export("run", KindFunction, run)
	return a
}

// fib is all calls.
func fib() *asm {
	a := &asm{}
	a.export("run", KindFunction, a.fn(types(I32), types(I32), nil,
		get(0), constI32(2), op(i32LtU), when(void, get(0), op(opReturn)),
		get(0), constI32(1), op(i32Sub), call(0), get(0), constI32(2), op(i32Sub), call(0), op(i32Add)))
	return a
}

// byteCopy copies bytes one by one, the smallest loop that there is.
func byteCopy() *asm {
	const n, i, round, rounds = 0, 1, 2, 3
	return program(3, constI32(20), set(rounds),
		count(round, rounds, count(i, n, get(i), get(i), mem(i32Load8U, 0), mem(i32Store8, 100_000))),
		constI32(0), mem(i32Load, 100_000))
}

// bulkCopy copies with memory.copy.
func bulkCopy() *asm {
	const n, i = 0, 1
	return program(1,
		count(i, n, constI32(100_000), get(i), constI32(1000), miscOp(miscMemoryCopy, 0, 0)),
		constI32(0), mem(i32Load, 100_000))
}

// scan looks for the structure in text, as a JSON parser does, with br_table.
func scan() *asm {
	const n, i, c, depth, inside, sum = 0, 1, 2, 3, 4, 5
	a := program(5,
		count(i, n,
			get(i), constI32(63), op(i32And), mem(i32Load8U, 0), set(c),
			block(void,
				get(inside), when(void,
					get(c), constI32('"'), op(i32Eq), when(void, constI32(0), set(inside)),
					get(c), constI32('\\'), op(i32Eq), when(void, get(i), constI32(1), op(i32Add), set(i)),
					br(1)),
				get(c), constI32('"'), op(i32Eq), when(void, constI32(1), set(inside), br(1)),
				get(c), constI32('{'), op(i32Eq), when(void, get(depth), constI32(1), op(i32Add), set(depth), br(1)),
				get(c), constI32('}'), op(i32Eq), when(void, get(depth), constI32(1), op(i32Sub), set(depth), br(1)),
				block(void, block(void, block(void,
					get(c), constI32('0'), op(i32Sub), brTable(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 2)),
					// a colon
					get(sum), constI32(13), op(i32Rotl), set(sum), br(1)),
					// a digit
					get(sum), constI32(10), op(i32Mul), get(c), op(i32Add), set(sum)))),
		get(sum), get(depth), op(i32Xor))
	text := `{"method":"message","path":"/users/alice","id":42,"data":{"n":1}}`[:64]
	a.datas = [][]byte{seq(u32(0), constI32(0), op(opEnd), appendName(nil, text))}
	return a
}

// matrix multiplies matrices of n × n doubles.
func matrix() *asm {
	const n, i, j, k, x, y = 0, 1, 2, 3, 4, 5
	a := &asm{memory: &Extent{Min: 16}}
	const sum = 6
	at := func(row, column int) []byte {
		return seq(get(row), get(n), op(i32Mul), get(column), op(i32Add), constI32(3), op(i32Shl))
	}
	a.export("run", KindFunction, a.fn(types(I32), types(I32), types(I32, I32, I32, I32, I32, F64),
		count(i, n, count(j, n,
			at(i, j), get(i), get(j), op(i32Mul), op(f64Convert), mem(f64Store, 0),
			at(i, j), get(i), get(j), op(i32Add), op(f64Convert), mem(f64Store, 200_000))),
		count(i, n, count(j, n,
			op(opF64Const, 0, 0, 0, 0, 0, 0, 0, 0), set(sum),
			count(k, n,
				get(sum), at(i, k), mem(f64Load, 0), at(k, j), mem(f64Load, 200_000), op(f64Mul, f64Add), set(sum)),
			at(i, j), get(sum), mem(f64Store, 400_000))),
		constI32(8), mem(i32Load, 400_000)))
	return a
}

// dispatch is an interpreter of bytecode: a loop around a br_table, with state in
// memory.
func dispatch() *asm {
	const n, i, acc, pc = 0, 1, 2, 3
	arm := func(op byte) []byte {
		return seq(get(acc), get(pc), mem(i32Load, 1024), []byte{op}, set(acc))
	}
	a := program(3,
		count(i, n,
			get(pc), constI32(1), op(i32Add), constI32(255), op(i32And), set(pc),
			block(void, block(void, block(void, block(void, block(void,
				get(pc), mem(i32Load8U, 0), constI32(3), op(i32And), brTable(0, 1, 2, 3)),
				arm(i32Add), br(3)),
				arm(i32Xor), get(acc), constI32(3), op(i32Rotl), set(acc), br(2)),
				arm(i32Sub), br(1)),
				arm(i32Mul), constI32(0), get(acc), mem(i32Store, 2048))),
		get(acc))
	code := make([]byte, 2048)
	x := uint32(1)
	for i := range code {
		x = x*1664525 + 1013904223
		code[i] = byte(x >> 24)
	}
	a.datas = [][]byte{seq(u32(0), constI32(0), op(opEnd), appendName(nil, string(code)))}
	return a
}

// calls calls small functions, directly and through a table, in a loop.
func calls() *asm {
	a := &asm{memory: &Extent{Min: 1}, tables: []asmTable{{FuncRef, Extent{Min: 2}}}}
	add := a.fn(types(I32, I32), types(I32), nil, get(0), get(1), op(i32Add))
	xor := a.fn(types(I32, I32), types(I32), nil, get(0), get(1), op(i32Xor), constI32(1), op(i32Rotl))
	const n, i, x = 0, 1, 2
	a.export("run", KindFunction, a.fn(types(I32), types(I32), i32s(2),
		count(i, n,
			get(x), get(i), call(add), set(x),
			get(x), get(i), get(i), constI32(1), op(i32And), callIndirect(0, 0), set(x)),
		get(x)))
	a.elems = [][]byte{seq(u32(0), constI32(0), op(opEnd), u32(2), u32(add), u32(xor))}
	return a
}
