package wasmhost

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/wasmhost/kv"
	"github.com/protoo-go/protoo/wasmhost/meter"
)

// A version is one file of a module, with all that is made from it.
type version struct {
	module   *Module
	serial   int
	manifest Manifest
	plan     *plan
	limits   Limits
	fuel     int64
	onError  OnError
	settings core.JSON
	store    *kv.Store
	starts   bool // whether there is an _initialize
	canGrow  bool // whether there is a protoo_buffer

	context  context.Context // tells the engine where memory comes from
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	config   wazero.ModuleConfig
	memories memories
	state    *meter.State          // nil if instances cannot be put back
	image    atomic.Pointer[image] // nil as long as there is none
	pool     pool
	breaker  breaker

	refs    atomic.Int64 // of those who use it, and one until it is retired
	closing sync.Once
	mu      sync.Mutex
	drain   *time.Timer
	timers  map[*timer]struct{}  // nil when they may no longer run
	answers map[*answer]struct{} // nil when the version no longer waits for any
}

// load makes a version from a file, and enters it into the module's list.
func (m *Module) load(ctx context.Context, file []byte, o ModuleOptions) (*version, error) {
	v := &version{
		module:   m,
		limits:   o.Limits.withDefaults(),
		onError:  o.OnError,
		settings: o.Settings,
		config:   moduleConfig,
		timers:   make(map[*timer]struct{}),
		answers:  make(map[*answer]struct{}),
	}
	v.refs.Store(1)
	if o.Manifest != nil {
		v.manifest = *o.Manifest
	}
	if err := v.prepare(ctx, file, o); err != nil {
		if v.runtime != nil {
			v.dispose()
		}
		m.stats.failed(KindLoad)
		return nil, &Error{Module: v.manifest.Name, Version: v.manifest.Version, Kind: KindLoad, Err: err}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.serial++
	v.serial = m.serial
	m.versions = append(m.versions, v)
	m.stats.versions.Add(1)
	return v, nil
}

func (v *version) prepare(ctx context.Context, file []byte, o ModuleOptions) error {
	if len(file) > v.limits.File {
		return fmt.Errorf("file has %d bytes, at most %d are allowed", len(file), v.limits.File)
	}
	if err := verifyDigest(file, o.SHA256); err != nil {
		return err
	}
	metered, err := meter.Meter(file, meter.Options{Limits: meter.Limits{ModuleBytes: v.limits.File}, Gate: calls, State: true})
	if err != nil {
		return err
	}
	info := &metered.Info
	v.state = metered.State
	if err := verifySignature(file, info.Custom, o.PublicKeys); err != nil {
		return err
	}
	if err := v.readManifest(info, o); err != nil {
		return err
	}
	if err := v.link(ctx, info); err != nil {
		return err
	}
	if err := v.compile(ctx, file, metered.Code); err != nil {
		return err
	}
	return v.test(ctx)
}

// readManifest finds out what the module asks for, and whether it may have that.
func (v *version) readManifest(info *meter.Info, o ModuleOptions) error {
	if section := info.Section(manifestSection); section != nil {
		m, err := ParseManifest(section.Data)
		if err != nil {
			return err
		}
		v.manifest = *m
	} else if o.Manifest == nil {
		return fmt.Errorf("there is no section %s", manifestSection)
	}
	var err error
	if v.plan, err = v.manifest.plan(); err != nil {
		return err
	}
	for _, e := range o.Events {
		if !v.plan.events[e] {
			return fmt.Errorf("its manifest does not list the event %v, which it is needed for", e)
		}
	}
	grants, err := newCapabilitySet(o.Grants)
	if err != nil {
		return err
	}
	if missing := v.plan.capabilities &^ grants; missing != 0 {
		return fmt.Errorf("it asks for %v, which is not granted", missing)
	}
	switch v.onError {
	case "":
		v.onError = Fail
	case Fail, Skip:
	default:
		return fmt.Errorf("OnError is %q, want %q or %q", v.onError, Fail, Skip)
	}
	if v.fuel = v.manifest.Fuel; v.fuel == 0 {
		v.fuel = v.limits.Fuel
	} else if v.fuel > v.limits.Fuel {
		return fmt.Errorf("it asks for %d units of fuel, %d are allowed", v.fuel, v.limits.Fuel)
	}
	if v.manifest.Memory == 0 {
		v.manifest.Memory = min(defaultMemory, v.limits.Memory)
	} else if v.manifest.Memory > v.limits.Memory {
		return fmt.Errorf("it asks for %d bytes of memory, %d are allowed", v.manifest.Memory, v.limits.Memory)
	}
	if s := v.settings; s != "" {
		if err := checkJSON(s); err != nil {
			return fmt.Errorf("settings: %w", err)
		}
	}
	v.store = o.Store
	if v.store == nil {
		v.store = v.module.ownStore()
	}
	instances := v.limits.Instances
	if v.manifest.Affinity == Single {
		instances = 1
	}
	v.memories.limit = instances
	v.context = experimental.WithMemoryAllocator(context.Background(), &v.memories)
	v.pool.init(v, instances)
	return nil
}

func (m *Module) ownStore() *kv.Store {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.store == nil {
		m.store = kv.New(kv.Options{})
	}
	return m.store
}

// exports are the functions that a module has to have.
var exports = map[string]meter.FuncType{
	exportMarker: {},
	exportInit:   {Params: []meter.ValueType{meter.I32}, Results: []meter.ValueType{meter.I64}},
	exportOn:     {Params: []meter.ValueType{meter.I32, meter.I32}, Results: []meter.ValueType{meter.I64}},
}

// link checks what the module exports and imports, and makes the functions that it imports.
func (v *version) link(ctx context.Context, info *meter.Info) error {
	if e := info.Export(exportMemory); e == nil || e.Kind != meter.KindMemory {
		return fmt.Errorf("it does not export a memory named %q", exportMemory)
	}
	for name, want := range exports {
		e := info.Export(name)
		if e == nil || e.Kind != meter.KindFunction {
			return fmt.Errorf("it does not export a function %q", name)
		}
		if err := sameType(name, e.Type, want.Params, want.Results); err != nil {
			return err
		}
	}
	if e := info.Export(exportBuffer); e != nil {
		if err := sameType(exportBuffer, e.Type, []meter.ValueType{meter.I32}, []meter.ValueType{meter.I64}); err != nil || e.Kind != meter.KindFunction {
			return fmt.Errorf("export %q: want a function (i32) -> (i64)", exportBuffer)
		}
		v.canGrow = true
	}
	if e := info.Export(exportStart); e != nil {
		if err := sameType(exportStart, e.Type, nil, nil); err != nil || e.Kind != meter.KindFunction {
			return fmt.Errorf("export %q: want a function () -> ()", exportStart)
		}
		v.starts = true
	}
	v.runtime = wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().
		WithCompilationCache(v.module.host.cache).
		WithMemoryLimitPages(v.pages()))
	own, wasi := v.runtime.NewHostModuleBuilder(abiModule), v.runtime.NewHostModuleBuilder(wasiModule)
	added := make(map[string]bool)
	for i := range info.Imports {
		imp := &info.Imports[i]
		name := imp.Module + "." + imp.Name
		if imp.Kind != meter.KindFunction {
			return fmt.Errorf("it imports the %v %s, only functions can be imported", imp.Kind, name)
		}
		if added[name] {
			continue
		}
		added[name] = true
		switch imp.Module {
		case abiModule:
			f, known := hostFunctions[imp.Name]
			if !known {
				return fmt.Errorf("it imports %s, which is not known", name)
			}
			if f.capability != "" && !v.plan.capabilities.has(f.capability) {
				return fmt.Errorf("it imports %s without the capability %s in its manifest", name, f.capability)
			}
			if err := sameType(name, imp.Type, meterTypes(f.params), meterTypes(f.results)); err != nil {
				return err
			}
			f.add(own, imp.Name)
		case wasiModule:
			addWASI(wasi, imp)
		default:
			return fmt.Errorf("it imports %s: only %s and %s can be imported from", name, abiModule, wasiModule)
		}
	}
	yield := v.runtime.NewHostModuleBuilder(meter.YieldModule)
	addYield(yield)
	for _, b := range []wazero.HostModuleBuilder{own, wasi, yield} {
		if _, err := b.Instantiate(ctx); err != nil {
			return err
		}
	}
	return nil
}

