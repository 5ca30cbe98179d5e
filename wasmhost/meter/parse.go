package meter

import (
	"fmt"
	"math"
	"strings"
)

// Section ids, §5.5.2.
const (
	sectionCustom byte = iota
	sectionType
	sectionImport
	sectionFunction
	sectionTable
	sectionMemory
	sectionGlobal
	sectionExport
	sectionStart
	sectionElement
	sectionCode
	sectionData
	sectionDataCount
)

// sections are the known ones in the order in which they have to stand.
var sections = []struct {
	id   byte
	name string
	read func(*parser)
}{
	{sectionType, "type", (*parser).types},
	{sectionImport, "import", (*parser).imports},
	{sectionFunction, "function", (*parser).functions},
	{sectionTable, "table", (*parser).tables},
	{sectionMemory, "memory", (*parser).memories},
	{sectionGlobal, "global", (*parser).globals},
	{sectionExport, "export", (*parser).exports},
	{sectionStart, "start", (*parser).start},
	{sectionElement, "element", (*parser).elements},
	{sectionDataCount, "data count", (*parser).dataCount},
	{sectionCode, "code", (*parser).code},
	{sectionData, "data", (*parser).data},
}

// A span is a part of the module.
type span struct{ start, end int }

// A reference is a place where the module names a function outside of code.
type reference struct {
	span
	function uint32
}

// A parser reads a module, checks all but its types, and keeps what the
// rewriting needs.
type parser struct {
	reader
	limits        Limits
	sharedGlobals bool
	info          Info

	content  [sectionDataCount + 1]span // of each section; empty if there is none
	items    [sectionDataCount + 1]span // of its vector's elements
	refs     []reference                // in rising order
	funcs    []uint32                   // the type of each function, imported ones first
	imported struct{ funcs, globals, tables int }
	nGlobals int // imported ones included
	tableOf  []ValueType
	nElem    int
	nData    int
	segments []segment // of data, as long as all can be merged
	fixed    bool      // some data segment has to stay as it is
	declared int       // data segments that the data count section tells of, -1 without one
	mutable  []uint32  // globals whose values can be set from outside
	volatile bool      // something can change that cannot be set from outside
	bodies   []span
	leaves   []leaf // by function, nil while they are not known
	names    *names

	allTargets int    // of br_tables, in the bodies that have been read
	joins      uint64 // see Limits.Joins; of the same bodies
}

func (p *parser) module() {
	p.section = "header"
	p.limit(0, "bytes", uint64(len(p.reader.data)), uint64(p.limits.ModuleBytes))
	if len(p.reader.data) < 8 || string(p.reader.data[:8]) != "\x00asm\x01\x00\x00\x00" {
		p.malformed(0, "the magic number of WebAssembly and version 1", "not a module")
	}
	p.pos = 8
	next, customBytes := 0, 0
	for p.more() {
		at := p.pos
		p.section = "header"
		id := p.byte()
		size := p.u32()
		if id == sectionCustom {
			p.section = "custom"
			customBytes += int(min(size, math.MaxInt32))
			p.limit(at, "bytes in custom sections", uint64(customBytes), uint64(p.limits.CustomBytes))
			p.within(size, "custom section", func() { p.custom(at) })
			continue
		}
		i := next
		for i < len(sections) && sections[i].id != id {
			i++
		}
		if i == len(sections) {
			p.unexpected(at, id)
		}
		p.section = sections[i].name
		next = i + 1
		start := p.pos
		p.within(size, p.section+" section", func() { sections[i].read(p) })
		p.content[id] = span{start, p.pos}
	}
	p.complete()
}

func (p *parser) unexpected(at int, id byte) {
	for _, s := range sections {
		if s.id == id {
			p.malformed(at, "each section once and in its order", "misplaced %s section", s.name)
		}
	}
	p.fail(ErrUnsupported, at, "a section of WebAssembly 2.0", "unknown section %d", id)
}

// complete checks what only the end of the module decides.
func (p *parser) complete() {
	p.section = "header"
	if n := len(p.funcs) - p.imported.funcs; n != len(p.bodies) {
		p.malformed(p.pos, "a body for every function", "%d functions have %d bodies", n, len(p.bodies))
	}
	if p.declared >= 0 && p.declared != p.nData {
		p.malformed(p.pos, "equal numbers", "%d data segments where %d are declared", p.nData, p.declared)
	}
	p.info.Functions = len(p.bodies)
	p.info.Globals = p.nGlobals - p.imported.globals
}

// vector reads a vector and remembers where its elements are.
func (p *parser) vector(id byte, what string, limit int, element func(i int)) {
	n := p.count(what, limit)
	start := p.pos
	for i := range n {
		element(i)
	}
	p.items[id] = span{start, p.pos}
}

func (p *parser) types() {
	p.vector(sectionType, "types", p.limits.Types, func(int) {
		at := p.pos
		if form := p.byte(); form != 0x60 {
			p.fail(ErrUnsupported, at, "0x60, a function type", "type of the form 0x%02x", form)
		}
		p.info.Types = append(p.info.Types, FuncType{Params: p.valueTypes(), Results: p.valueTypes()})
	})
}

