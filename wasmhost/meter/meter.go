package meter

// Names that the rewritten module adds. A module that exports a name with the
// prefix [Reserved], or imports from a module with it, is refused.
const (
	Reserved = "protoo:"

	// FuelGlobal is the exported name of the global, a mutable i64, that holds
	// the fuel. It is 0 until the host sets it.
	FuelGlobal = "protoo:fuel"
	// YieldModule and YieldFunction name the function that the module imports,
	// of the type (i64) → i64. The module calls it when the fuel is below zero:
	// the parameter is the fuel, the result is what to go on with. While that is below zero, it may be called again at once.
	YieldModule   = "protoo:meter"
	YieldFunction = "yield"

	// GateFunction is the exported name of a function of the type (i32, i32, i32, i64) → (i64, i64), if [Options].Gate asks
	// for it. It sets the fuel to the last parameter, calls the function that the first one is the position of in
	// Gate with as many of the others as it has, and returns its result, or 0, and the fuel that is left.
	GateFunction = "protoo:gate"

	// StatePrefix begins the exported names of the module's mutable globals, if [Options].State asks for them.
	StatePrefix = "protoo:state:"
)

// Options says what is accepted. The zero value is safe: every limit has a
// default.
type Options struct {
	Limits Limits
	// ImportedGlobals accepts modules that import globals. They are refused
	// otherwise, because a global that is shared is a channel to other modules.
	ImportedGlobals bool
	// Gate names exported functions that can be called through one, GateFunction. Engines have a stack for each function that
	// they are asked for, and reading and writing the fuel takes longer than to pass it. They take one or two i32 or
	// nothing, and return an i64 or nothing: calling another one, or one that is not there, traps. The first is reached soonest.
	Gate []string
	// State asks for [Metered.State], for which the module's mutable globals are exported.
	State bool
}

// Metered is a rewritten module.
type Metered struct {
	// Code is the module in the binary format. It has no custom section but
	// "name", which is kept up to date for stack traces.
	Code []byte
	// Info describes the original module.
	Info Info
	// State is how an instance can be brought back into a state that it was in before, if Options.State asks for it; nil if that
	// cannot be done.
	State *State
}

// State is all that can change in an instance, besides the fuel. There is none for a module that could change a table or drop a
// segment, has more than 64 mutable globals, or one that is imported or no number.
type State struct {
	// Globals are the names under which the mutable globals are exported. The rest is the memory: its bytes, and its size, which
	// cannot become less.
	Globals []string
}

// Meter checks module and returns it rewritten. It does not change module, but
// keeps parts of it in Info. Every error is an [*Error]. Time and memory are
// proportional to the size of module.
func Meter(module []byte, o Options) (metered *Metered, err error) {
	defer func() {
		if r := recover(); r != nil {
			refused, ok := r.(*Error)
			if !ok {
				panic(r)
			}
			metered, err = nil, refused
		}
	}()
	p := &parser{
		reader:        reader{data: module, end: len(module), function: -1},
		limits:        o.Limits.orDefaults(),
		sharedGlobals: o.ImportedGlobals,
		info:          Info{Start: -1},
		declared:      -1,
	}
	p.module()
	metered = &Metered{Code: p.rewrite(o), Info: p.info}
	if o.State {
		metered.State = p.state()
	}
	return metered, nil
}
