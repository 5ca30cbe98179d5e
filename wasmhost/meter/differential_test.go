package meter

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// outcome is all that can be seen of a run.
type outcome struct {
	results []uint64
	trap    string
	memory  []byte
	globals [2]uint64
}

func observe(m api.Module, results []uint64, err error) outcome {
	o := outcome{results: results}
	if err != nil {
		o.trap, _, _ = strings.Cut(err.Error(), "\n")
	}
	if mem := m.ExportedMemory("memory"); mem != nil {
		data, _ := mem.Read(0, mem.Size())
		o.memory = bytes.Clone(data)
	}
	for i, name := range []string{"g32", "g64"} {
		if g := m.ExportedGlobal(name); g != nil {
			o.globals[i] = g.Get()
		}
	}
	return o
}

func (o outcome) equal(p outcome) bool {
	return slices.Equal(o.results, p.results) && o.trap == p.trap && bytes.Equal(o.memory, p.memory) && o.globals == p.globals
}

type engine struct {
	name string
	wazero.Runtime
}

func engines(tb testing.TB) []engine {
	all := []engine{{"interpreter", newRuntime(tb, wazero.NewRuntimeConfigInterpreter())}}
	if compilerSupported() {
		all = append(all, engine{"compiler", newRuntime(tb, wazero.NewRuntimeConfigCompiler())})
	}
	return all
}

// compilerSupported tells whether wazero has a compiler for this system.
func compilerSupported() (ok bool) {
	defer func() { ok = recover() == nil }()
	return wazero.NewRuntimeWithConfig(background, wazero.NewRuntimeConfigCompiler()).Close(background) == nil
}

// TestRandomPrograms compares the metered module to the original, and what it is charged
// to what a third variant of it counts.
func TestRandomPrograms(t *testing.T) {
	seeds := uint64(200)
	if testing.Short() {
		seeds = 50
	}
	all := engines(t)
	ended, trapped := 0, 0
	for seed := range seeds {
		if compareRandom(t, all, seed) {
			trapped++
		} else {
			ended++
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if ended < int(seeds)/5 || trapped < int(seeds)/5 {
		t.Errorf("%d programs ended and %d trapped, want a good part of each", ended, trapped)
	}
}

func compareRandom(t *testing.T, all []engine, seed uint64) (trapped bool) {
	t.Helper()
	args := []uint64{seed & 0xffff, seed * 0x9e3779b97f4a7c15}
	original := randomModule(seed, false).bytes()
	code := mustMeter(t, original).Code

	m := instantiate(t, all[0], original)
	results, err := m.ExportedFunction("run").Call(background, args...)
	want := observe(m, results, err)
	m.Close(background)
	trapped = want.trap != ""

	var fuel []int64
	for _, e := range all {
		for _, slice := range []int64{0, 1, 100, 1 << 50} {
			g := newGuest(t, e, code)
			results, used, err := g.run(Budget{Total: 1 << 50, Slice: slice}, "run", args...)
			if got := observe(g, results, err); !got.equal(want) {
				t.Errorf("%s, metered: got %v %q, want %v %q", e.name, got.results, got.trap, want.results, want.trap)
			}
			fuel = append(fuel, used)
			g.Close(background)
		}
	}
	for _, f := range fuel {
		if f != fuel[0] {
			t.Errorf("fuel depends on engine or slice: %d", fuel)
			break
		}
	}

	m = instantiate(t, all[0], randomModule(seed, true).bytes())
	defer m.Close(background)
	results, err = m.ExportedFunction("run").Call(background, args...)
	if got := observe(m, results, err); !got.equal(want) {
		t.Errorf("counted: got %v %q, want %v %q", got.results, got.trap, want.results, want.trap)
	}
	counted := int64(m.ExportedGlobal("counter").Get())
	if fuel[0] < counted {
		t.Errorf("charged %d for a cost of %d", fuel[0], counted)
	}
	// What bulk operations cost by their length is not in the count, and none of
	// them has more than 255 bytes; growing is up to two pages.
	const most = 1 + 2*absorbed + absorbedLoop
	if limit := counted*most + 3<<pageUnits; !trapped && fuel[0] > limit {
		t.Errorf("charged %d for a cost of %d, want at most %d", fuel[0], counted, limit)
	}
	return trapped
}

// TestKernels compares the programs that the benchmarks run.
func TestKernels(t *testing.T) {
	all := engines(t)
	for _, k := range kernels() {
		t.Run(k.name, func(t *testing.T) {
			original := k.mod.bytes()
			code := mustMeter(t, original).Code
			n := k.n/20 + 10
			var want []uint64
			var fuel []int64
			for _, e := range all {
				m := instantiate(t, e, original)
				results, err := m.ExportedFunction("run").Call(background, n)
				if err != nil {
					t.Fatal(err)
				}
				if want == nil {
					want = results
				}
				g := newGuest(t, e, code)
				got, used, err := g.run(Budget{Total: 1 << 40}, "run", n)
				if err != nil || !slices.Equal(results, want) || !slices.Equal(got, want) {
					t.Errorf("%s: original %d, metered %d %v, want %d", e.name, results, got, err, want)
				}
				fuel = append(fuel, used)
			}
			if slices.Min(fuel) != slices.Max(fuel) || fuel[0] <= int64(n) {
				t.Errorf("fuel %d, want equal and more than %d", fuel, n)
			}
		})
	}
}
