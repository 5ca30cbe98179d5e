package wasmhost

import (
	"encoding/binary"
	"slices"
)

// A guest is a module for tests, put together from instructions. It has one page of memory, or more, the
// buffer at bufferAt and what data adds behind dataAt.
type guest struct {
	manifest  *Manifest
	imports   []string // functions of the host that it imports, all of wasi_snapshot_preview1 with that name in front
	on        []byte   // the body of protoo_on(event, length)
	init      []byte   // the body of protoo_init(flags), by default it returns the buffer
	buffer    []byte   // the body of protoo_buffer(need), none by default
	start     []byte   // the body of _initialize, none by default
	section   []byte   // the body of a start function, none by default
	startType []byte   // the type of _initialize, () -> () by default
	helpers   [][]byte // bodies of functions () -> (), called with helper
	cap       uint32   // of the buffer, bufferCap by default
	pages     uint32
	maxPages  uint32
	data      []byte
	table     bool // whether there is one, which has an element and no maximum
}

const (
	bufferAt  = 1024
	bufferCap = 8192
	dataAt    = 16384
)

// Instructions, see section 5.4 of the WebAssembly specification.
var (
	unreachable = []byte{0x00}
	drop        = []byte{0x1a}
	ret         = []byte{0x0f}
	end         = []byte{0x0b}
	loop        = []byte{0x03, 0x40}
	ifThen      = []byte{0x04, 0x40}
	again       = []byte{0x0c, 0} // br 0
	againIf     = []byte{0x0d, 0} // br_if 0
	eq          = []byte{0x46}
	ne          = []byte{0x47}
	add         = []byte{0x6a}
	sub         = []byte{0x6b}
	or64        = []byte{0x84}
	extend      = []byte{0xad}
	memoryCopy  = []byte{0xfc, 10, 0, 0}
	memoryFill  = []byte{0xfc, 11, 0}
	memoryGrow  = []byte{0x40, 0}
	nullFunc    = []byte{0xd0, 0x70}
	tableGrow   = []byte{0xfc, 15, 0}
)

func num(n int) []byte     { return appendSigned([]byte{0x41}, int64(n)) }
func num64(n int64) []byte { return appendSigned([]byte{0x42}, n) }
func local(i int) []byte   { return []byte{0x20, byte(i)} }
func assign(i int) []byte  { return []byte{0x21, byte(i)} }
func load(at int) []byte {
	return append(num(at), 0x28, 2, 0)
}
func load64(at int) []byte { return append(num(at), 0x29, 0, 0) }
func store(at int, value ...[]byte) []byte {
	return append(append(num(at), slices.Concat(value...)...), 0x36, 2, 0)
}

func store64(at int, value ...[]byte) []byte {
	return append(append(num(at), slices.Concat(value...)...), 0x37, 0, 0)
}

func seq(code ...[]byte) []byte { return slices.Concat(code...) }

