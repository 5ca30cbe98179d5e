// Package meter rewrites WebAssembly modules so that running them uses fuel, and
// stops or yields when there is none.
//
// Go can neither interrupt compiled WebAssembly nor collect garbage while it
// runs. Code that counts what it does can be stopped anywhere it loops, and
// calls the host so often that the scheduler and the collector get their turn.
//
// # Contract with the host
//
// [Meter] is the first to see a module. It bounds every number in it, which
// engines reserve memory for before they look further. Then the host has the
// engine compile the ORIGINAL module, which checks its types, and only then
// compiles and runs [Metered.Code]. Both checks are needed: a module that is not valid could become so
// by what is added to it. Meter itself refuses every index that does not exist in the original, of functions, globals,
// types, locals, tables and data, so that nothing that is added can be named by the module.
//
// The rewritten module exports a mutable i64 global, [FuelGlobal], and imports one
// function (i64) → i64, [YieldFunction] of module [YieldModule]. Code takes from the
// global before it does its work. When a check finds it below zero, it calls the function with the
// fuel and goes on with what that returns. The host either refills, or ends the
// call with a panic. The global is 0 in a new instance: a start function, or a call
// for which nobody set it, begins with a yield.
//
// [Budget] is the arithmetic of that. With wazero:
//
//	yield := func(ctx context.Context, stack []uint64) { // an api.GoFunc
//		b := ctx.Value(key{}).(*meter.Budget)
//		fuel, ok := b.Refill(int64(stack[0]))
//		if !ok {
//			panic(ErrOutOfFuel) // the caller of the guest's function gets an error that wraps it
//		}
//		stack[0] = uint64(fuel)
//	}
//	fuel := instance.ExportedGlobal(meter.FuelGlobal).(api.MutableGlobal) // once per instance
//	...
//	fuel.Set(uint64(b.Start()))
//	err := fn.CallWithStack(context.WithValue(ctx, key{}, b), stack)
//	used := b.Used(int64(fuel.Get()))
//
// [Options].Gate asks for a function that does what is left of this around a call: it is given the fuel and returns what
// remains. [Options].State makes it possible to put an instance back into a state that it was in before, for example after a trap.
//
// The global is up to date in host functions and after traps. A host function may charge
// for its own work: it subtracts from the global.
//
// # What is charged
//
// One unit is about an addition. Block, loop, end, else and nop are free.
//
//	an instruction that is not listed         1
//	a loop's head                             1
//	division, remainder, square root          8
//	call                                      4
//	call_indirect                             8
//	entry of a function                      16, and 2 for each parameter and local
//	entry of a function that calls others    48 more, which bounds the stack of a recursion
//	memory.fill, copy, init                  16, and 1 for 8 bytes
//	table.fill, copy, init                   16, and 1 for each element
//	memory.grow                             128, and 8192 for a page that was added
//	table.grow                               16, and 1 for each element
//	data.drop, elem.drop                     16
//
// A bulk operation is paid for before it runs, as far as its length says. One that traps or fails has
// paid, too. Growing a memory is paid for afterwards, because programs go on when it fails: the host's limit on memory bounds
// what it does before.
//
// # How
//
// A function is cut into regions: code that runs as often as its first
// instruction. A region is charged there at once. Code after a block belongs to
// the region before it if no branch leads out of the block to somewhere else, so straight code with loops and conditions
// in it stays one region. A conditional region of up to 8 units is charged where its
// condition is, and the rest of a loop after the test at its head up to 64,
// whether it runs or not. So what is charged is at least what was done, and at most a constant times it, traps aside:
// a trap leaves what was paid in advance unused.
//
// There is a check before each iteration of a loop and at the entry of each function but those
// without calls and loops that cost up to 64 in all. Every endless execution passes checks. Between two of them lies what
// one function can do without loops, whose size [Limits] bounds.
//
// Of those small functions many cost the same each time: leaves. They are in the rewritten module twice, and the copy charges
// nothing. Direct calls go to the copy, and what it costs is charged with the region that the call is in; exports, tables, references
// and the start function have the original. Nothing in the module can name the copy.
//
// Fuel depends on the module and its input alone, not on the engine or the slices.
//
// # What changes
//
// Imported functions come first in the index space, so the one that is added moves all others up by one: calls, element
// segments, exports, the start function and the name section are adapted. Custom sections other than
// names are left out, as positions in the code would be wrong; [Info] has the original ones. Every table gets a maximum, so that
// all together stay within [Limits]; what imported ones grow to is for the host to limit. The code grows by half,
// about, and more if it has many small functions. Data segments that are close to each other become one, with the zeros between them, where that makes no
// difference: engines write them one by one into each new instance, and a program in Go has tens of thousands.
//
// A start function is metered like all others. Imported globals are refused unless
// [Options] say otherwise. What is not in WebAssembly 2.0 is refused: threads, tail
// calls, garbage collection, exceptions, 64-bit memories, several memories, relaxed SIMD.
package meter
