package meter

import (
	"context"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// layouts are how many places in memory a kernel's code is measured at. Where its jumps lie makes a small loop up to twice as
// slow, the original as well as the metered one, and not both in the same places.
const layouts = 12

// shifted returns a program with its function run moved, by stores at its beginning that have no use.
func shifted(mod *asm, by int) *asm {
	a := *mod
	if a.memory == nil {
		a.memory = &Extent{Min: 1}
	}
	a.funcs = append([]asmFunc(nil), a.funcs...)
	for _, e := range a.exports {
		if e.Name == "run" {
			f := &a.funcs[e.Index]
			for range by {
				f.body = seq(constI32(60_000), constI32(7), mem(i32Store8, 0), f.body)
			}
		}
	}
	return &a
}

// BenchmarkKernels compares metered programs to the originals. The two take turns, so
// that a noisy machine disturbs both: the ratio of the least times, over all layouts, is what to look at.
func BenchmarkKernels(b *testing.B) {
	r := newRuntime(b, wazero.NewRuntimeConfigCompiler())
	for _, k := range kernels() {
		b.Run(k.name, func(b *testing.B) {
			budget := &Budget{Total: 1 << 60}
			ctx := context.WithValue(context.Background(), budgetKey{}, budget)
			const never = time.Duration(1 << 62)
			const rounds = 10 // at one place, so that the processor learns its branches
			var guests [layouts]guest
			var runs [layouts][2]api.Function
			var least [layouts][2]time.Duration
			for i := range layouts {
				original := shifted(k.mod, i).bytes()
				guests[i] = newGuest(b, r, mustMeter(b, original).Code)
				runs[i] = [2]api.Function{instantiate(b, r, original).ExportedFunction("run"), guests[i].ExportedFunction("run")}
				least[i] = [2]time.Duration{never, never}
			}
			stack := make([]uint64, 1)
			used := int64(0)
			for b.Loop() {
				for i := range layouts * rounds {
					i /= rounds
					for j, f := range runs[i] {
						guests[i].fuel.Set(uint64(budget.Start()))
						stack[0] = k.n
						start := time.Now()
						if err := f.CallWithStack(ctx, stack); err != nil {
							b.Fatal(err)
						}
						least[i][j] = min(least[i][j], time.Since(start))
					}
					used = budget.Used(int64(guests[i].fuel.Get()))
				}
			}
			var sum [2]time.Duration
			for _, pair := range least {
				sum[0] += pair[0]
				sum[1] += pair[1]
			}
			b.ReportMetric(float64(sum[1])/float64(sum[0]), "ratio")
			b.ReportMetric(float64(sum[0].Nanoseconds())/layouts/float64(used), "ns/unit")
			b.ReportMetric(float64(used), "units")
		})
	}
}