func meterTypes[T ~byte](types []T) []meter.ValueType {
	all := make([]meter.ValueType, len(types))
	for i, t := range types {
		all[i] = meter.ValueType(t)
	}
	return all
}

func sameType(name string, got meter.FuncType, params, results []meter.ValueType) error {
	if slices.Equal(got.Params, params) && slices.Equal(got.Results, results) {
		return nil
	}
	return fmt.Errorf("%s has the type %v -> %v, want %v -> %v", name, got.Params, got.Results, params, results)
}

// compile validates the original and compiles what the metering has made of it. The original is what has to be valid: what
// the metering adds could be what an invalid one refers to. The interpreter is quick to take it, and never runs it.
func (v *version) compile(ctx context.Context, file, metered []byte) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	validator := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithMemoryLimitPages(v.pages()))
	defer func() { _ = validator.Close(ctx) }() // has no files that could fail to close
	if _, err := validator.CompileModule(ctx, file); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	// With two of them it looks at the context after each function, and the other processors are left to all else.
	var err error
	v.compiled, err = v.runtime.CompileModule(experimental.WithCompilationWorkers(ctx, 2), metered)
	return err
}

// pages is how large the memory of an instance can become.
func (v *version) pages() uint32 { return uint32(min(v.manifest.Memory/pageSize, 65536)) }

