package meter

import (
	"context"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
)

// BenchmarkKernels compares metered programs to the originals. The two take turns, so
// that a noisy machine disturbs both: the ratio is what to look at.
func BenchmarkKernels(b *testing.B) {
	r := newRuntime(b, wazero.NewRuntimeConfigCompiler())
	for _, k := range kernels() {
		b.Run(k.name, func(b *testing.B) {
			original := k.mod.bytes()
			plain := instantiate(b, r, original).ExportedFunction("run")
			g := newGuest(b, r, mustMeter(b, original).Code)
			metered := g.ExportedFunction("run")
			budget := &Budget{Total: 1 << 60}
			ctx := context.WithValue(context.Background(), budgetKey{}, budget)
			const never = time.Duration(1 << 62)
			least := [2]time.Duration{never, never}
			stack := make([]uint64, 1)
			for b.Loop() {
				for i := range least {
					g.fuel.Set(uint64(budget.Start()))
					stack[0] = k.n
					f := plain
					if i == 1 {
						f = metered
					}
					start := time.Now()
					if err := f.CallWithStack(ctx, stack); err != nil {
						b.Fatal(err)
					}
					least[i] = min(least[i], time.Since(start))
				}
			}
			used := budget.Used(int64(g.fuel.Get()))
			b.ReportMetric(float64(least[1])/float64(least[0]), "ratio")
			b.ReportMetric(float64(least[0].Nanoseconds())/float64(used), "ns/unit")
			b.ReportMetric(float64(used), "units")
		})
	}
}
