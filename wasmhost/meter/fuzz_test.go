package meter

import (
	"bytes"
	"errors"
	"testing"

	"github.com/tetratelabs/wazero"
)

// FuzzMeter looks for modules that make Meter panic, that are metered otherwise
// a second time, or that the engine accepts before but not after.
func FuzzMeter(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(randomModule(seed, false).bytes())
	}
	for _, k := range kernels() {
		f.Add(k.mod.bytes())
	}
	f.Add(everything().bytes())
	o := Options{ImportedGlobals: true, State: true, Limits: Limits{
		ModuleBytes: 1 << 16, Types: 200, Imports: 100, Functions: 100, Tables: 4, TableElements: 1000, MemoryPages: 16, Globals: 100,
		Exports: 100, Elements: 1000, DataSegments: 100, Locals: 100, Depth: 50, Loops: 10, BranchTargets: 100,
	}}
	r := newRuntime(f, wazero.NewRuntimeConfigInterpreter())
	f.Fuzz(func(t *testing.T, module []byte) {
		before := bytes.Clone(module)
		m, err := Meter(module, o)
		if !bytes.Equal(module, before) {
			t.Fatal("the module was changed")
		}
		if err != nil {
			var refused *Error
			if !errors.As(err, &refused) || refused.Err == nil || refused.Offset < 0 || refused.Offset > len(module) {
				t.Fatalf("%#v", err)
			}
			return
		}
		if again, err := Meter(module, o); err != nil || !bytes.Equal(again.Code, m.Code) {
			t.Fatalf("metered differently a second time, %v", err)
		}
		if _, err := Meter(m.Code, Options{ImportedGlobals: true}); !errors.Is(err, ErrReserved) {
			t.Fatalf("metering what is metered: %v", err)
		}
		original, err := r.CompileModule(background, module)
		if err != nil {
			return
		}
		defer original.Close(background)
		metered, err := r.CompileModule(background, m.Code)
		if err != nil {
			t.Fatalf("valid before and not after: %v", err)
		}
		defer metered.Close(background)
	})
}

// FuzzPrograms is TestRandomPrograms with more seeds.
func FuzzPrograms(f *testing.F) {
	f.Add(uint64(1))
	all := engines(f)
	f.Fuzz(func(t *testing.T, seed uint64) { compareRandom(t, all, seed) })
}
