package meter

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"testing"
)

// leafy has a leaf, function 0, that can be got at in every way: it divides 7 by its parameter.
func leafy(body ...[]byte) *asm {
	a := &asm{tables: []asmTable{{FuncRef, Extent{Min: 2}}}, memory: &Extent{Min: 1}}
	leaf := a.fn(types(I32), types(I32), nil, constI32(7), get(0), op(i32DivU))
	a.export("leaf", KindFunction, leaf)
	a.export("run", KindFunction, a.fn(types(I32), types(I32), nil, body...))
	a.elems = [][]byte{seq(u32(0), constI32(0), op(opEnd), u32(1), u32(leaf))}
	return a
}

const leafCost = costEntry + costLocal + 2 + costDivide

// TestLeaves shows that a leaf is paid for once, and always, whoever calls it.
func TestLeaves(t *testing.T) {
	const caller = costEntry + costLocal + costCaller
	small := seq(get(0), call(0))
	tests := []struct {
		name, export string
		arg          uint64
		want         int64
		body         []byte
		trap         bool
	}{
		{"called", "run", 1, caller + 1 + costCall + leafCost, small, false},
		{"called twice", "run", 1, caller + 1 + 2*(costCall+leafCost), seq(small, call(0)), false},
		{"trap", "run", 0, caller + 1 + costCall + leafCost, small, true},
		{"exported", "leaf", 1, leafCost, small, false},
		{"exported and traps", "leaf", 0, leafCost, small, true},
		{"in a table", "run", 1, caller + 2 + costIndirect + leafCost, seq(get(0), constI32(0), callIndirect(0, 0)), false},
		{"put into a table", "run", 1, caller + 5 + costIndirect + leafCost, seq(
			constI32(1), withIndex(opRefFunc, 0), withIndex(opTableSet, 0), get(0), constI32(1), callIndirect(0, 0)), false},
		// A call costs so little by itself that the condition pays for it, but not the leaf.
		{"not called", "run", 0, caller + 2 + 2 + costCall + 1, seq(get(0), when(void, constI32(1), call(0), op(opDrop)), get(0)), false},
		{"called if", "run", 1, caller + 2 + 2 + costCall + 1 + leafCost, seq(get(0), when(void, constI32(1), call(0), op(opDrop)), get(0)), false},
		{"code that nothing reaches", "run", 1, caller + 2, seq(get(0), op(opReturn), constI32(1), call(0)), false},
	}
	for _, e := range engines(t) {
		for _, tt := range tests {
			t.Run(e.name+"/"+tt.name, func(t *testing.T) {
				g := newGuest(t, e, mustMeter(t, leafy(tt.body).bytes()).Code)
				_, used, err := g.run(Budget{Total: 1 << 40}, tt.export, tt.arg)
				if used != tt.want || err != nil != tt.trap {
					t.Errorf("used %d, %v; want %d", used, err, tt.want)
				}
			})
		}
	}
}

// TestCopiesOutOfReach names the copy of a leaf, which costs nothing, before it is there.
func TestCopiesOutOfReach(t *testing.T) {
	const first = 3 // yield comes before it, and the two of the module
	for _, index := range []int{first - 1, first, first + 1} {
		want := "function " + strconv.Itoa(index) + " does not exist"
		table := leafy(get(0))
		table.elems[0] = seq(u32(0), constI32(0), op(opEnd), u32(1), u32(index))
		export := leafy(get(0))
		export.export("free", KindFunction, index)
		start := leafy(get(0))
		start.start = index
		for name, a := range map[string]*asm{
			"call": leafy(get(0), call(index)), "reference": leafy(withIndex(opRefFunc, index), op(opDrop), get(0)),
			"table": table, "export": export, "start": start,
		} {
			var refused *Error
			if _, err := Meter(a.bytes(), Options{}); !errors.As(err, &refused) || !strings.Contains(refused.What, want) {
				t.Errorf("%s: got %v, want %q", name, err, want)
			}
		}
	}
}

// TestNotLeaves has functions that look like leaves, and have to pay for themselves: what they cost depends on what they do.
func TestNotLeaves(t *testing.T) {
	work := bytes.Repeat(seq(constI32(0), op(opDrop)), 10)
	bodies := map[string][]byte{
		"condition": seq(get(0), when(void, work), get(0)),
		"loop":      seq(loop(void, get(0), brIf(0)), get(0)),
		"call":      seq(get(0), call(1)),
		"fill":      seq(constI32(0), constI32(0), get(0), miscOp(miscMemoryFill, 0), get(0)),
		"grow":      seq(get(0), op(opMemoryGrow, 0)),
		"large":     seq(bytes.Repeat(work, 4), get(0)),
	}
	for name, body := range bodies {
		a := leafy(get(0), call(0))
		a.funcs[0].body = body
		if n := codeBodies(t, mustMeter(t, a.bytes()).Code); n != 2 {
			t.Errorf("%s: %d functions, want no copy beside the two", name, n)
		}
	}
	if n := codeBodies(t, mustMeter(t, leafy(get(0)).bytes()).Code); n != 4 {
		t.Errorf("%d functions, want the two and a copy of each", n)
	}
}

// codeBodies counts the functions that a module has itself.
func codeBodies(t *testing.T, module []byte) int {
	for r := (&reader{data: module, pos: 8, end: len(module)}); r.more(); {
		id := r.byte()
		size := r.u32()
		if id == sectionCode {
			return int(r.u32())
		}
		r.bytes(size)
	}
	t.Fatal("no code")
	return 0
}