// test makes the first instance and lets it test itself.
func (v *version) test(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	in, err := v.pool.take(nil)
	if err != nil {
		return err
	}
	if v.plan.events[EventSelfTest] {
		var t turn
		in.event.kind = EventSelfTest
		if err = v.perform(in, &t); err == nil && t.action == actionError {
			err = fmt.Errorf("its self-test fails: %w", t.err())
		}
	}
	v.put(in)
	return err
}

// make is instantiate with the bookkeeping.
func (v *version) make() (*instance, error) {
	in, err := v.instantiate()
	if err != nil {
		failure := v.fail("", "start", err)
		if failure.Kind == KindTrap { // what most programs do when they get no memory
			failure.Err = fmt.Errorf("%w; it has at most %d bytes of memory", failure.Err, v.manifest.Memory)
		}
		return nil, failure
	}
	v.module.stats.made.Add(1)
	v.module.stats.instances.Add(1)
	return in, nil
}

// put gives an instance back that has behaved.
func (v *version) put(in *instance) {
	if v.manifest.Affinity == Fresh {
		v.pool.renew(in, false)
		return
	}
	v.pool.put(in)
}

// hold keeps the version from being closed, unless it is on its way to that.
func (v *version) hold() bool {
	for {
		n := v.refs.Load()
		if n == 0 {
			return false
		}
		if v.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (v *version) release() {
	if v.refs.Add(-1) == 0 {
		v.closeSoon()
	}
}

// retire lets the version go when nobody uses it any more, and at the latest after a time.
func (v *version) retire(after time.Duration) {
	if after > 0 {
		v.mu.Lock()
		v.drain = time.AfterFunc(after, v.closeSoon)
		v.mu.Unlock()
	}
	v.release()
}

// closeSoon closes the version. It does not wait, since it may be called by somebody who has an instance.
func (v *version) closeSoon() { v.closing.Do(func() { go v.close() }) }

func (v *version) close() {
	v.mu.Lock()
	if v.drain != nil {
		v.drain.Stop()
	}
	timers, answers := v.timers, v.answers
	v.timers, v.answers = nil, nil
	v.mu.Unlock()
	for t := range timers {
		t.stop()
	}
	for a := range answers {
		if v, _ := a.take(true); v != nil {
			v.release()
		}
	}
	v.pool.close(v.last)
	v.dispose()

	m := v.module
	m.mu.Lock()
	defer m.mu.Unlock()
	m.versions = slices.DeleteFunc(m.versions, func(other *version) bool { return other == v })
	m.stats.versions.Add(-1)
	m.versionsChanged.Broadcast()
}

// last tells an instance that it is about to be closed, and fails what depends on it.
func (v *version) last(in *instance) {
	defer v.module.pending.lose(in)
	if !v.plan.events[EventDrain] {
		return
	}
	var t turn
	in.event.kind = EventDrain
	if err := v.perform(in, &t); err != nil {
		_ = v.fail("", EventDrain.String(), err) // for the hook
		return
	}
	v.flush(&t, nil)
}

// dispose gives back what was compiled. Nothing of it may be running.
func (v *version) dispose() {
	ctx := context.Background()
	v.pool.close(func(*instance) {}) // there are some when loading has failed
	_ = v.runtime.Close(ctx)         // all it could report is that a file system could not be closed
	if v.compiled != nil {
		_ = v.compiled.Close(ctx) // always nil
	}
}
