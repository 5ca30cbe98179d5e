package meter

import (
	"errors"
	"testing"

	"github.com/tetratelabs/wazero"
)

// TestBudget goes through the arithmetic without an engine.
func TestBudget(t *testing.T) {
	tests := []struct {
		name    string
		b       Budget
		charges []int64
		used    int64
		spent   bool
	}{
		{"nothing", Budget{Total: 10}, nil, 0, false},
		{"within the first slice", Budget{Total: 10}, []int64{4, 6}, 10, false},
		{"one too many", Budget{Total: 10}, []int64{4, 7}, 11, true},
		{"many slices", Budget{Total: 1000, Slice: 10}, []int64{9, 2, 300, 9, 680}, 1000, false},
		{"many slices, one too many", Budget{Total: 1000, Slice: 10}, []int64{9, 2, 300, 9, 681}, 1001, true},
		{"charge larger than the slice", Budget{Total: 1 << 40, Slice: 1}, []int64{1 << 39, 1}, 1<<39 + 1, false},
		{"no budget", Budget{}, []int64{1}, 1, true},
		{"default slice", Budget{Total: 1 << 40}, []int64{DefaultSlice, 1}, DefaultSlice + 1, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fuel, ok := tt.b.Start(), true
			for _, c := range tt.charges {
				if fuel -= c; fuel < 0 {
					if fuel, ok = tt.b.Refill(fuel); ok && (fuel < 0 || fuel > tt.b.slice()) {
						t.Errorf("refilled to %d, want 0 to the slice of %d", fuel, tt.b.slice())
					}
				}
			}
			if used := tt.b.Used(fuel); used != tt.used || ok == tt.spent {
				t.Errorf("used %d, spent %v; want %d, %v", used, !ok, tt.used, tt.spent)
			}
			if used := tt.b.Used(tt.b.Start()); used != 0 {
				t.Errorf("used %d after a new start", used)
			}
		})
	}
}

// TestBudgetEnd shows that whether a budget is enough does not depend on the slice.
func TestBudgetEnd(t *testing.T) {
	r := newRuntime(t, wazero.NewRuntimeConfigInterpreter())
	g := newGuest(t, r, mustMeter(t, fib().bytes()).Code)
	_, used, err := g.run(Budget{Total: 1 << 40}, "run", 8)
	if err != nil {
		t.Fatal(err)
	}
	ended := 0
	for total := used - 100; total <= used+1; total++ {
		_, _, once := g.run(Budget{Total: total, Slice: 1 << 50}, "run", 8)
		for _, slice := range []int64{1, 100} {
			_, _, err := g.run(Budget{Total: total, Slice: slice}, "run", 8)
			if errors.Is(err, errOutOfFuel) != errors.Is(once, errOutOfFuel) || total >= used && err != nil {
				t.Fatalf("budget %d of %d, slice %d: %v; in one slice %v", total, used, slice, err, once)
			}
		}
		if once == nil {
			ended++
		}
	}
	if ended < 2 || ended > 100 {
		t.Errorf("%d of 102 budgets were enough, want some that were not", ended)
	}
}