func appendSigned(b []byte, n int64) []byte {
	for {
		c := byte(n & 0x7f)
		n >>= 7
		if n == 0 && c&0x40 == 0 || n == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

func uleb(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) }

func vector(items ...[]byte) []byte { return append(uleb(len(items)), slices.Concat(items...)...) }

func named(name string) []byte { return append(uleb(len(name)), name...) }

// call calls an imported function.
func (g *guest) call(name string) []byte {
	i := slices.Index(g.imports, name)
	if i < 0 {
		g.imports = append(g.imports, name)
		i = len(g.imports) - 1
	}
	return append([]byte{0x10}, uleb(i)...)
}

// helper calls a helper. All imports must be known before.
func (g *guest) helper(i int) []byte { return append([]byte{0x10}, uleb(len(g.imports)+i)...) }

// put adds data to the module and returns its address.
func (g *guest) put(data []byte) int {
	for len(g.data)%8 != 0 {
		g.data = append(g.data, 0)
	}
	at := dataAt + len(g.data)
	g.data = append(g.data, data...)
	return at
}

// give returns the instructions that end protoo_on with a result and a frame.
func (g *guest) give(a action, flags int, frame []byte) []byte {
	r := int64(len(frame))<<32 | int64(flags)<<8 | int64(a)
	if len(frame) == 0 {
		return seq(num64(r), ret)
	}
	return seq(num(bufferAt), num(g.put(frame)), num(len(frame)), memoryCopy, num64(r), ret)
}

// onEvent wraps instructions so that they run for one event only.
func onEvent(e Event, code ...[]byte) []byte {
	return seq(local(0), num(int(e)), eq, ifThen, seq(code...), end)
}

var (
	typeVoid  = []byte{0x60, 0, 0}
	typeInit  = []byte{0x60, 1, 0x7f, 1, 0x7e}
	typeOn    = []byte{0x60, 2, 0x7f, 0x7f, 1, 0x7e}
	wasiTypes = map[string][]byte{
		"proc_exit": {0x60, 1, 0x7f, 0}, "fd_write": {0x60, 4, 0x7f, 0x7f, 0x7f, 0x7f, 1, 0x7f},
		"sock_send": {0x60, 5, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 1, 0x7f},
	}
	wasiPrefix = wasiModule + "."
)

// bytes assembles the module, with its manifest.
func (g *guest) bytes() []byte {
	code := g.code()
	if g.manifest == nil {
		return code
	}
	file, err := AppendManifest(code, g.manifest)
	if err != nil {
		panic(err)
	}
	return file
}

func (g *guest) code() []byte {
	types := [][]byte{typeVoid, typeInit, typeOn}
	typeOf := func(t []byte) int {
		if i := slices.IndexFunc(types, func(other []byte) bool { return string(other) == string(t) }); i >= 0 {
			return i
		}
		types = append(types, t)
		return len(types) - 1
	}
	var imports, funcs, exports, bodies [][]byte
	for _, name := range g.imports {
		module, t := abiModule, []byte(nil)
		if len(name) > len(wasiPrefix) && name[:len(wasiPrefix)] == wasiPrefix {
			module, name = wasiModule, name[len(wasiPrefix):]
			t = wasiTypes[name]
		} else if f, ok := hostFunctions[name]; ok {
			t = append([]byte{0x60, byte(len(f.params))}, f.params...)
			t = append(append(t, byte(len(f.results))), f.results...)
		}
		if t == nil {
			t = typeVoid
		}
		imports = append(imports, seq(named(module), named(name), []byte{0}, uleb(typeOf(t))))
	}
	fn := func(name string, t, body []byte) {
		if name != "" {
			exports = append(exports, seq(named(name), []byte{0}, uleb(len(imports)+len(funcs))))
		}
		funcs = append(funcs, uleb(typeOf(t)))
		body = seq([]byte{1, 4, 0x7f}, body, end) // four locals of type i32
		bodies = append(bodies, append(uleb(len(body)), body...))
	}
	for _, body := range g.helpers {
		fn("", typeVoid, body)
	}
	fn(exportMarker, typeVoid, nil)
	init := g.init
	if init == nil {
		size := g.cap
		if size == 0 {
			size = bufferCap
		}
		init = num64(bufferAt<<32 | int64(size))
	}
	fn(exportInit, typeInit, init)
	fn(exportOn, typeOn, seq(g.on, num64(0)))
	if g.buffer != nil {
		fn(exportBuffer, typeInit, g.buffer)
	}
	if g.start != nil {
		if g.startType == nil {
			g.startType = typeVoid
		}
		fn(exportStart, g.startType, g.start)
	}
	start := len(imports) + len(funcs)
	if g.section != nil {
		fn("", typeVoid, g.section)
	}
	exports = append(exports, seq(named(exportMemory), []byte{2, 0}))
	pages := max(g.pages, 1)
	memory := seq([]byte{0}, uleb(int(pages)))
	if g.maxPages > 0 {
		memory = seq([]byte{1}, uleb(int(pages)), uleb(int(g.maxPages)))
	}
	out := []byte("\x00asm\x01\x00\x00\x00")
	section := func(id byte, content []byte) {
		out = append(append(append(out, id), uleb(len(content))...), content...)
	}
	section(1, vector(types...))
	if len(imports) > 0 {
		section(2, vector(imports...))
	}
	section(3, vector(funcs...))
	if g.table {
		section(4, vector([]byte{0x70, 0, 1}))
	}
	section(5, vector(memory))
	section(7, vector(exports...))
	if g.section != nil {
		section(8, uleb(start))
	}
	section(10, vector(bodies...))
	if len(g.data) > 0 {
		section(11, vector(seq([]byte{0}, num(dataAt), end, uleb(len(g.data)), g.data)))
	}
	return out
}

// frame makes a frame with the fields that build adds.
func frame(build func(w *frameWriter)) []byte {
	w := frameWriter{}
	w.begin(make([]byte, 64<<10))
	build(&w)
	return w.buf[:w.end(0)]
}

// manifest returns a manifest for tests.
func manifest(events ...Event) *Manifest {
	m := &Manifest{Name: "test", Version: "1"}
	for _, e := range events {
		m.Events = append(m.Events, e.String())
	}
	return m
}

func (m *Manifest) can(c ...Capability) *Manifest {
	m.Capabilities = c
	return m
}

func (m *Manifest) push(fields ...string) *Manifest {
	m.Fields = fields
	return m
}

func (m *Manifest) on(a Affinity) *Manifest {
	m.Affinity = a
	return m
}
