package wasmhost

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/protoo-go/protoo/core"
)

// newPlain makes an instance of a module as its author has built it, without the metering. It has all the fuel there is.
func newPlain(tb testing.TB, v *version, file []byte) *instance {
	tb.Helper()
	ctx := context.Background()
	original, err := v.runtime.CompileModule(ctx, file)
	if err != nil {
		tb.Fatal(err)
	}
	in := &instance{Context: v.context, version: v, began: time.Now(), strs: new(interner)}
	if in.mod, err = v.runtime.InstantiateModule(in, original, moduleConfig); err != nil {
		tb.Fatal(err)
	}
	in.memory, in.fuel = in.mod.Memory(), new(bottomless)
	gate := &plainGate{}
	for i, name := range calls {
		gate.functions[i] = in.mod.ExportedFunction(name)
	}
	in.gate, in.Context = gate, ctx
	if err := in.initialize(); err != nil {
		tb.Fatal(err)
	}
	return in
}

// plainGate is for a module without metering what the gate is for one with it.
type plainGate struct {
	api.Function
	functions [4]api.Function
}

func (g *plainGate) CallWithStack(ctx context.Context, stack []uint64) error {
	fn, fuel := stack[0], stack[3]
	stack[0], stack[1] = stack[1], stack[2]
	err := g.functions[fn].CallWithStack(ctx, stack)
	stack[1] = fuel
	return err
}

// bottomless is where host functions charge a module that nobody meters.
type bottomless struct{ api.MutableGlobal }

func (*bottomless) Get() uint64 { return 1 << 62 }
func (*bottomless) Set(uint64)  {}

// recorder is a gate that writes down what the module is called with, and what comes of it. Tokens, which are random, are
// replaced by their number.
type recorder struct {
	api.Function
	in     *instance
	lines  []string
	tokens [][]byte
}

func (r *recorder) CallWithStack(ctx context.Context, stack []uint64) error {
	fn, event, size := stack[0], stack[1], uint32(stack[2])
	line := fmt.Sprintf("%s(%d)", calls[fn], event)
	if fn == callOn {
		told := r.frame(size)
		if token := told[8:frameHead]; !slices.ContainsFunc(r.tokens, func(t []byte) bool { return bytes.Equal(t, token) }) {
			r.tokens = append(r.tokens, bytes.Clone(token))
		}
		line += fmt.Sprintf(" %x", r.known(told))
	}
	err := r.Function.CallWithStack(ctx, stack)
	line += fmt.Sprintf(" = %x %v", stack[0], err)
	if fn == callOn && err == nil {
		line += fmt.Sprintf(" %x", r.known(r.frame(result(stack[0]).length())))
	}
	r.lines = append(r.lines, line)
	return err
}

func (r *recorder) frame(size uint32) []byte {
	b, _ := r.in.memory.Read(r.in.ptr, size)
	return b
}

// known returns bytes with numbers in place of the tokens.
func (r *recorder) known(b []byte) []byte {
	for i, token := range r.tokens {
		b = bytes.ReplaceAll(b, token, binary.BigEndian.AppendUint64(nil, uint64(i)))
	}
	return b
}

// A suite is what a guest is told, and returns what has come of it for those outside.
type suite func(r *rig, m *Module) []string

// suiteOf returns the conversations that a guest is tested with.
func suiteOf(name string) suite {
	switch name {
	case "authorizer":
		return func(_ *rig, m *Module) (got []string) {
			accept := m.Accept(nil)
			for _, token := range []string{"alice:sesame", "José:sesame", "alice:wrong", "alice:sesame:", "sesame", ":", "", "alice:\x00sesam", strings.Repeat("é", 100) + ":sesame"} {
				id, err := accept(&core.ConnectRequest{Query: map[string][]string{"token": {token}, "uuid": {"phone"}}})
				got = append(got, fmt.Sprint(id, err))
			}
			return got
		}
	case "next", "reply":
		return func(r *rig, m *Module) []string { return r.exchange(m, "/a", "/b") }
	}
	c := &conversations[slices.IndexFunc(conversations, func(c conversation) bool { return c.name == name })]
	return func(r *rig, m *Module) []string {
		got := r.converse(c, m.Handle)
		return append(got, r.exchange(m, "/rooms/staff", "/old/a", "/x")...)
	}
}

