package meter

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
)

// everything is a module with something in each section but start.
func everything() *asm {
	a := &asm{
		types:   []FuncType{{types(I32), types(F64)}},
		imports: []Import{{Module: "env", Name: "log", Kind: KindFunction}},
		typ:     []int{0},
		memory:  &Extent{Min: 1, Max: 2, HasMax: true},
		tables:  []asmTable{{FuncRef, Extent{Min: 3}}, {ExternRef, Extent{Min: 0, Max: 9, HasMax: true}}},
		globals: []asmGlobal{{I32, true, constI32(-5)}, {FuncRef, false, withIndex(opRefFunc, 2)}},
		counted: true,
		datas: [][]byte{
			seq(u32(0), constI32(8), op(opEnd), appendName(nil, "abc")),
			seq(u32(1), appendName(nil, "passive")),
			seq(u32(2), u32(0), constI32(99), op(opEnd), appendName(nil, "xyz")),
		},
	}
	first := a.fn(nil, types(I32), nil, call(2), constI32(7))
	second := a.fn(nil, nil, nil, op(opUnreachable))
	ref := func(f int) []byte { return seq(withIndex(opRefFunc, f), op(opEnd)) }
	null := op(opRefNull, byte(FuncRef), opEnd)
	a.elems = [][]byte{
		seq(u32(0), constI32(0), op(opEnd), u32(1), u32(first)),
		seq(u32(1), u32(0), u32(1), u32(second)),
		seq(u32(2), u32(0), constI32(1), op(opEnd), u32(0), u32(1), u32(0)),
		seq(u32(3), u32(0), u32(1), u32(first)),
		seq(u32(4), constI32(2), op(opEnd), u32(1), ref(second)),
		seq(u32(5), op(byte(FuncRef)), u32(2), null, ref(first)),
		seq(u32(6), u32(0), constI32(0), op(opEnd), op(byte(FuncRef)), u32(1), ref(first)),
		seq(u32(7), op(byte(FuncRef)), u32(1), ref(second)),
	}
	a.export("first", KindFunction, first)
	a.export("second", KindFunction, second)
	a.export("memory", KindMemory, 0)
	a.export("table", KindTable, 1)
	a.export("global", KindGlobal, 0)
	functions := seq(u32(3), u32(0), appendName(nil, "log"), u32(1), appendName(nil, "outer"), u32(2), appendName(nil, "inner"))
	locals := seq(u32(1), u32(1), u32(0))
	a.custom = []Custom{
		{Name: "protoo.manifest", Data: []byte(`{}`)},
		{Name: "name", Data: seq(section(0, appendName(nil, "mod")), section(1, functions), section(2, locals), section(9, []byte("?")))},
		{Name: ".debug_line", Data: []byte("lines")},
		{Name: "protoo.manifest", Data: []byte(`{"last":1}`)},
	}
	return a
}

func TestInfo(t *testing.T) {
	module := everything().bytes()
	info := mustMeter(t, module).Info
	if !slices.Equal(info.Memories, []Extent{{1, 2, true}}) || !slices.Equal(info.Tables, []Extent{{Min: 3}, {0, 9, true}}) {
		t.Errorf("memories %v, tables %v", info.Memories, info.Tables)
	}
	if info.Functions != 2 || info.Globals != 2 || info.Start != -1 || info.DataBytes != 13 || info.CodeBytes != 11 {
		t.Errorf("functions %d, globals %d, start %d, data bytes %d, code bytes %d",
			info.Functions, info.Globals, info.Start, info.DataBytes, info.CodeBytes)
	}
	log := Import{Module: "env", Name: "log", Kind: KindFunction, Type: FuncType{types(I32), types(F64)}}
	if got := info.Import("env", "log"); len(info.Imports) != 1 || got == nil || !reflect.DeepEqual(*got, log) {
		t.Errorf("import %v, want %v", got, log)
	}
	first := Export{Name: "first", Kind: KindFunction, Index: 1, Type: FuncType{Results: types(I32)}}
	if got := info.Export("first"); len(info.Exports) != 5 || got == nil || !reflect.DeepEqual(*got, first) {
		t.Errorf("export %v, want %v", got, first)
	}
	got := info.Section("protoo.manifest")
	if got == nil || string(got.Data) != `{"last":1}` || len(module)-got.Offset != 2+1+len(got.Name)+len(got.Data) {
		t.Errorf("section %v, want the last one", got)
	}
	if info.Import("env", "") != nil || info.Export("") != nil || info.Section("") != nil {
		t.Error("found what there is not")
	}
}

// TestNames shows that a trap's stack has the names of the original functions.
func TestNames(t *testing.T) {
	r := newRuntime(t, wazero.NewRuntimeConfig())
	_, err := r.NewHostModuleBuilder("env").NewFunctionBuilder().
		WithFunc(func(uint32) float64 { return 0 }).Export("log").Instantiate(background)
	if err != nil {
		t.Fatal(err)
	}
	m := mustMeter(t, everything().bytes())
	g := newGuest(t, r, m.Code)
	_, _, err = g.run(Budget{Total: 1000}, "first")
	if err == nil || !strings.Contains(err.Error(), "mod.inner()") || !strings.Contains(err.Error(), "mod.outer()") {
		t.Errorf("got %v, want a stack with inner and outer", err)
	}
	if bytes.Contains(m.Code, []byte(".debug")) || bytes.Contains(m.Code, []byte("manifest")) {
		t.Error("other custom sections than names are left")
	}
}

