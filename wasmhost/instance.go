package wasmhost

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/protoo-go/protoo/wasmhost/meter"
)

// An instance is a module's memory with what is needed to run it. One goroutine at a time has it, the one
// that took it from the pool. It is the context of the calls into the module, which is how host
// functions find it.
type instance struct {
	context.Context // the version's, until the instance is made

	version *version
	mod     api.Module
	memory  api.Memory
	gate    api.Function // to all functions of the module
	fuel    api.MutableGlobal
	left    int64 // of the fuel, between calls
	budget  meter.Budget
	yields  int  // of the call
	long    bool // has a place among the long calls
	stack   [4]uint64
	ptr     uint32 // the module's buffer
	cap     uint32
	began   time.Time // monotonic time counts from here

	busy  atomic.Bool
	dead  bool // guarded by the pool's lock
	asked bool // the host for what may be different the next time

	event   event
	strs    *interner
	outbox  []message
	scratch []byte // for values on their way into the module
	line    []byte // what the module has printed of an unfinished line
}

// instantiate makes an instance: the module's start function and _initialize run, then protoo_init, then
// it gets its settings.
func (v *version) instantiate() (*instance, error) {
	in := &instance{Context: v.context, version: v, began: time.Now(), strs: new(interner)}
	in.budget.Total = v.limits.InitFuel
	defer in.ended()
	mod, err := v.runtime.InstantiateModule(in, v.compiled, v.config)
	if err != nil {
		return nil, err
	}
	in.mod, in.memory = mod, mod.Memory()
	in.gate = mod.ExportedFunction(meter.GateFunction)
	in.meet(mod)
	in.left = int64(in.fuel.Get())
	in.Context = context.Background() // the engine looks for values at every call, and there are none any more
	if err := in.initialize(); err != nil {
		_ = mod.Close(in) // the error that counts is err
		return nil, err
	}
	v.memories.expect(in.memory.Size())
	v.keepImage(in)
	return in, nil
}

// moduleConfig has a source of randomness that nobody reads: wazero would seed one for every instance, which takes longer
// than all the rest.
var moduleConfig = wazero.NewModuleConfig().WithName("").WithStartFunctions().WithRandSource(rand.Reader)

func (in *instance) initialize() error {
	if in.version.starts {
		if _, err := in.enter(callStart, 0, 0); err != nil {
			return err
		}
	}
	buffer, err := in.enter(callInit, uint64(in.version.plan.capabilities), 0)
	if err != nil {
		return err
	}
	if err := in.setBuffer(buffer); err != nil {
		return err
	}
	if in.version.plan.events[EventConfiguration] {
		in.event.kind, in.event.token, in.event.data = EventConfiguration, noToken, in.version.settings
		if err := in.tell(); err != nil {
			return err
		}
	}
	used := in.budget.Used(in.left)
	in.version.module.stats.fuel.Add(uint64(used))
	if used > in.version.fuel {
		// The engine keeps a stack that has grown. It may have grown more than an event could have it.
		in.gate = in.mod.ExportedFunction(meter.GateFunction)
	}
	in.reset() // above all the token, which everybody knows
	return nil
}

// tell runs an event that the module can only agree with or refuse. The fuel is what there is.
func (in *instance) tell() error {
	size, err := in.writeFrame()
	if err != nil {
		return err
	}
	r, err := in.enter(callOn, uint64(in.event.kind), uint64(size))
	if err != nil {
		return err
	}
	var o outcome
	if err := in.read(result(r), &o); err != nil {
		return err
	}
	if o.action == actionError {
		return fmt.Errorf("the module refuses its %v: %w", in.event.kind, o.err())
	}
	return nil
}

// setBuffer takes a pointer and a size, as protoo_init and protoo_buffer return them.
func (in *instance) setBuffer(v uint64) error {
	ptr, size := uint32(v>>32), uint32(v)
	size = min(size, uint32(in.version.limits.Frame))
	if _, ok := in.memory.Read(ptr, size); !ok || size < frameHead {
		return fmt.Errorf("buffer of %d bytes at %d: %w", size, ptr, errAccess)
	}
	in.ptr, in.cap = ptr, size
	return nil
}

// ended gives back the place among the long calls.
func (in *instance) ended() {
	if in.long {
		in.long = false
		<-in.version.module.host.long
	}
	in.yields = 0
}

// enter calls a function of the module with the fuel that is left.
func (in *instance) enter(function int, a, b uint64) (uint64, error) {
	return in.entered(in.gate.CallWithStack(in, in.args(function, a, b)))
}

// args are what the gate takes. They are written one by one, because an array that is copied is read while it is on its way to the cache.
func (in *instance) args(function int, a, b uint64) []uint64 {
	s := &in.stack
	s[0], s[1], s[2], s[3] = uint64(function), a, b, uint64(in.left)
	return s[:]
}

// entered returns what the gate has returned.
func (in *instance) entered(err error) (uint64, error) {
	if err != nil {
		in.left = int64(in.fuel.Get())
		return 0, err
	}
	in.left = int64(in.stack[1])
	return in.stack[0], nil
}

// noToken is in place of a token when an instance is made, which is to lead to the same each time.
const noToken = 1

