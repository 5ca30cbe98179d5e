package meter

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
)

// simple is a module with one function, run, without parameters.
func simple(body ...[]byte) *asm {
	a := &asm{memory: &Extent{Min: 1}}
	a.export("run", KindFunction, a.fn(nil, nil, nil, body...))
	return a
}

// TestRefused has one module for each way to get around the metering, or to
// make loading expensive.
// meeting adds a function with n locals that reads them after code, which takes an engine a look along every way through it for each.
func meeting(a *asm, n int, code []byte) {
	for i := range n {
		code = seq(code, get(i), op(opDrop))
	}
	a.fn(types(I32), nil, slices.Repeat(types(I32), n), code)
}

func TestRefused(t *testing.T) {
	header := "\x00asm\x01\x00\x00\x00"
	with := func(change func(a *asm)) []byte {
		a := simple()
		change(a)
		return a.bytes()
	}
	raw := func(id byte, content ...byte) []byte { return append([]byte(header), section(id, content)...) }
	nest := func(op byte, n int) []byte {
		return simple(bytes.Repeat([]byte{op, noResult}, n), bytes.Repeat([]byte{opEnd}, n)).bytes()
	}
	long := []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x00}
	billions := []byte{0xff, 0xff, 0xff, 0xff, 0x0f}
	tests := []struct {
		name   string
		module []byte
		err    error
		want   string
	}{
		// What the rewriting adds cannot be named before it is there.
		{"refuel by the index of the global to come", simple(constI64(1<<40), globalSet(0)).bytes(), ErrMalformed, "global 0 does not exist"},
		{"read the global to come", with(func(a *asm) { a.globals = []asmGlobal{{I64, false, globalGet(0)}} }), ErrMalformed, "global 0 does not exist"},
		{"export the global to come", with(func(a *asm) { a.export("x", KindGlobal, 0) }), ErrMalformed, "global 0 does not exist"},
		{"call the function to come", simple(call(1)).bytes(), ErrMalformed, "function 1 does not exist"},
		{"refer to the function to come", simple(withIndex(opRefFunc, 1), op(opDrop)).bytes(), ErrMalformed, "function 1 does not exist"},
		{"the function to come in a table", with(func(a *asm) {
			a.tables = []asmTable{{FuncRef, Extent{Min: 1}}}
			a.elems = [][]byte{seq(u32(0), constI32(0), op(opEnd), u32(1), u32(1))}
		}), ErrMalformed, "function 1 does not exist"},
		{"export the function to come", with(func(a *asm) { a.export("x", KindFunction, 1) }), ErrMalformed, "function 1 does not exist"},
		{"start with the function to come", with(func(a *asm) { a.start = 1 }), ErrMalformed, "function 1 does not exist"},
		{"the type to come", simple(block([]byte{1})).bytes(), ErrMalformed, "type 1 does not exist"},
		{"call with the type to come", with(func(a *asm) {
			a.tables = []asmTable{{FuncRef, Extent{Min: 1}}}
			a.funcs[0].body = seq(constI64(0), constI32(0), callIndirect(1, 0))
		}), ErrMalformed, "type 1 does not exist"},
		{"the local to come", simple(loop(void), get(0), op(opDrop)).bytes(), ErrMalformed, "local 0 does not exist"},
		{"export of the fuel's name", with(func(a *asm) { a.export(FuelGlobal, KindMemory, 0) }), ErrReserved, `export "protoo:fuel"`},
		{"import of yield", with(func(a *asm) {
			a.imports, a.typ = []Import{{Module: YieldModule, Name: YieldFunction}}, []int{0}
		}), ErrReserved, `import from module "protoo:meter"`},
		{"imported global", with(func(a *asm) {
			a.imports = []Import{{Module: "m", Name: "g", Kind: KindGlobal, Value: I64, Mutable: true}}
		}), ErrUnsupported, `imported global "m"."g"`},

		// What would cost a lot of memory or time.
		{"huge memory", with(func(a *asm) { a.memory = &Extent{Min: 65536} }), ErrLimit, "65536 pages of memory"},
		{"memory beyond 4 GiB", with(func(a *asm) { a.memory = &Extent{Min: 1, Max: 65537, HasMax: true} }), ErrMalformed, "65537 pages"},
		{"huge imported memory", with(func(a *asm) {
			a.memory = nil
			a.imports = []Import{{Module: "m", Name: "m", Kind: KindMemory, Extent: Extent{Min: 65536}}}
		}), ErrLimit, "65536 pages of memory"},
		{"two memories", raw(sectionMemory, 2, 0, 1, 0, 1), ErrLimit, "2 memories"},
		{"an imported memory and another", with(func(a *asm) {
			a.imports = []Import{{Module: "m", Name: "m", Kind: KindMemory, Extent: Extent{Min: 1}}}
		}), ErrUnsupported, "several memories"},
		{"huge table", with(func(a *asm) { a.tables = []asmTable{{FuncRef, Extent{Min: 1 << 31}}} }), ErrLimit, "2147483648 elements in tables"},
		{"tables that are huge together", with(func(a *asm) {
			for range 11 {
				a.tables = append(a.tables, asmTable{FuncRef, Extent{Min: 10_000}})
			}
		}), ErrLimit, "110000 elements in tables"},
		{"many tables", with(func(a *asm) { a.tables = make([]asmTable, 17) }), ErrLimit, "17 tables"},
		{"data segment of gigabytes", raw(sectionData, append([]byte{1, 1}, billions...)...), ErrMalformed, "4294967295 bytes"},
		{"billions of data segments", raw(sectionData, billions...), ErrLimit, "4294967295 data segments"},
		{"billions of declared data segments", raw(sectionDataCount, billions...), ErrLimit, "4294967295 data segments"},
		{"billions of types", raw(sectionType, billions...), ErrLimit, "4294967295 types"},
		{"types that are not there", raw(sectionType, 0x80, 0x10), ErrMalformed, "2048 types"},
		{"100,000 parameters", raw(sectionType, 1, 0x60, 0xa0, 0x8d, 0x06), ErrLimit, "100000 parameters"},
		{"billions of elements", with(func(a *asm) { a.elems = [][]byte{seq(u32(1), u32(0), billions)} }), ErrLimit, "4294967295 elements"},
		{"billions of names", with(func(a *asm) {
			a.custom = []Custom{{Name: "name", Data: section(1, billions)}}
		}), ErrLimit, "4294967295 names"},
		{"billions of functions with locals' names", with(func(a *asm) {
			a.custom = []Custom{{Name: "name", Data: section(2, billions)}}
		}), ErrLimit, "4294967295 functions"},
		{"two name sections", with(func(a *asm) { a.custom = []Custom{{Name: "name"}, {Name: "name"}} }), ErrMalformed, "second name section"},
		{"names in disorder", with(func(a *asm) {
			a.custom = []Custom{{Name: "name", Data: section(1, []byte{2, 1, 1, 'a', 0, 1, 'b'})}}
		}), ErrMalformed, "name of index 0"},
		{"100,000 locals", with(func(a *asm) { rawLocals(a, 100_000) }), ErrLimit, "100000 locals"},
		{"2^33 locals", with(func(a *asm) { rawLocals(a, 1<<32-1, 1<<32-1) }), ErrLimit, "4294967295 locals"},
		{"many small groups of locals", with(func(a *asm) { rawLocals(a, bigGroups(3)...) }), ErrLimit, "6000 locals"},
		{"br_table bomb", simple(constI32(0), brTable(make([]int, 20_000)...)).bytes(), ErrLimit, "19999 branch targets"},
		{"br_tables that are a bomb together", simple(bytes.Repeat(block(void, constI32(0), brTable(make([]int, 1001)...)), 20)).bytes(),
			ErrLimit, "11000 branch targets in a function"},
		{"functions with br_tables that are a bomb together", with(func(a *asm) {
			for range 20 {
				a.fn(nil, nil, nil, constI32(0), brTable(make([]int, 10_001)...))
			}
		}), ErrLimit, "30000 branch targets in all functions"},
		{"ways that meet", with(func(a *asm) { meeting(a, 200, block(void, bytes.Repeat(seq(get(0), brIf(0)), 4000))) }), ErrLimit, "ways that locals come by"},
		{"ways that meet one by one", with(func(a *asm) {
			code := []byte(nil)
			for range 1000 {
				code = seq(code, get(0), wrap(opIf, void, [][]byte{get(0), brIf(1)}))
			}
			meeting(a, 1000, block(void, code))
		}), ErrLimit, "ways that locals come by"},
		{"ways that meet again and again", with(func(a *asm) {
			meeting(a, 1000, bytes.Repeat(seq(get(0), wrap(opIf, void, nil)), 1000))
		}), ErrLimit, "branches times locals in a function"},
		{"functions in which ways meet", with(func(a *asm) {
			for range 12 {
				meeting(a, 100, block(void, bytes.Repeat(seq(get(0), brIf(0)), 1000)))
			}
		}), ErrLimit, "ways that locals come by"},
		{"br_table without its targets", simple(constI32(0), op(opBrTable), billions).bytes(), ErrLimit, "4294967295 branch targets"},
		{"deeply nested blocks", nest(opBlock, 6000), ErrLimit, "5001 nested blocks"},
		{"deeply nested loops", nest(opLoop, 600), ErrLimit, "101 nested loops"},
		{"huge function", simple(bytes.Repeat([]byte{opNop}, 1<<20)).bytes(), ErrLimit, "bytes in a function"},
		{"too large", make([]byte, 16<<20+1), ErrLimit, "16777217 bytes"},
		{"custom sections that are too large", with(func(a *asm) { a.custom = []Custom{{Name: "x", Data: make([]byte, 8<<20)}} }), ErrLimit, "bytes in custom sections"},

		// What is not WebAssembly 2.0.
		{"shared memory", raw(sectionMemory, 1, 3, 1, 1), ErrUnsupported, "flags 0x03"},
		{"memory64", raw(sectionMemory, 1, 4, 1), ErrUnsupported, "flags 0x04"},
		{"unknown opcode", simple(op(0x06)).bytes(), ErrUnsupported, "unknown opcode 0x06"},
		{"tail call", simple(op(0x12, 0)).bytes(), ErrUnsupported, "unknown opcode 0x12"},
		{"atomics", simple(op(0xfe, 0, 2, 0)).bytes(), ErrUnsupported, "unknown opcode 0xfe"},
		{"garbage collection", simple(op(0xfb, 0, 0)).bytes(), ErrUnsupported, "unknown opcode 0xfb"},
		{"unknown misc", simple(miscOp(18)).bytes(), ErrUnsupported, "unknown opcode 0xfc 0x12"},
		{"unknown vector", simple(op(prefixVector, 0x9a, 0x01)).bytes(), ErrUnsupported, "unknown opcode 0xfd 0x9a"},
		{"relaxed vector", simple(op(prefixVector, 0x80, 0x02)).bytes(), ErrUnsupported, "unknown opcode 0xfd 0x100"},
		{"exception tags", raw(13, 0), ErrUnsupported, "unknown section 13"},
		{"computed constant", with(func(a *asm) {
			a.globals = []asmGlobal{{I32, false, seq(constI32(1), constI32(1), op(i32Add))}}
		}), ErrUnsupported, "opcode 0x41"},
		{"component", []byte("\x00asm\x0d\x00\x01\x00"), ErrMalformed, "not a module"},

		// What is not a module.
		{"other file", []byte("\x7fELF"), ErrMalformed, "not a module"},
		{"overlong number", append([]byte(header), append([]byte{sectionType}, long...)...), ErrMalformed, "too long or too large"},
		{"number of 33 bits", append([]byte(header), sectionType, 0x80, 0x80, 0x80, 0x80, 0x10), ErrMalformed, "too long or too large"},
		{"overlong i32", simple(op(opI32Const), long, op(opDrop)).bytes(), ErrMalformed, "too long or too large"},
		{"i32 of 33 bits", simple(op(opI32Const, 0x80, 0x80, 0x80, 0x80, 0x08), op(opDrop)).bytes(), ErrMalformed, "too long or too large"},
		{"i64 of 65 bits", simple(op(opI64Const, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01), op(opDrop)).bytes(), ErrMalformed, "too long or too large"},
		{"sections in disorder", append(raw(sectionImport, 0), section(sectionType, []byte{0})...), ErrMalformed, "misplaced type section"},
		{"section twice", append(raw(sectionType, 0), section(sectionType, []byte{0})...), ErrMalformed, "misplaced type section"},
		{"section that is too long", append([]byte(header), sectionType, 100, 0), ErrMalformed, "type section of 100 bytes"},
		{"section with more than its content", raw(sectionType, 0, 0), ErrMalformed, "1 bytes too many"},
		{"function without body", append(raw(sectionType, 1, 0x60, 0, 0), section(sectionFunction, []byte{1, 0})...), ErrMalformed, "1 functions have 0 bodies"},
		{"more bodies than functions", append(raw(sectionFunction, 0), section(sectionCode, []byte{1, 2, 0, opEnd})...), ErrMalformed, "1 function bodies"},
		{"code after the end", simple(op(opEnd)).bytes(), ErrMalformed, "1 bytes too many"},
		{"code without an end", simple(op(opBlock, noResult)).bytes(), ErrMalformed, "unexpected end"},
		{"else without if", simple(op(opElse)).bytes(), ErrMalformed, "else without an if"},
		{"label that does not exist", simple(br(1)).bytes(), ErrMalformed, "label 1 does not exist"},
		{"data without their number", simple(constI32(0), constI32(0), constI32(0), miscOp(miscMemoryInit, 0, 0)).bytes(), ErrMalformed, "data segment 0 does not exist"},
		{"other data than counted", append(raw(sectionDataCount, 1), section(sectionData, []byte{0})...), ErrMalformed, "0 data segments where 1"},
		{"name that is not UTF-8", with(func(a *asm) { a.export("\xff", KindFunction, 0) }), ErrMalformed, "invalid name"},
		{"export twice", with(func(a *asm) { a.export("run", KindMemory, 0) }), ErrMalformed, `second export "run"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := Meter(tt.module, Options{})
			var refused *Error
			if m != nil || !errors.As(err, &refused) || !errors.Is(err, tt.err) || !strings.Contains(refused.What, tt.want) {
				t.Errorf("got %v, want %v with %q", err, tt.err, tt.want)
			}
		})
	}
}

// rawLocals gives function 0 groups of so many locals, without writing each.
func rawLocals(a *asm, groups ...uint32) {
	b := u32(len(groups))
	for _, n := range groups {
		b = append(appendU32(b, n), byte(I32))
	}
	a.funcs[0].raw = append(b, opEnd)
}

func bigGroups(n int) []uint32 {
	groups := make([]uint32, n)
	for i := range groups {
		groups[i] = 2000
	}
	return groups
}

// TestRunaways stops what would not end, wherever its time goes.
func TestRunaways(t *testing.T) {
	tree := &asm{}
	tree.export("run", KindFunction, tree.fn(nil, nil, nil, constI32(30), call(1)))
	tree.fn(types(I32), nil, nil,
		get(0), when(void,
			get(0), constI32(1), op(i32Sub), call(1),
			get(0), constI32(1), op(i32Sub), call(1)))
	indirect := simple(constI32(0), callIndirect(0, 0))
	indirect.tables = []asmTable{{FuncRef, Extent{Min: 1}}}
	indirect.elems = [][]byte{seq(u32(0), constI32(0), op(opEnd), u32(1), u32(0))}
	fill := simple(loop(void, constI32(0), op(opRefNull, byte(FuncRef)), constI32(1000), miscOp(miscTableFill, 0), br(0)))
	fill.tables = []asmTable{{FuncRef, Extent{Min: 1000}}}
	leafLoop := simple(loop(void, call(1), br(0)))
	leafLoop.fn(nil, nil, nil)
	leafTable := simple(loop(void, constI32(0), callIndirect(0, 0), br(0)))
	leafTable.tables = []asmTable{{FuncRef, Extent{Min: 1}}}
	leafTable.elems = [][]byte{seq(u32(0), constI32(0), op(opEnd), u32(1), u32(leafTable.fn(nil, nil, nil)))}
	grow := simple(loop(void, op(opRefNull, byte(FuncRef)), constI32(1000), miscOp(miscTableGrow, 0), op(opDrop), br(0)))
	grow.tables = []asmTable{{FuncRef, Extent{Min: 1}}}
	params := &asm{types: []FuncType{{types(I32), types(I32)}}}
	params.export("run", KindFunction, params.fn(nil, nil, nil, constI32(0), loop([]byte{0}, br(0)), op(opDrop)))

	tests := []struct {
		name string
		mod  *asm
	}{
		{"empty loop", simple(loop(void, br(0)))},
		{"loop with parameters", params},
		{"conditional loop", simple(loop(void, constI32(1), brIf(0)))},
		{"br_table loop", simple(loop(void, constI32(7), brTable(0, 0)))},
		{"loop out of which nothing leads", simple(loop(void, block(void, br(1))), op(opUnreachable))},
		{"nested loops", simple(loop(void, loop(void, loop(void, constI32(0), brIf(0)), constI32(0), brIf(0)), br(0)))},
		{"2^30 calls", tree},
		{"recursion", simple(call(0))},
		{"recursion through a table", indirect},
		{"loop that calls a leaf", leafLoop},
		{"leaf through a table", leafTable},
		{"loop out of an inner one", simple(loop(void, loop(void, loop(void, br(2)))))},
		{"inner loop out of a block", simple(loop(void, block(void, loop(void, constI32(1), brIf(1), br(0)), op(opUnreachable)), br(0)))},
		{"memory.fill", simple(loop(void, constI32(0), constI32(1), constI32(65536), miscOp(miscMemoryFill, 0), br(0)))},
		{"memory.copy", simple(loop(void, constI32(0), constI32(1), constI32(65535), miscOp(miscMemoryCopy, 0, 0), br(0)))},
		{"table.fill", fill},
		{"table.grow", grow},
		{"memory.grow", simple(loop(void, constI32(1), op(opMemoryGrow, 0, opDrop), br(0)))},
		{"memory.grow that fails", simple(loop(void, constI32(-1), op(opMemoryGrow, 0, opDrop), br(0)))},
	}
	for _, e := range engines(t) {
		for _, tt := range tests {
			t.Run(e.name+"/"+tt.name, func(t *testing.T) {
				const total = 1_000_000
				g := newGuest(t, e, mustMeter(t, tt.mod.bytes()).Code)
				_, used, err := g.run(Budget{Total: total}, "run")
				if e.name == "interpreter" && strings.HasPrefix(tt.name, "recursion") {
					// It ends recursion itself, long before the fuel does.
					if err == nil || !strings.Contains(err.Error(), "stack overflow") {
						t.Errorf("got %v, want a stack overflow", err)
					}
					return
				}
				if !errors.Is(err, errOutOfFuel) || used < total || used > total+1<<15 {
					t.Errorf("used %d, %v; want a little more than %d and %v", used, err, total, errOutOfFuel)
				}
			})
		}
	}
}

// TestStartFunction shows that a start function is metered, too.
func TestStartFunction(t *testing.T) {
	a := simple()
	a.start = a.fn(nil, nil, nil, loop(void, br(0)))
	r := newRuntime(t, wazero.NewRuntimeConfig())
	m := mustMeter(t, a.bytes())
	if m.Info.Start != a.start {
		t.Errorf("start function %d, want %d", m.Info.Start, a.start)
	}
	b := &Budget{Total: 100_000}
	b.Start()
	_, err := r.InstantiateWithConfig(withBudget(b), m.Code, wazero.NewModuleConfig().WithStartFunctions())
	if !errors.Is(err, errOutOfFuel) {
		t.Errorf("got %v, want %v", err, errOutOfFuel)
	}
}

// TestYieldOutOfReach looks for the function that refuels among the exports of a
// module that exports all its functions.
func TestYieldOutOfReach(t *testing.T) {
	a := randomModule(3, false)
	for i := range a.funcs {
		a.export(strconv.Itoa(i), KindFunction, i)
	}
	r := newRuntime(t, wazero.NewRuntimeConfig())
	c, err := r.CompileModule(background, mustMeter(t, a.bytes()).Code)
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range c.ExportedFunctions() {
		if module, _, imported := f.Import(); imported {
			t.Errorf("export %q is a function of module %q", name, module)
		}
	}
	if imports := c.ImportedFunctions(); len(imports) != 1 || imports[0].Index() != 0 || len(c.ExportedFunctions()) != len(a.funcs)+1 {
		t.Errorf("%d imports and %d exports, want 1 and %d", len(imports), len(c.ExportedFunctions()), len(a.funcs)+1)
	}
}
