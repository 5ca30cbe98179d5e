package wasm

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// A shape is a minimal host of ours in the form that another ABI has: what crosses the border, and how often, without the rest
// of what a real host does.
type shape struct {
	guest    func(variant) []byte
	module   string // that the guest imports from
	imports  map[string]hostFunction
	exports  []string
	request  func(in *shaped, r *request) error
	response func(in *shaped) error
}

type hostFunction struct {
	params, results string
	call            func(in *shaped, stack []uint64)
}

type shapeModule struct {
	shape    *shape
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	options  options
}

// loadShape bounds time and memory by the runtime, as hosts that are built on it do.
func loadShape(s *shape) func(options) (loaded, error) {
	return func(o options) (loaded, error) {
		ctx := context.Background()
		m := &shapeModule{shape: s, options: o}
		m.runtime = wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCloseOnContextDone(o.limit > 0).WithMemoryLimitPages(memoryPages))
		b := m.runtime.NewHostModuleBuilder(s.module)
		for name, f := range s.imports {
			b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, _ api.Module, stack []uint64) {
				f.call(ctx.(*shaped), stack)
			}), valueTypes(f.params)[1:], valueTypes(f.results)[1:]).Export(name)
		}
		if _, err := b.Instantiate(ctx); err != nil {
			return nil, err
		}
		var err error
		m.compiled, err = m.runtime.CompileModule(ctx, s.guest(o.variant()))
		return m, err
	}
}

func (m *shapeModule) instance(ctx context.Context) (subject, error) {
	in := &shaped{Context: ctx, module: m}
	var err error
	in.mod, err = m.runtime.InstantiateModule(ctx, m.compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		return nil, err
	}
	in.memory = in.mod.Memory()
	for i, name := range m.shape.exports {
		in.functions[i] = in.mod.ExportedFunction(name)
	}
	return in, nil
}

func (m *shapeModule) close() error { return m.runtime.Close(context.Background()) }

// shaped is an instance. It is the context of calls, which is how host functions find it.
type shaped struct {
	context.Context
	module    *shapeModule
	mod       api.Module
	memory    api.Memory
	functions [5]api.Function // of the shape's exports
	stack     [3]uint64
	inner     [3]uint64 // for calls from host functions
	id        uint64

	r      *request
	status string
	buf    []byte
	answer []byte
}

var errResult = errors.New("the guest returns something else")

// call calls one of the exports, and returns its result.
func (in *shaped) call(i int, params ...uint64) (uint64, error) {
	copy(in.stack[:], params)
	err := in.functions[i].CallWithStack(in, in.stack[:])
	return in.stack[0], err
}

func (in *shaped) bounded(fn func() error) error {
	if in.module.options.limit == 0 {
		in.Context = context.Background()
		return fn()
	}
	ctx, cancel := context.WithTimeout(context.Background(), in.module.options.limit)
	defer cancel()
	in.Context = ctx
	return fn()
}

func (in *shaped) request(r *request) error {
	in.r = r
	return in.bounded(func() error { return in.module.shape.request(in, r) })
}

func (in *shaped) response(status int) error {
	in.status = "200"
	in.buf = binary.LittleEndian.AppendUint32(in.buf[:0], uint32(status))
	return in.bounded(func() error { return in.module.shape.response(in) })
}

func (in *shaped) close() error { return in.mod.Close(context.Background()) }

func (in *shaped) text(ptr, size uint64) []byte {
	b, ok := in.memory.Read(uint32(ptr), uint32(size))
	if !ok {
		panic(errors.New("outside of the memory"))
	}
	return b
}

// give copies a value into the guest's buffer if there is room, and returns its length.
func (in *shaped) give(value string, ptr, limit uint64) uint64 {
	if uint64(len(value)) <= limit {
		copy(in.text(ptr, uint64(len(value))), value)
	}
	return uint64(len(value))
}

func (in *shaped) field(name []byte) string {
	switch string(name) {
	case ":method":
		return in.r.method
	case ":path":
		return in.r.path
	case "id":
		return in.r.id
	case "room":
		return in.r.room
	case "peer":
		return in.r.peer
	case ":status":
		return in.status
	}
	return ""
}