// exchange sends requests with data of several sizes to a module.
func (r *rig) exchange(m *Module, paths ...string) (got []string) {
	r.app.Use("/exchange", m.Handle)
	r.app.All("*", see)
	c := r.dial("carol", "1")
	for i, path := range paths {
		for _, size := range []int{0, 1, 4000, 50_000, 3} {
			c.ask("/exchange"+path, fmt.Sprint(i), `"`+strings.Repeat("é€😀", size/9)+`"`)
			got = append(got, c.take()...)
		}
	}
	return got
}

// Modules compute the same with the metering as without it: every call in their suites has the same result and writes the same
// frame, peers get the same, and the memory is the same in the end.
func TestMeteringChangesNothing(t *testing.T) {
	files, err := filepath.Glob("guest/*/build/*.wasm")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d modules, %v", len(files), err)
	}
	for _, file := range files {
		language, name := filepath.Base(filepath.Dir(filepath.Dir(file))), strings.TrimSuffix(filepath.Base(file), ".wasm")
		t.Run(language+"/"+name, func(t *testing.T) {
			compareMetering(t, builtGuest(t, language, name), suiteOf(name), true)
		})
	}
	t.Run("go", func(t *testing.T) {
		if testing.Short() {
			t.Skip("compiles large modules")
		}
		// What programs in Go have in their memory depends on the time and on chance.
		c := conversations[slices.IndexFunc(conversations, func(c conversation) bool { return c.name == "rewriter" })]
		compareMetering(t, goGuest(t, c.name, c.manifest()), suiteOf(c.name), false)
	})
}

func compareMetering(t *testing.T, file []byte, play suite, memory bool) {
	var runs [2]struct {
		recorder
		said   []string
		begun  []byte
		memory []byte
		fuel   uint64
	}
	for i := range runs {
		run, metered := &runs[i], i == 0
		sim(t, func(t *testing.T, r *rig) {
			m, err := r.host.Load(t.Context(), file, r.options(func(o *ModuleOptions) { o.Limits.Instances = 1 }))
			if err != nil {
				t.Fatal(err)
			}
			v := m.current.Load()
			in := (*v.pool.all.Load())[0]
			if !metered {
				in.close()
				in = newPlain(t, v, file)
				v.pool.all.Store(&[]*instance{in})
			}
			run.Function, run.in = in.gate, in
			in.gate = run
			start := m.Stats().Fuel
			run.begun = run.content()
			run.said = play(r, m)
			run.memory = run.known(run.content())
			s := m.Stats()
			run.fuel = s.Fuel - start
			if got := (*v.pool.all.Load())[0]; got != in || len(s.Failures) != 0 {
				t.Errorf("the instance has been replaced, failures %v", s.Failures)
			}
		})
	}
	metered, plain := &runs[0], &runs[1]
	if len(metered.lines) < 3 || metered.fuel <= plain.fuel { // what the host does has its price in both
		t.Errorf("%d calls with %d units of fuel, %d without metering", len(metered.lines), metered.fuel, plain.fuel)
	}
	for i, line := range metered.lines {
		if i >= len(plain.lines) || plain.lines[i] != line {
			t.Fatalf("call %d of %d\nmetered %.2000s\nplain   %.2000s", i, len(metered.lines), line, plain.lines[min(i, len(plain.lines)-1)])
		}
	}
	if len(plain.lines) != len(metered.lines) || !slices.Equal(plain.said, metered.said) {
		t.Errorf("metered %d calls, peers got\n%q\nplain %d calls, peers got\n%q", len(metered.lines), metered.said, len(plain.lines), plain.said)
	}
	if memory && (!bytes.Equal(metered.begun, plain.begun) || !bytes.Equal(metered.memory, plain.memory)) {
		t.Error("the memory differs")
	}
}

// content is a copy of the module's memory.
func (r *recorder) content() []byte {
	all, _ := r.in.memory.Read(0, r.in.memory.Size())
	return bytes.Clone(all)
}
