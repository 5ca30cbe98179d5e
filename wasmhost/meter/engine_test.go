package meter

import (
	"context"
	"errors"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

var errOutOfFuel = errors.New("out of fuel")

type budgetKey struct{}

var background = context.Background()

// newRuntime returns an engine with the host's side of the metering.
func newRuntime(tb testing.TB, c wazero.RuntimeConfig) wazero.Runtime {
	tb.Helper()
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, c.WithCoreFeatures(api.CoreFeaturesV2).WithMemoryLimitPages(256))
	tb.Cleanup(func() { r.Close(ctx) })
	yield := func(ctx context.Context, stack []uint64) {
		b := ctx.Value(budgetKey{}).(*Budget)
		fuel, ok := b.Refill(int64(stack[0]))
		if !ok {
			panic(errOutOfFuel)
		}
		stack[0] = uint64(fuel)
	}
	_, err := r.NewHostModuleBuilder(YieldModule).NewFunctionBuilder().
		WithGoFunction(api.GoFunc(yield), []api.ValueType{api.ValueTypeI64}, []api.ValueType{api.ValueTypeI64}).
		Export(YieldFunction).Instantiate(ctx)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// instantiate runs a module's start function, if any, with plenty of fuel.
func instantiate(tb testing.TB, r wazero.Runtime, code []byte) api.Module {
	tb.Helper()
	ctx := context.WithValue(context.Background(), budgetKey{}, &Budget{Total: 1 << 40})
	m, err := r.InstantiateWithConfig(ctx, code, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

func mustMeter(tb testing.TB, module []byte) *Metered {
	tb.Helper()
	m, err := Meter(module, Options{})
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// A guest is an instance of a metered module.
type guest struct {
	api.Module
	fuel api.MutableGlobal
}

func newGuest(tb testing.TB, r wazero.Runtime, code []byte) guest {
	tb.Helper()
	m := instantiate(tb, r, code)
	return guest{m, m.ExportedGlobal(FuelGlobal).(api.MutableGlobal)}
}

// run calls a function with a budget and returns what it used.
func (g guest) run(b Budget, name string, args ...uint64) (results []uint64, used int64, err error) {
	g.fuel.Set(uint64(b.Start()))
	ctx := context.WithValue(context.Background(), budgetKey{}, &b)
	results, err = g.ExportedFunction(name).Call(ctx, args...)
	return results, b.Used(int64(g.fuel.Get())), err
}

func withBudget(b *Budget) context.Context { return context.WithValue(background, budgetKey{}, b) }