// wapcShape has one call each way, with copies of all that is passed.
var wapcShape = &shape{
	guest: wapcGuest, module: "wapc", exports: []string{"__guest_call"},
	imports: map[string]hostFunction{
		"__guest_request": {"ii", "", func(in *shaped, s []uint64) {
			copy(in.text(s[0], uint64(len("on_request"))), "on_request")
			copy(in.text(s[1], uint64(len(in.buf))), in.buf)
		}},
		"__guest_response": {"ii", "", func(in *shaped, s []uint64) { in.answer = append(in.answer[:0], in.text(s[0], s[1])...) }},
	},
	request: func(in *shaped, r *request) error {
		in.buf = r.appendFrame(in.buf)
		ok, err := in.call(0, uint64(len("on_request")), uint64(len(in.buf)))
		if err == nil && ok != 1 {
			err = errResult
		}
		if err == nil {
			r.goesOn(in.answer)
		}
		return err
	},
	response: func(in *shaped) error {
		_, err := in.call(0, uint64(len("on_response")), uint64(len(in.buf)))
		return err
	},
}

// httpShape lets the guest get and set one field at a time, in buffers of its own.
var httpShape = &shape{
	guest: httpGuest, module: "http_handler", exports: []string{"handle_request", "handle_response"},
	imports: map[string]hostFunction{
		"get_method": {"ii", "i", func(in *shaped, s []uint64) { s[0] = in.give(in.r.method, s[0], s[1]) }},
		"get_uri":    {"ii", "i", func(in *shaped, s []uint64) { s[0] = in.give(in.r.path, s[0], s[1]) }},
		"get_header_values": {"iiiii", "l", func(in *shaped, s []uint64) {
			s[0] = 1<<32 | in.give(in.field(in.text(s[1], s[2])), s[3], s[4])
		}},
		"read_body":       {"iii", "l", func(in *shaped, s []uint64) { s[0] = 1<<32 | in.give(in.r.data, s[1], s[2]) }},
		"set_uri":         {"ii", "", func(in *shaped, s []uint64) { in.r.setPath(in.text(s[0], s[1])) }},
		"get_status_code": {"", "i", func(in *shaped, s []uint64) { s[0] = uint64(binary.LittleEndian.Uint32(in.buf)) }},
	},
	request: func(in *shaped, _ *request) error {
		next, err := in.call(0)
		if err == nil && uint32(next) != 1 {
			err = errResult
		}
		return err
	},
	response: func(in *shaped) error {
		_, err := in.call(1, 0, 0)
		return err
	},
}

const (
	proxyCreate = iota
	proxyRequest
	proxyResponse
	proxyDelete
	proxyAllocate
)

// hand writes a value where the guest allocates memory for it, and tells the guest where that is.
func (in *shaped) hand(value string, ptr, size uint64) uint64 {
	in.inner[0] = uint64(len(value))
	if err := in.functions[proxyAllocate].CallWithStack(in, in.inner[:]); err != nil {
		panic(err)
	}
	copy(in.text(in.inner[0], uint64(len(value))), value)
	in.memory.WriteUint32Le(uint32(ptr), uint32(in.inner[0]))
	in.memory.WriteUint32Le(uint32(size), uint32(len(value)))
	return 0
}

// proxyShape lets the guest get and set one field at a time, in memory that it is asked for, with a context for each request.
var proxyShape = &shape{
	guest: proxyGuest, module: "env",
	exports: []string{
		proxyCreate: "proxy_on_context_create", proxyRequest: "proxy_on_request_headers", proxyResponse: "proxy_on_response_headers",
		proxyDelete: "proxy_on_delete", proxyAllocate: "proxy_on_memory_allocate",
	},
	imports: map[string]hostFunction{
		"proxy_get_header_map_value":     {"iiiii", "i", func(in *shaped, s []uint64) { s[0] = in.hand(in.field(in.text(s[1], s[2])), s[3], s[4]) }},
		"proxy_get_buffer_bytes":         {"iiiii", "i", func(in *shaped, s []uint64) { s[0] = in.hand(in.r.data, s[3], s[4]) }},
		"proxy_replace_header_map_value": {"iiiii", "i", func(in *shaped, s []uint64) { in.r.setPath(in.text(s[3], s[4])); s[0] = 0 }},
	},
	request: func(in *shaped, _ *request) error {
		in.id++
		if _, err := in.call(proxyCreate, in.id, 1); err != nil {
			return err
		}
		if _, err := in.call(proxyRequest, in.id, 5, 1); err != nil {
			return err
		}
		_, err := in.call(proxyDelete, in.id)
		return err
	},
	response: func(in *shaped) error {
		_, err := in.call(proxyResponse, in.id, 1, 1)
		return err
	},
}