// TestInstructions compares the set of instructions with the engine's: each
// opcode, in code that nothing reaches, where there are operands of any type.
func TestInstructions(t *testing.T) {
	r := newRuntime(t, wazero.NewRuntimeConfigInterpreter())
	zeros := make([]byte, 20)
	lengths := map[immediate]int{
		none: 0, local: 1, global: 1, table: 1, memarg: 2, lane: 1, memargLane: 3, bytes16: 16, i32: 1, i64: 1, bytes4: 4, bytes8: 8,
	}
	tried := 0
	try := func(o opcode, instruction []byte) {
		if o.imm == special {
			return // in other tests
		}
		tried++
		a := simple(op(opUnreachable), instruction, zeros[:lengths[o.imm]], op(opUnreachable))
		a.funcs[0].locals = types(I32)
		a.tables = []asmTable{{FuncRef, Extent{Min: 1}}}
		a.globals = []asmGlobal{{I32, true, constI32(0)}}
		module := a.bytes()
		m, err := Meter(module, Options{})
		if o.imm == unknown {
			if !errors.Is(err, ErrUnsupported) {
				t.Errorf("% x: got %v, want %v", instruction, err, ErrUnsupported)
			}
			return
		}
		if err != nil {
			t.Errorf("% x: %v", instruction, err)
			return
		}
		for _, code := range [][]byte{module, m.Code} {
			if _, err := r.CompileModule(background, code); err != nil {
				t.Errorf("% x: %v", instruction, err)
			}
		}
	}
	for i, o := range plain {
		try(o, op(byte(i)))
	}
	for i, o := range misc {
		try(o, miscOp(uint32(i)))
	}
	for i, o := range vector {
		try(o, appendU32([]byte{prefixVector}, uint32(i)))
	}
	if tried < 450 {
		t.Errorf("only %d instructions", tried)
	}
}

// TestImportedGlobals shows that they count in the index space.
func TestImportedGlobals(t *testing.T) {
	a := simple(globalGet(0), globalGet(1), op(i32Add), globalSet(1))
	a.imports = []Import{{Module: "env", Name: "g", Kind: KindGlobal, Value: I32}}
	a.globals = []asmGlobal{{I32, true, globalGet(0)}}
	a.export("sum", KindGlobal, 1)
	m, err := Meter(a.bytes(), Options{ImportedGlobals: true})
	if err != nil {
		t.Fatal(err)
	}
	r := newRuntime(t, wazero.NewRuntimeConfig())
	env := &asm{globals: []asmGlobal{{I32, false, constI32(21)}}}
	env.export("g", KindGlobal, 0)
	if _, err := r.InstantiateWithConfig(background, env.bytes(), wazero.NewModuleConfig().WithName("env")); err != nil {
		t.Fatal(err)
	}
	g := newGuest(t, r, m.Code)
	_, used, err := g.run(Budget{Total: 1000}, "run")
	if sum := g.ExportedGlobal("sum").Get(); err != nil || sum != 42 || used != costEntry+4 {
		t.Errorf("sum %d, used %d, %v; want 42 and %d", sum, used, err, costEntry+4)
	}
}

// TestPaddedNumbers accepts what linkers write: numbers padded to five bytes.
func TestPaddedNumbers(t *testing.T) {
	padded := func(v byte) []byte { return []byte{v | 0x80, 0x80, 0x80, 0x80, 0x00} }
	a := simple(op(opCall), padded(1), loop(void, op(opCall), padded(1)))
	a.fn(nil, nil, nil, op(opI32Const), padded(3), op(opDrop))
	a.elems = [][]byte{seq(u32(1), u32(0), u32(1), padded(1))}
	r := newRuntime(t, wazero.NewRuntimeConfig())
	g := newGuest(t, r, mustMeter(t, a.bytes()).Code)
	const want = 3*costEntry + costCaller + 2*costCall + costPlain + 2*2
	if _, used, err := g.run(Budget{Total: 1000}, "run"); err != nil || used != want {
		t.Errorf("used %d, %v; want %d", used, err, want)
	}
}

func TestError(t *testing.T) {
	tests := []struct {
		module []byte
		want   string
	}{
		{nil, "not a module at offset 0x0 in the header, expected the magic number of WebAssembly and version 1"},
		{[]byte("\x00asm\x01\x00\x00\x00\x01\x02\x01\x50"), "type of the form 0x50 at offset 0xb in the type section, expected 0x60, a function type"},
		{simple(op(0xff)).bytes(), "unknown opcode 0xff at offset 0x25 in function 0, expected an instruction of WebAssembly 2.0"},
	}
	for _, tt := range tests {
		if _, err := Meter(tt.module, Options{}); fmt.Sprint(err) != tt.want {
			t.Errorf("got %v, want %q", err, tt.want)
		}
	}
}
