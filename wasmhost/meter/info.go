package meter

// Info says what a module contains, as it was before it was rewritten. Its
// byte slices are parts of the module that [Meter] was given.
type Info struct {
	Types     []FuncType
	Imports   []Import
	Exports   []Export
	Memories  []Extent // declared and imported, in pages of 64 KiB
	Tables    []Extent // declared and imported, in elements
	Custom    []Custom
	Functions int // defined, not imported
	Globals   int // defined, not imported
	// Start is the index of the start function, -1 without one. It runs when
	// the module is instantiated and is metered like all others.
	Start int
	// CodeBytes is the size of the code section, DataBytes that of the contents of all
	// data segments.
	CodeBytes int
	DataBytes int
}

// Kind is what an import or export is.
type Kind byte

// The kinds in the order of the binary format, WebAssembly 2.0 §5.5.5.
const (
	KindFunction Kind = iota
	KindTable
	KindMemory
	KindGlobal
)

func (k Kind) String() string {
	switch k {
	case KindFunction:
		return "function"
	case KindTable:
		return "table"
	case KindMemory:
		return "memory"
	case KindGlobal:
		return "global"
	}
	return "unknown kind"
}

// ValueType is a type of values, in the encoding of WebAssembly 2.0 §5.3.
type ValueType byte

// The value types.
const (
	I32       ValueType = 0x7f
	I64       ValueType = 0x7e
	F32       ValueType = 0x7d
	F64       ValueType = 0x7c
	V128      ValueType = 0x7b
	FuncRef   ValueType = 0x70
	ExternRef ValueType = 0x6f
)

func (t ValueType) String() string {
	switch t {
	case I32:
		return "i32"
	case I64:
		return "i64"
	case F32:
		return "f32"
	case F64:
		return "f64"
	case V128:
		return "v128"
	case FuncRef:
		return "funcref"
	case ExternRef:
		return "externref"
	}
	return "unknown type"
}

// FuncType is the type of a function.
type FuncType struct {
	Params, Results []ValueType
}

// Import is something that a module takes from another.
type Import struct {
	Module, Name string
	Kind         Kind
	Type         FuncType  // of a function
	Extent       Extent    // of a table or memory
	Value        ValueType // of a global, or of a table's elements
	Mutable      bool      // of a global
}

// Export is something that a module gives to its host.
type Export struct {
	Name  string
	Kind  Kind
	Index int      // in the index space of its kind, imports first
	Type  FuncType // of a function
}

// Extent is the size of a memory or table.
type Extent struct {
	Min    uint32
	Max    uint32 // only if HasMax
	HasMax bool
}

// Custom is a custom section.
type Custom struct {
	Name   string
	Data   []byte // after the name
	Offset int    // of the section's id in the module
}

// Import returns the import of this name, or nil.
func (i *Info) Import(module, name string) *Import {
	for n := range i.Imports {
		if m := &i.Imports[n]; m.Module == module && m.Name == name {
			return m
		}
	}
	return nil
}

// Export returns the export of this name, or nil.
func (i *Info) Export(name string) *Export {
	for n := range i.Exports {
		if e := &i.Exports[n]; e.Name == name {
			return e
		}
	}
	return nil
}

// Section returns the last custom section of this name, or nil.
func (i *Info) Section(name string) *Custom {
	for n := len(i.Custom) - 1; n >= 0; n-- {
		if c := &i.Custom[n]; c.Name == name {
			return c
		}
	}
	return nil
}
