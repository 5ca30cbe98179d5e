package meter

import (
	"errors"
	"testing"
)

// A table has a maximum whether the module gives it one or not: to ask for more is paid for and fails, and the tables of a module
// stay within the limit together.
func TestTablesAreBounded(t *testing.T) {
	const limit = 100_000
	growing := func(extents ...Extent) *asm {
		a := &asm{}
		for _, e := range extents {
			a.tables = append(a.tables, asmTable{FuncRef, e})
		}
		a.export("grow", KindFunction, a.fn(types(I32), types(I32), nil, op(opRefNull, byte(FuncRef)), get(0), miscOp(miscTableGrow, 0)))
		return a
	}
	for _, tt := range []struct {
		name string
		mod  *asm
		most uint64
	}{
		{"no maximum", growing(Extent{Min: 10}), limit},
		{"too high a maximum", growing(Extent{Min: 10, Max: 1<<32 - 1, HasMax: true}), limit},
		{"its own maximum", growing(Extent{Min: 10, Max: 20, HasMax: true}), 20},
		{"shared with others", growing(Extent{Min: 10}, Extent{Min: 90}, Extent{}, Extent{}), 10 + (limit-100)/4},
	} {
		for _, e := range engines(t) {
			t.Run(e.name+"/"+tt.name, func(t *testing.T) {
				g := newGuest(t, e, mustMeter(t, tt.mod.bytes()).Code)
				for _, step := range []struct{ by, want uint64 }{
					{tt.most - 9, 1<<32 - 1},
					{tt.most - 10, 10},
					{0, tt.most},
					{1, 1<<32 - 1},
				} {
					results, used, err := g.run(Budget{Total: 1 << 40}, "grow", step.by)
					if want := int64(costEntry + costLocal + 2 + costBulk + step.by); err != nil || results[0] != step.want || used != want {
						t.Errorf("by %d: got %d, used %d, %v; want %d, used %d", step.by, results, used, err, step.want, want)
					}
				}
				if _, _, err := g.run(Budget{Total: limit}, "grow", 1<<32-1); !errors.Is(err, errOutOfFuel) {
					t.Errorf("to ask for all that there can be: %v", err)
				}
			})
		}
	}
}
