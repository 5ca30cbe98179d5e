package meter

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/tetratelabs/wazero/api"
)

// snapshot is an instance's state.
type snapshot struct {
	memory  []byte
	globals []uint64
}

func (s *State) globals(g guest) []api.MutableGlobal {
	all := make([]api.MutableGlobal, len(s.Globals))
	for i, name := range s.Globals {
		all[i] = g.ExportedGlobal(name).(api.MutableGlobal)
	}
	return all
}

func (s *State) take(g guest) snapshot {
	data, _ := g.ExportedMemory("memory").Read(0, g.ExportedMemory("memory").Size())
	all := snapshot{memory: bytes.Clone(data)}
	for _, global := range s.globals(g) {
		all.globals = append(all.globals, global.Get())
	}
	return all
}

// put brings an instance back, and fails if its memory has grown.
func (s *State) put(g guest, to snapshot) bool {
	data, _ := g.ExportedMemory("memory").Read(0, g.ExportedMemory("memory").Size())
	if len(data) != len(to.memory) {
		return false
	}
	copy(data, to.memory)
	for i, global := range s.globals(g) {
		global.Set(to.globals[i])
	}
	return true
}

// TestState runs random programs, brings their instances back, and runs them again: they do what new ones do.
func TestState(t *testing.T) {
	back, trapped, grown := 0, 0, 0
	all := engines(t)
	for seed := range uint64(50) {
		module := (&random{Rand: rand.New(rand.NewPCG(seed, 2)), steady: true}).module()
		m, err := Meter(module.bytes(), Options{State: true})
		if err != nil {
			t.Fatal(err)
		}
		if m.State == nil {
			t.Fatalf("seed %d: there is no state", seed)
		}
		for _, e := range all {
			used, fresh := newGuest(t, e, m.Code), newGuest(t, e, m.Code)
			began := m.State.take(used)
			for round := range uint64(3) {
				args := []uint64{seed + round, seed * 0x9e3779b97f4a7c15}
				_, _, err := used.run(Budget{Total: 1 << 50}, "run", args...)
				if err != nil {
					trapped++
				}
				if !m.State.put(used, began) {
					grown++
					break
				}
				back++
				fresh.Close(background)
				fresh = newGuest(t, e, m.Code)
				args[0] += 7
				results, fuel, err := used.run(Budget{Total: 1 << 50}, "run", args...)
				wantResults, wantFuel, wantErr := fresh.run(Budget{Total: 1 << 50}, "run", args...)
				got, want := observe(used, results, err), observe(fresh, wantResults, wantErr)
				if !got.equal(want) || fuel != wantFuel {
					t.Fatalf("seed %d, %s: got %v %q for %d, a new instance %v %q for %d",
						seed, e.name, got.results, got.trap, fuel, want.results, want.trap, wantFuel)
				}
				if !m.State.put(used, began) {
					break
				}
			}
			used.Close(background)
			fresh.Close(background)
		}
	}
	t.Logf("%d times brought back, %d after a trap; %d memories had grown", back, trapped, grown)
	if back < 100 || trapped < 20 || grown == 0 {
		t.Errorf("%d times brought back, %d after a trap; %d memories had grown, want a good number of each", back, trapped, grown)
	}
}

// What can change in an instance and cannot be set from outside.
func TestNoState(t *testing.T) {
	table := func(body ...[]byte) *asm {
		a := &asm{memory: &Extent{Min: 1}, counted: true, tables: []asmTable{{FuncRef, Extent{Min: 1}}}}
		a.fn(nil, nil, nil, body...)
		a.datas = [][]byte{seq(u32(1), appendName(nil, "passive"))}
		a.elems = [][]byte{seq(u32(1), u32(0), u32(1), u32(0))}
		return a
	}
	null := op(opRefNull, byte(FuncRef))
	zero := constI32(0)
	global := func(all ...asmGlobal) *asm {
		a := simple()
		a.globals = all
		return a
	}
	imported := func(m Import) *asm {
		a := simple()
		a.imports = []Import{m}
		return a
	}
	many := make([]asmGlobal, stateGlobals+1)
	for i := range many {
		many[i] = asmGlobal{I32, true, zero}
	}
	for _, tt := range []struct {
		name   string
		module *asm
		want   bool
	}{
		{"numbers", global(asmGlobal{I32, true, zero}, asmGlobal{F64, false, op(opF64Const, 0, 0, 0, 0, 0, 0, 0, 0)}, asmGlobal{I64, true, constI64(1)}), true},
		{"as many globals as can be", global(many[1:]...), true},
		{"table.get, table.size", table(zero, op(opTableGet, 0), op(opDrop), miscOp(miscTableSize, 0), op(opDrop)), true},
		{"memory.init", table(zero, zero, zero, miscOp(miscMemoryInit, 0, 0)), true},
		{"too many globals", global(many...), false},
		{"reference", global(asmGlobal{FuncRef, true, null}), false},
		{"table.set", table(zero, null, op(opTableSet, 0)), false},
		{"table.grow", table(null, zero, miscOp(miscTableGrow, 0), op(opDrop)), false},
		{"table.fill", table(zero, null, zero, miscOp(miscTableFill, 0)), false},
		{"table.copy", table(zero, zero, zero, miscOp(miscTableCopy, 0, 0)), false},
		{"table.init", table(zero, zero, zero, miscOp(miscTableInit, 0, 0)), false},
		{"elem.drop", table(miscOp(miscElemDrop, 0)), false},
		{"data.drop", table(miscOp(miscDataDrop, 0)), false},
		{"imported global", imported(Import{Module: "m", Name: "g", Kind: KindGlobal, Value: I32, Mutable: true}), false},
		{"imported constant", imported(Import{Module: "m", Name: "g", Kind: KindGlobal, Value: I32}), true},
	} {
		m, err := Meter(tt.module.bytes(), Options{State: true, ImportedGlobals: true})
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if got := m.State != nil; got != tt.want {
			t.Errorf("%s: has a state %v, want %v", tt.name, got, tt.want)
		}
	}
}

// Without the option no more is exported than before.
func TestStateIsAsked(t *testing.T) {
	module := randomModule(1, false).bytes()
	m := mustMeter(t, module)
	if m.State != nil {
		t.Error("there is a state that nobody has asked for")
	}
	if bytes.Contains(m.Code, []byte(StatePrefix)) {
		t.Error("globals are exported that nobody has asked for")
	}
}