// newToken returns a name for a request that cannot be guessed. The runtime's generator is ChaCha8.
func newToken() uint64 {
	for {
		if t := mathrand.Uint64(); t != 0 {
			return t
		}
	}
}

// writeFrame puts the event into the module's buffer, and returns the frame's size.
func (in *instance) writeFrame() (int, error) {
	if in.event.token == 0 {
		in.event.token = newToken()
	}
	for attempt := 0; ; attempt++ {
		buf, ok := in.memory.Read(in.ptr, in.cap)
		if !ok {
			return 0, errAccess
		}
		var w frameWriter
		w.begin(buf)
		in.event.write(&w, in.version.plan.push[in.event.kind])
		size := w.end(in.event.token)
		if size <= len(buf) {
			return size, nil
		}
		if attempt > 0 || size > in.version.limits.Frame {
			return 0, &tooLargeError{size, min(len(buf), in.version.limits.Frame)}
		}
		if !in.version.canGrow {
			return 0, &tooLargeError{size, len(buf)}
		}
		buffer, err := in.enter(callBuffer, uint64(size), 0)
		if err != nil {
			return 0, err
		}
		if err := in.setBuffer(buffer); err != nil {
			return 0, err
		}
	}
}

// tooLargeError says that an event's frame does not fit. The instance is as good as before.
type tooLargeError struct{ size, limit int }

func (e *tooLargeError) Error() string {
	return fmt.Sprintf("frame of %d bytes, the module takes %d", e.size, e.limit)
}

// badResultError says that a module returned what is not a result.
type badResultError struct{ err error }

func (e *badResultError) Error() string { return e.err.Error() }
func (e *badResultError) Unwrap() error { return e.err }

func badResult(format string, args ...any) error { return &badResultError{fmt.Errorf(format, args...)} }

// read takes a result and the frame that belongs to it. What of the outcome is not a string is part of the module's
// memory, and valid as long as the caller has the instance.
func (in *instance) read(r result, o *outcome) error {
	o.action = r.action()
	flags := r.flags()
	switch {
	case o.action >= numActions:
		return badResult("action %d is not known", o.action)
	case flags&^knownFlags != 0:
		return badResult("flags %#x are not known", flags&^knownFlags)
	}
	o.watch, o.changes, o.told = flags&flagWatch != 0, flags&flagChanges != 0, flags&flagReturned != 0
	size := r.length()
	if size == 0 {
		if o.changes || o.action == actionReply {
			return badResult("the result has no frame")
		}
		return nil
	}
	if size > in.cap {
		return badResult("frame of %d bytes in a buffer of %d", size, in.cap)
	}
	frame, ok := in.memory.Read(in.ptr, size)
	if !ok {
		return errAccess
	}
	if !in.pay(int64(size) * costParsed) {
		return errFuel
	}
	if err := o.read(frame, in.version.limits.Carry, in.strs); err != nil {
		return &badResultError{err}
	}
	return nil
}

// pay is charge for what is done when the module has returned. It reports false if there is not enough fuel.
func (in *instance) pay(units int64) bool {
	in.left -= units
	if in.left >= 0 {
		return true
	}
	var ok bool
	in.left, ok = in.budget.Refill(in.left)
	return ok
}

// reset forgets the event: an idle instance keeps nothing of it alive, and the next one finds nothing of it.
func (in *instance) reset() {
	in.event = event{}
}

func (in *instance) close() { _ = in.mod.Close(in) } // only a file system could fail here, and there is none

// meet finds the module's fuel. A start function calls the host before the engine has handed out what it belongs to.
func (in *instance) meet(mod api.Module) {
	if in.fuel == nil {
		in.fuel = mod.ExportedGlobal(meter.FuelGlobal).(api.MutableGlobal)
	}
}

// charge takes the cost of a host function's own work from the module's fuel, so that calling the host
// is no way around the limit. It ends the call if there is not enough: what could be much is paid for before it is done.
func (in *instance) charge(units int64) {
	fuel := int64(in.fuel.Get()) - units
	in.fuel.Set(uint64(fuel))
	if fuel < 0 {
		in.fuel.Set(uint64(in.refill(fuel)))
	}
}

// patience is how often a call yields before it counts as long, after a million units of fuel.
const patience = 10

// refill gives the module its next share of fuel, and others their turn. It ends the call if all is used up.
func (in *instance) refill(fuel int64) int64 {
	fuel, ok := in.budget.Refill(fuel)
	if !ok {
		panic(errFuel)
	}
	if in.yields++; in.yields == patience {
		in.version.module.host.long <- struct{}{} // waits for others that are long, which fuel ends if nothing else does
		in.long = true
	}
	runtime.Gosched()
	return fuel
}

// name returns a text that names something, and false if it is not valid UTF-8.
func (in *instance) name(mod api.Module, ptr, size uint64) (string, bool) {
	text := slice(mod, ptr, size)
	in.charge(int64(len(text)) * costParsed)
	return in.strs.text(text)
}

// slice returns a part of a module's memory, or ends the call.
func slice(mod api.Module, ptr, size uint64) []byte {
	b, ok := mod.Memory().Read(uint32(ptr), uint32(size))
	if !ok {
		panic(errAccess)
	}
	return b
}

// survives tells whether an instance is as good as before after a call has failed with err.
func survives(err error) bool { return err == nil || errors.As(err, new(*tooLargeError)) }
