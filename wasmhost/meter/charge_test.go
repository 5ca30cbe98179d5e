package meter

import (
	"bytes"
	"testing"

	"github.com/tetratelabs/wazero"
)

// TestCharges has the exact fuel of small programs: what is not executed is not
// paid for, unless it is little.
func TestCharges(t *testing.T) {
	const (
		test    = 2 // local.get and br_if, if or br_table
		big     = 40
		small   = 4
		perStep = 4 // of the countdown
	)
	work := func(units int) []byte { return bytes.Repeat(seq(constI32(0), op(opDrop)), units/2) }
	down := seq(get(0), constI32(1), op(i32Sub), tee(0))
	atHead := seq(get(0), op(i32Eqz), brIf(1))
	tests := []struct {
		name string
		arg  uint64
		want int64 // besides the entry
		body []byte
	}{
		{"nothing", 0, 0, nil},
		{"structure is free", 0, 0, block(void, op(opNop), block(void))},
		{"straight code", 0, big, work(big)},
		{"block", 0, big + small + small, seq(work(small), block(void, work(big)), work(small))},
		{"division", 0, costDivide + 3, seq(constI32(1), constI32(1), op(i32DivU, opDrop))},
		{"arm that runs", 1, test + big, seq(get(0), when(void, work(big)))},
		{"arm that does not", 0, test, seq(get(0), when(void, work(big)))},
		{"small arm that does not", 0, test + small, seq(get(0), when(void, work(small)))},
		{"code after an if", 0, test + big, seq(get(0), when(void, work(big)), work(big))},
		{"second arm", 0, test + 2*big, seq(get(0), op(opIf), void, work(big), op(opElse), work(2*big), op(opEnd))},
		{"skipped by br_if", 1, test, block(void, get(0), brIf(0), work(big))},
		{"not skipped by br_if", 0, test + big, block(void, get(0), brIf(0), work(big))},
		{"after the block of a br_if", 1, test + big, seq(block(void, get(0), brIf(0)), work(big))},
		{"skipped from an inner block", 1, test, block(void, block(void, get(0), brIf(1)), work(big))},
		{"skipped from two blocks down", 1, test, block(void, block(void, block(void, get(0), brIf(2))), work(big))},
		{"skipped by one of two", 1, test + test, block(void, block(void, get(0), brIf(1), get(0), brIf(0)), work(big))},
		{"skipped by return", 1, test + 1, seq(get(0), when(void, op(opReturn)), work(big))},
		{"skipped by br_table", 1, test, block(void, block(void, get(0), brTable(0, 1)), work(big))},
		{"not skipped by br_table", 0, test + big, block(void, block(void, get(0), brTable(0, 1)), work(big))},
		{"after one arm that leaves", 1, test + 1, block(void, get(0), op(opIf), void, br(1), op(opElse, opEnd), work(big))},
		{"dead code", 0, 1, block(void, br(0), work(big), block(void, work(big)), loop(void, work(big), br(0)))},
		{"loop", 10, 10 * (1 + perStep + 1), loop(void, down, brIf(0))},
		{"code after a loop", 10, 10*(1+perStep+1) + big, seq(loop(void, down, brIf(0)), work(big))},
		// The rest of a small loop is paid for with the test, the last time as well.
		{"small loop with the test first", 10, 11 * (1 + 3 + 20 + perStep + 2), block(void, loop(void, atHead, work(20), down, op(opDrop), br(0)))},
		{"large loop with the test first", 2, 3*(1+3) + 2*(2*big+perStep+2), block(void, loop(void, atHead, work(2*big), down, op(opDrop), br(0)))},
		{"out of two loops", 10, 1 + 10*(1+perStep+3), block(void, loop(void, loop(void, down, op(i32Eqz), brIf(2), br(0))))},
		{"on with the outer loop", 10, 10 * (1 + 1 + perStep + 1), loop(void, loop(void, down, brIf(1)))},
		{"by a table on with the outer loop", 2, (1 + 1 + perStep + 1) * 2, block(void, loop(void, loop(void, down, brTable(2, 1))))},
		{"code after a loop that is left early", 0, 1 + 3 + perStep + 1, block(void, loop(void, atHead, down, brIf(0)), work(big))},
		{"memory.fill", 800, costBulk + 3 + 100, seq(constI32(0), constI32(0), get(0), miscOp(miscMemoryFill, 0))},
		{"memory.copy", 80, costBulk + 3 + 10, seq(constI32(0), constI32(0), get(0), miscOp(miscMemoryCopy, 0, 0))},
		{"memory.grow", 2, costGrow + 2 + 2<<pageUnits, seq(get(0), op(opMemoryGrow, 0, opDrop))},
		{"memory.grow that fails", 70_000, costGrow + 2, seq(get(0), op(opMemoryGrow, 0, opDrop))},
	}
	r := newRuntime(t, wazero.NewRuntimeConfigInterpreter())
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := &asm{memory: &Extent{Min: 1}}
			a.export("run", KindFunction, a.fn(types(I32), nil, nil, tt.body))
			g := newGuest(t, r, mustMeter(t, a.bytes()).Code)
			_, used, err := g.run(Budget{Total: 1 << 40}, "run", tt.arg)
			if want := tt.want + costEntry + costLocal; used != want || err != nil {
				t.Errorf("used %d, %v; want %d", used, err, want)
			}
		})
	}
}

// TestOvershoot shows how far behind a check can be: a function that only calls
// others has them checked, unless they are so small that it does not matter.
func TestOvershoot(t *testing.T) {
	r := newRuntime(t, wazero.NewRuntimeConfigInterpreter())
	tests := []struct {
		name  string
		units int // of the function that is called
		calls int
		over  int64
	}{
		{"large", 5000, 100, 5000 + costEntry},
		{"small", absorbedLeaf - costEntry, 100, 100 * absorbedLeaf},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := simple(bytes.Repeat(call(1), tt.calls))
			a.fn(nil, nil, nil, bytes.Repeat(seq(constI32(0), op(opDrop)), tt.units/2))
			g := newGuest(t, r, mustMeter(t, a.bytes()).Code)
			const total = 1000
			_, used, err := g.run(Budget{Total: total}, "run")
			if used <= total || used > total+tt.over {
				t.Errorf("used %d, %v; want at most %d beyond %d", used, err, tt.over, total)
			}
		})
	}
}

// TestNoAllocations is the budget of a call: metering it allocates nothing.
func TestNoAllocations(t *testing.T) {
	r := newRuntime(t, wazero.NewRuntimeConfigInterpreter())
	if compilerSupported() {
		r = newRuntime(t, wazero.NewRuntimeConfigCompiler())
	}
	module := fib().bytes()
	plain := instantiate(t, r, module).ExportedFunction("run")
	g := newGuest(t, r, mustMeter(t, module).Code)
	metered := g.ExportedFunction("run")
	b := &Budget{Total: 1 << 40, Slice: 100}
	ctx := withBudget(b)
	stack := make([]uint64, 1)
	without := testing.AllocsPerRun(100, func() {
		stack[0] = 10
		if err := plain.CallWithStack(ctx, stack); err != nil {
			t.Fatal(err)
		}
	})
	with := testing.AllocsPerRun(100, func() {
		g.fuel.Set(uint64(b.Start()))
		stack[0] = 10
		if err := metered.CallWithStack(ctx, stack); err != nil {
			t.Fatal(err)
		}
	})
	if used := b.Used(int64(g.fuel.Get())); with > without || used < 1000 {
		t.Errorf("%v allocations for %d units, want %v for more than ten slices", with, used, without)
	}
}