func (p *parser) valueTypes() []ValueType {
	n := p.count("parameters or results", p.limits.Params)
	if n == 0 {
		return nil
	}
	all := make([]ValueType, n)
	for i := range all {
		all[i] = p.valueType()
	}
	return all
}

func (p *parser) imports() {
	p.vector(sectionImport, "imports", p.limits.Imports, func(int) {
		at := p.pos
		m := Import{Module: p.name(), Name: p.name()}
		if strings.HasPrefix(m.Module, Reserved) {
			p.fail(ErrReserved, at, "other names than "+Reserved, "import from module %q", m.Module)
		}
		at = p.pos
		switch m.Kind = Kind(p.byte()); m.Kind {
		case KindFunction:
			m.Type = p.info.Types[p.signature()]
			p.imported.funcs++
		case KindTable:
			m.Value, m.Extent = p.table()
			p.imported.tables++
			p.volatile = true
		case KindMemory:
			m.Extent = p.memory()
			p.volatile = true
		case KindGlobal:
			if !p.sharedGlobals {
				p.fail(ErrUnsupported, at, "none, unless Options.ImportedGlobals is set", "imported global %q.%q", m.Module, m.Name)
			}
			m.Value, m.Mutable = p.globalType()
			p.imported.globals++
			p.declare(m.Value, m.Mutable, true)
		default:
			p.fail(ErrUnsupported, at, "a function, table, memory or global", "import of kind %d", m.Kind)
		}
		p.info.Imports = append(p.info.Imports, m)
	})
}

func (p *parser) functions() {
	p.vector(sectionFunction, "functions", p.limits.Functions, func(int) { p.signature() })
}

// signature reads the type of the next function.
func (p *parser) signature() uint32 {
	at := p.pos
	t := p.u32()
	p.index(at, "type", t, len(p.info.Types))
	p.funcs = append(p.funcs, t)
	return t
}

func (p *parser) tables() {
	p.vector(sectionTable, "tables", p.limits.Tables, func(int) { p.table() })
}

func (p *parser) table() (ValueType, Extent) {
	at := p.pos
	t, e := p.refType(), p.extent()
	p.tableOf = append(p.tableOf, t)
	p.info.Tables = append(p.info.Tables, e)
	p.limit(at, "tables", uint64(len(p.tableOf)), uint64(p.limits.Tables))
	p.limit(at, "elements in tables", p.elementsAtFirst(), uint64(p.limits.TableElements))
	return t, e
}

func (p *parser) memories() {
	p.vector(sectionMemory, "memories", 1, func(int) { p.memory() })
}

func (p *parser) memory() Extent {
	at := p.pos
	e := p.extent()
	p.limit(at, "pages of memory", uint64(e.Min), uint64(p.limits.MemoryPages))
	if e.Min > 1<<16 || e.HasMax && e.Max > 1<<16 {
		p.malformed(at, "at most 65536 pages", "memory of %d to %d pages", e.Min, e.Max)
	}
	p.info.Memories = append(p.info.Memories, e)
	if len(p.info.Memories) > 1 {
		p.fail(ErrUnsupported, at, "one", "several memories")
	}
	return e
}

func (p *parser) extent() Extent {
	at := p.pos
	var e Extent
	switch flags := p.byte(); flags {
	case 0:
		e = Extent{Min: p.u32()}
	case 1:
		e = Extent{Min: p.u32(), Max: p.u32(), HasMax: true}
		if e.Min > e.Max {
			p.malformed(at, "a maximum that is not below the minimum", "size of %d to %d", e.Min, e.Max)
		}
	default: // shared, or of 64 bits
		p.fail(ErrUnsupported, at, "0 or 1", "flags 0x%02x of a size", flags)
	}
	return e
}

func (p *parser) globals() {
	p.vector(sectionGlobal, "globals", p.limits.Globals, func(int) {
		t, mutable := p.globalType()
		p.constant()
		p.declare(t, mutable, false)
	})
}

func (p *parser) globalType() (ValueType, bool) {
	t := p.valueType()
	at := p.pos
	mutable := p.byte()
	if mutable > 1 {
		p.malformed(at, "0 or 1", "mutability %d", mutable)
	}
	return t, mutable == 1
}

// constant reads a constant expression, §3.3.10.
func (p *parser) constant() {
	at := p.pos
	switch op := p.byte(); op {
	case opI32Const:
		p.signed(32)
	case opI64Const:
		p.signed(64)
	case opF32Const:
		p.bytes(4)
	case opF64Const:
		p.bytes(8)
	case opGlobalGet:
		at := p.pos
		p.index(at, "global", p.u32(), p.nGlobals)
	case opRefNull:
		p.refType()
	case opRefFunc:
		p.reference()
	case prefixVector:
		if sub := p.u32(); sub != vecConst {
			p.fail(ErrUnsupported, at, "v128.const", "opcode 0xfd 0x%02x in a constant expression", sub)
		}
		p.bytes(16)
	default:
		p.fail(ErrUnsupported, at, "a constant", "opcode 0x%02x in a constant expression", op)
	}
	at = p.pos
	if op := p.byte(); op != opEnd {
		p.fail(ErrUnsupported, at, "the end of the constant expression", "opcode 0x%02x", op)
	}
}

