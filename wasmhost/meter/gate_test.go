package meter

import (
	"errors"
	"slices"
	"testing"
)

// TestGate calls functions of every type that the gate leads to, and some that it does not.
func TestGate(t *testing.T) {
	a := &asm{globals: []asmGlobal{{I32, true, constI32(7)}}}
	a.export("g32", KindGlobal, 0)
	i64ExtendU := op(0xad)
	a.export("none", KindFunction, a.fn(nil, nil, nil, constI32(8), globalSet(0)))
	a.export("one", KindFunction, a.fn(types(I32), types(I64), nil, get(0), i64ExtendU))
	a.export("two", KindFunction, a.fn(types(I32, I32), types(I64), nil, get(0), get(1), op(i32Sub), i64ExtendU))
	a.export("other", KindFunction, a.fn(types(I64), types(I64), nil, get(0)))
	a.export("endless", KindFunction, a.fn(nil, nil, nil, loop(void, br(0))))
	gate := []string{"two", "one", "none", "other", "absent", "g32", "endless"}
	m, err := Meter(a.bytes(), Options{Gate: gate})
	if err != nil {
		t.Fatal(err)
	}
	const trapped = "unreachable"
	for _, e := range engines(t) {
		g := newGuest(t, e, m.Code)
		f := g.ExportedFunction(GateFunction)
		for i, want := range []struct {
			result uint64
			trap   string
		}{{3, ""}, {5, ""}, {0, ""}, {0, trapped}, {0, trapped}, {0, trapped}, {0, "out of fuel"}, {0, trapped}} {
			b := &Budget{Total: 1000}
			results, err := f.Call(withBudget(b), uint64(i), 5, 2, uint64(b.Start()))
			if got := observe(g, nil, err).trap; want.trap != "" {
				if err == nil || want.trap == trapped && got != "wasm error: unreachable" || want.trap != trapped && !errors.Is(err, errOutOfFuel) {
					t.Errorf("%s, function %d: got %v, want %s", e.name, i, err, want.trap)
				}
				continue
			}
			if err != nil {
				t.Fatalf("%s, function %d: %v", e.name, i, err)
			}
			used, global := b.Used(int64(results[1])), b.Used(int64(g.fuel.Get()))
			if results[0] != want.result || used < costEntry || used > 100 || used != global {
				t.Errorf("%s, function %d: got %d with %d units, %d in the global", e.name, i, results[0], used, global)
			}
		}
		if n := g.ExportedGlobal("g32").Get(); n != 8 {
			t.Errorf("%s: the function without parameters left %d, want 8", e.name, n)
		}
	}
}

// TestGateIsAddedLast meters random programs with and without a gate: nothing else changes.
func TestGateIsAddedLast(t *testing.T) {
	e := engines(t)[0]
	for seed := range uint64(20) {
		module := randomModule(seed, false)
		args := []uint64{seed, seed * 0x9e3779b97f4a7c15}
		m, err := Meter(module.bytes(), Options{Gate: []string{"run"}})
		if err != nil {
			t.Fatal(err)
		}
		var all []outcome
		var fuel []int64
		for _, code := range [][]byte{mustMeter(t, module.bytes()).Code, m.Code} {
			g := newGuest(t, e, code)
			results, used, err := g.run(Budget{Total: 1 << 50}, "run", args...)
			all, fuel = append(all, observe(g, results, err)), append(fuel, used)
		}
		if !all[0].equal(all[1]) || fuel[0] != fuel[1] {
			t.Errorf("seed %d: the gate makes a difference", seed)
		}
	}
}

// TestGateName shows that stack traces name the gate, and nothing else by its name.
func TestGateName(t *testing.T) {
	a := simple(op(opUnreachable))
	a.custom = append(a.custom, Custom{Name: "name", Data: seq([]byte{1}, u32(7), u32(1), u32(0), appendName(nil, "mine"))})
	m, err := Meter(a.bytes(), Options{Gate: []string{"run"}})
	if err != nil {
		t.Fatal(err)
	}
	r := engines(t)[0]
	c, err := r.CompileModule(background, m.Code)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range c.ExportedFunctions() {
		names = append(names, f.Name())
	}
	slices.Sort(names)
	if want := []string{"mine", GateFunction}; !slices.Equal(names, want) {
		t.Errorf("functions %q, want %q", names, want)
	}
}
