// Package moduletest makes small WebAssembly modules for tests, without a toolchain.
package moduletest

import (
	"encoding/binary"
	"testing"

	"github.com/protoo-go/protoo/wasmhost"
)

// A Module answers every event in the same way. The numbers are those of wasmhost/ABI.md.
type Module struct {
	Manifest wasmhost.Manifest
	Action   int
	Changes  bool
	Fields   []Field // of its answer
	Log      string  // what it logs at each event, at the level info
	Trap     bool    // instead of an answer
}

// A Field is one of a frame.
type Field struct {
	ID    uint16
	Key   string
	Value string
}

// Status is the field that says which status an answer has.
func Status(code uint32) Field {
	return Field{ID: 10, Value: string(binary.LittleEndian.AppendUint32(nil, code))}
}

// Reason is the field with an answer's reason.
func Reason(text string) Field { return Field{ID: 11, Value: text} }

// Replier is a module that answers requests with a reason, which is its version as well.
func Replier(reason string) Module {
	return Module{
		Manifest: wasmhost.Manifest{Name: "replier", Version: reason, Events: []string{"request"}},
		Action:   2,
		Fields:   []Field{Reason(reason)},
	}
}

const (
	bufferAt = 1024
	frameAt  = 8192
	logAt    = 16384
)

// Bytes returns the module's file.
func (m Module) Bytes(t testing.TB) []byte {
	t.Helper()
	frame := m.frame()
	var imports [][]byte
	if m.Log != "" {
		imports = append(imports, join(name("protoo_v1"), name("log"), []byte{0, 3}))
	}
	base := byte(len(imports)) // the index of the first function of its own
	var on []byte
	if m.Log != "" {
		on = join(on, i32(1), i32(logAt), i32(len(m.Log)), []byte{0x10, 0})
	}
	if m.Trap {
		on = append(on, 0x00)
	}
	var flags int64
	if m.Changes {
		flags = 2
	}
	on = join(on, i32(bufferAt), i32(frameAt), i32(len(frame)), []byte{0xfc, 10, 0, 0},
		i64(int64(len(frame))<<32|flags<<8|int64(m.Action)))
	file := join([]byte("\x00asm\x01\x00\x00\x00"),
		section(1, vector([]byte{0x60, 0, 0}, []byte{0x60, 1, 0x7f, 1, 0x7e}, []byte{0x60, 2, 0x7f, 0x7f, 1, 0x7e}, []byte{0x60, 3, 0x7f, 0x7f, 0x7f, 0})),
		section(2, vector(imports...)),
		section(3, vector([]byte{0}, []byte{1}, []byte{2})),
		section(5, vector([]byte{0, 1})),
		section(7, vector(join(name("memory"), []byte{2, 0}), join(name("protoo_abi_v1"), []byte{0, base}),
			join(name("protoo_init"), []byte{0, base + 1}), join(name("protoo_on"), []byte{0, base + 2}))),
		section(10, vector(body(nil), body(i64(bufferAt<<32|4096)), body(on))),
		section(11, vector(data(frameAt, frame), data(logAt, []byte(m.Log)))),
	)
	file, err := wasmhost.AppendManifest(file, &m.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func (m Module) frame() []byte {
	if len(m.Fields) == 0 {
		return nil
	}
	var fields []byte
	for _, f := range m.Fields {
		fields = binary.LittleEndian.AppendUint16(fields, f.ID)
		fields = binary.LittleEndian.AppendUint16(fields, uint16(len(f.Key)))
		fields = binary.LittleEndian.AppendUint32(fields, uint32(len(f.Value)))
		fields = append(append(fields, f.Key...), f.Value...)
		for len(fields)%4 != 0 {
			fields = append(fields, 0)
		}
	}
	frame := binary.LittleEndian.AppendUint32(nil, uint32(16+len(fields)))
	frame = binary.LittleEndian.AppendUint16(frame, 1)
	frame = binary.LittleEndian.AppendUint16(frame, uint16(len(m.Fields)))
	return join(frame, make([]byte, 8), fields)
}

// What follows is the binary format, section 5 of the WebAssembly specification.

func section(id byte, content []byte) []byte {
	return join([]byte{id}, unsigned(len(content)), content)
}

func vector(items ...[]byte) []byte { return join(append([][]byte{unsigned(len(items))}, items...)...) }

func name(s string) []byte { return join(unsigned(len(s)), []byte(s)) }

func body(code []byte) []byte {
	code = join([]byte{0}, code, []byte{0x0b})
	return join(unsigned(len(code)), code)
}

func data(at int, bytes []byte) []byte {
	return join([]byte{0}, i32(at), []byte{0x0b}, unsigned(len(bytes)), bytes)
}

func i32(n int) []byte   { return join([]byte{0x41}, signed(int64(n))) }
func i64(n int64) []byte { return join([]byte{0x42}, signed(n)) }

func unsigned(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) }

func signed(n int64) []byte {
	var b []byte
	for {
		low := byte(n & 0x7f)
		n >>= 7
		if n == 0 && low&0x40 == 0 || n == -1 && low&0x40 != 0 {
			return append(b, low)
		}
		b = append(b, low|0x80)
	}
}

func join(parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}