// reference reads the index of a function outside of code.
func (p *parser) reference() uint32 {
	at := p.pos
	f := p.u32()
	p.index(at, "function", f, len(p.funcs))
	p.refs = append(p.refs, reference{span{at, p.pos}, f})
	return f
}

func (p *parser) exports() {
	seen := map[string]bool{}
	p.vector(sectionExport, "exports", p.limits.Exports, func(int) {
		at := p.pos
		e := Export{Name: p.name()}
		if strings.HasPrefix(e.Name, Reserved) {
			p.fail(ErrReserved, at, "other names than "+Reserved, "export %q", e.Name)
		}
		if seen[e.Name] {
			p.malformed(at, "unique names", "second export %q", e.Name)
		}
		seen[e.Name] = true
		at = p.pos
		e.Kind = Kind(p.byte())
		if e.Kind == KindFunction {
			f := p.reference()
			e.Index, e.Type = int(f), p.info.Types[p.funcs[f]]
			p.info.Exports = append(p.info.Exports, e)
			return
		}
		n := 0
		switch e.Kind {
		case KindTable:
			n = len(p.info.Tables)
		case KindMemory:
			n = len(p.info.Memories)
		case KindGlobal:
			n = p.nGlobals
		default:
			p.fail(ErrUnsupported, at, "a function, table, memory or global", "export of kind %d", e.Kind)
		}
		at = p.pos
		i := p.u32()
		p.index(at, e.Kind.String(), i, n)
		e.Index = int(i)
		p.info.Exports = append(p.info.Exports, e)
	})
}

func (p *parser) start() {
	p.info.Start = int(p.reference())
}

func (p *parser) elements() {
	total := 0
	p.vector(sectionElement, "element segments", p.limits.Elements, func(int) {
		at := p.pos
		flags := p.u32()
		if flags > 7 {
			p.fail(ErrUnsupported, at, "0 to 7", "flags %d of an element segment", flags)
		}
		// Bit 0: not active. Bit 1: a table index, or declarative. Bit 2: expressions, not functions.
		if flags&1 == 0 {
			table := uint32(0)
			at := p.pos
			if flags&2 != 0 {
				table = p.u32()
			}
			p.index(at, "table", table, len(p.tableOf))
			p.constant()
		}
		if flags&3 != 0 {
			if flags&4 != 0 {
				p.refType()
			} else {
				p.zero()
			}
		}
		at = p.pos
		n := p.count("elements", p.limits.Elements)
		total += n
		p.limit(at, "elements in all segments", uint64(total), uint64(p.limits.Elements))
		for range n {
			if flags&4 != 0 {
				p.constant()
			} else {
				p.reference()
			}
		}
		p.nElem++
	})
}

func (p *parser) dataCount() {
	at := p.pos
	n := p.u32()
	p.limit(at, "data segments", uint64(n), uint64(p.limits.DataSegments))
	p.declared = int(n)
}

func (p *parser) code() {
	n := p.count("function bodies", p.limits.Functions)
	if want := len(p.funcs) - p.imported.funcs; n != want {
		p.malformed(p.pos, fmt.Sprintf("%d, one for each function", want), "%d function bodies", n)
	}
	p.bodies = make([]span, n)
	for i := range p.bodies {
		at := p.pos
		size := p.u32()
		p.limit(at, "bytes in a function", uint64(size), uint64(p.limits.BodyBytes))
		start := p.pos
		p.bytes(size)
		p.bodies[i] = span{start, p.pos}
		p.info.CodeBytes += p.pos - at
	}
}

func (p *parser) data() {
	p.vector(sectionData, "data segments", p.limits.DataSegments, func(int) {
		at := p.pos
		var offset span
		flags := p.u32()
		if flags > 2 {
			p.fail(ErrUnsupported, at, "0 to 2", "flags %d of a data segment", flags)
		}
		if flags != 1 {
			memory := uint32(0)
			at := p.pos
			if flags == 2 {
				memory = p.u32()
			}
			p.index(at, "memory", memory, len(p.info.Memories))
			start := p.pos
			p.constant()
			offset = span{start, p.pos}
		}
		content := p.bytes(p.u32())
		p.segment(offset, content)
		p.info.DataBytes += len(content)
		p.nData++
	})
}

func (p *parser) custom(at int) {
	c := Custom{Name: p.name(), Offset: at}
	start := p.pos
	c.Data = p.bytes(uint32(p.end - p.pos))
	p.info.Custom = append(p.info.Custom, c)
	if c.Name == "name" {
		if p.names != nil {
			p.malformed(at, "one", "second name section")
		}
		p.section = "name"
		p.pos = start
		p.names = readNames(&p.reader)
	}
}
