package wasm

import (
	"encoding/binary"
	"slices"
)

// A module is a WebAssembly module that is put together from instructions. Imports come before functions.
type module struct {
	types, imports, funcs, exports, bodies [][]byte
	data                                   []byte // at dataAt
}

const dataAt = 4096

// valueTypes are those of a text: i for i32, l for i64.
func valueTypes(text string) []byte {
	t := uleb(len(text))
	for _, c := range text {
		t = append(t, map[rune]byte{'i': 0x7f, 'l': 0x7e}[c])
	}
	return t
}

func (m *module) typeOf(params, results string) []byte {
	t := seq([]byte{0x60}, valueTypes(params), valueTypes(results))
	i := slices.IndexFunc(m.types, func(other []byte) bool { return slices.Equal(t, other) })
	if i < 0 {
		i = len(m.types)
		m.types = append(m.types, t)
	}
	return uleb(i)
}

// imported adds an import and returns the instruction that calls it.
func (m *module) imported(from, name, params, results string) []byte {
	m.imports = append(m.imports, seq(text(from), text(name), []byte{0}, m.typeOf(params, results)))
	return m.call(len(m.imports) - 1)
}

// fn adds a function, exports it if it has a name, and returns the instruction that calls it. Behind the parameters it has four
// locals of type i32.
func (m *module) fn(name, params, results string, code ...[]byte) []byte {
	i := m.next()
	if name != "" {
		m.exports = append(m.exports, seq(text(name), []byte{0}, uleb(i)))
	}
	m.funcs = append(m.funcs, m.typeOf(params, results))
	body := seq([]byte{1, 4, 0x7f}, seq(code...), end)
	m.bodies = append(m.bodies, seq(uleb(len(body)), body))
	return m.call(i)
}

// next is the number of the next function.
func (m *module) next() int { return len(m.imports) + len(m.funcs) }

func (m *module) call(i int) []byte { return append([]byte{0x10}, uleb(i)...) }

// put adds data and returns where it will be.
func (m *module) put(data []byte) int {
	m.data = append(m.data, make([]byte, -len(m.data)&7)...)
	at := dataAt + len(m.data)
	m.data = append(m.data, data...)
	return at
}

// bytes is the module, with a memory of one page.
func (m *module) bytes() []byte {
	out := []byte("\x00asm\x01\x00\x00\x00")
	section := func(id byte, content []byte) { out = append(out, seq([]byte{id}, uleb(len(content)), content)...) }
	section(1, vector(m.types...))
	section(2, vector(m.imports...))
	section(3, vector(m.funcs...))
	section(5, vector([]byte{0, 1}))
	section(7, vector(append(m.exports, seq(text("memory"), []byte{2, 0}))...))
	section(10, vector(m.bodies...))
	section(11, vector(seq([]byte{0}, num(dataAt), end, uleb(len(m.data)), m.data)))
	return out
}

// Instructions, see section 5.4 of the WebAssembly specification.
var (
	drop       = []byte{0x1a}
	ret        = []byte{0x0f}
	end        = []byte{0x0b}
	loop       = []byte{0x03, 0x40}
	ifThen     = []byte{0x04, 0x40}
	again      = []byte{0x0c, 0} // br 0
	againIf    = []byte{0x0d, 0} // br_if 0
	equal      = []byte{0x46}
	less       = []byte{0x49}
	add        = []byte{0x6a}
	sub        = []byte{0x6b}
	remainder  = []byte{0x70}
	and        = []byte{0x71}
	wrap       = []byte{0xa7}
	extend     = []byte{0xad}
	load8      = []byte{0x2d, 0, 0}
	load16     = []byte{0x2f, 1, 0}
	load32     = []byte{0x28, 2, 0}
	load64     = []byte{0x29, 3, 0}
	store8     = []byte{0x3a, 0, 0}
	store32    = []byte{0x36, 2, 0}
	store64    = []byte{0x37, 3, 0}
	memoryCopy = []byte{0xfc, 10, 0, 0}
	memoryFill = []byte{0xfc, 11, 0}
	memoryGrow = []byte{0x40, 0}
)

func seq(code ...[]byte) []byte     { return slices.Concat(code...) }
func get(i int) []byte              { return []byte{0x20, byte(i)} }
func set(i int) []byte              { return []byte{0x21, byte(i)} }
func num(n int) []byte              { return sleb([]byte{0x41}, int64(n)) }
func num64(n int64) []byte          { return sleb([]byte{0x42}, n) }
func uleb(n int) []byte             { return binary.AppendUvarint(nil, uint64(n)) }
func text(s string) []byte          { return append(uleb(len(s)), s...) }
func vector(items ...[]byte) []byte { return append(uleb(len(items)), seq(items...)...) }

func sleb(b []byte, n int64) []byte {
	for {
		c := byte(n & 0x7f)
		n >>= 7
		if n == 0 && c&0x40 == 0 || n == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}
