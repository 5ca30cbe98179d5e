package meter

// Limits bounds what a module may declare. Zero stands for the default, which
// is given with each field.
//
// Memory is limited by what it starts with, since the host limits what it grows to. Engines limit tables by
// their maximum alone, so the rewritten module has one for each.
type Limits struct {
	ModuleBytes   int // 16 MiB, of the whole module
	Types         int // 10,000
	Imports       int // 1,000
	Functions     int // 50,000, without imported ones
	Tables        int // 16, with imported ones
	TableElements int // 100,000, in all tables together, also when they have grown
	MemoryPages   int // 1,024, which are 64 MiB
	Globals       int // 10,000, without imported ones
	Exports       int // 10,000
	Elements      int // 100,000, in all element segments together
	DataSegments  int // 100,000; a program in Go has tens of thousands
	CustomBytes   int // 8 MiB, in all custom sections together
	BodyBytes     int // 1 MiB, of one function
	Locals        int // 5,000, of one function, with its parameters
	Params        int // 64, and as many results, of one type
	Depth         int // 5,000, of nested blocks; programs in Go have one for each basic block
	Loops         int // 100, nested in each other
	BranchLocals  int // 1,000,000, the branches of one function times its locals: an engine may have a value for each; in programs in Go 16,000

	// At each place where ways meet: the ways, times the branches since the block began, times the function's locals. 1,000,000,000 in all
	// functions together, and 500 more for each byte of the module. Engines look along all those ways for the values of locals, which takes some
	// nanoseconds for each.
	Joins int

	BranchTargets int // 10,000, in all br_tables of one function; the module can have one more for 16 bytes of it
}

func (l Limits) orDefaults() Limits {
	def := func(n *int, d int) {
		if *n == 0 {
			*n = d
		}
	}
	def(&l.ModuleBytes, 16<<20)
	def(&l.Types, 10_000)
	def(&l.Imports, 1_000)
	def(&l.Functions, 50_000)
	def(&l.Tables, 16)
	def(&l.TableElements, 100_000)
	def(&l.MemoryPages, 1_024)
	def(&l.Globals, 10_000)
	def(&l.Exports, 10_000)
	def(&l.Elements, 100_000)
	def(&l.DataSegments, 100_000)
	def(&l.CustomBytes, 8<<20)
	def(&l.BodyBytes, 1<<20)
	def(&l.Locals, 5_000)
	def(&l.Params, 64)
	def(&l.Depth, 5_000)
	def(&l.Loops, 100)
	def(&l.BranchLocals, 1_000_000)
	def(&l.Joins, 1_000_000_000)
	def(&l.BranchTargets, 10_000)
	return l
}
