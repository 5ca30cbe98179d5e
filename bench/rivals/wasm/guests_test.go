package wasm

import "encoding/binary"

// Every guest does the same: it adds up the first bytes of six fields of the request, and changes the path to one that ends
// with the last digit of the sum. So a guest that has not looked at all six is found out.

// request is what the guests are shown.
type request struct{ method, path, id, room, data, peer string }

const (
	wantPath = "/rooms/7"
	scratch  = 1024  // where guests have a few bytes
	in       = 16384 // and where frames come in
)

// A variant changes what a guest does for a request: code runs first, and may call functions that it adds.
type variant func(m *module) []byte

// runaways are guests that do not end, or take what they can get.
var runaways = []struct {
	name  string
	build variant
}{
	{"loop", func(*module) []byte { return seq(loop, again, end) }},
	{"calls", func(m *module) []byte {
		leaf := m.fn("", "", "")
		for range 30 {
			leaf = m.fn("", "", "", leaf, leaf)
		}
		return leaf
	}},
	{"recursion", func(m *module) []byte { return m.fn("", "", "", m.call(m.next())) }},
	{"fill", func(*module) []byte { return seq(loop, num(0), num(0), num(65536), memoryFill, again, end) }},
	{"grow", func(*module) []byte { return seq(loop, num(16), memoryGrow, drop, again, end) }},
}

// spins takes about two million instructions before the guest goes on.
func spins(*module) []byte {
	return seq(num(300_000), set(5), loop, get(5), num(1), sub, set(5), get(5), againIf, end)
}

func (v variant) code(m *module) []byte {
	if v == nil {
		return nil
	}
	return v(m)
}

// change is the frame with the new path, whose last byte the guest writes.
func change() []byte { return frame(1, 2, "", "/rooms/?") }

// frame is a frame of our own ABI, which hosts that take bytes get as well: numbers of fields, keys and values in turn.
func frame(n int, fields ...any) []byte {
	b := make([]byte, 16, 512)
	for i := range n {
		id, key, value := fields[3*i].(int), fields[3*i+1].(string), fields[3*i+2].(string)
		b = appendField(b, id, key, value)
	}
	return finish(b, n)
}

func appendField(b []byte, id int, key, value string) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(id))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(key)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(value)))
	b = append(append(b, key...), value...)
	return append(b, "\x00\x00\x00"[:-len(b)&3]...)
}

func finish(b []byte, n int) []byte {
	binary.LittleEndian.PutUint32(b, uint32(len(b)))
	binary.LittleEndian.PutUint16(b[4:], 1)
	binary.LittleEndian.PutUint16(b[6:], uint16(n))
	return b
}

// appendFrame appends the request's frame, up to a multiple of eight bytes.
func (r *request) appendFrame(b []byte) []byte {
	b = append(b[:0], make([]byte, 16)...)
	for i, value := range [...]string{r.method, r.path, r.id, r.room, r.data, r.peer} {
		b = appendField(b, i, "", value)
	}
	b = finish(b, 6)
	return append(b, "\x00\x00\x00\x00\x00\x00\x00"[:-len(b)&7]...)
}

// goesOn takes the path out of a guest's frame.
func (r *request) goesOn(frame []byte) { r.setPath(frame[16+8:]) }

// setPath allocates only for a path that is another.
func (r *request) setPath(path []byte) {
	if string(path) != r.path {
		r.path = string(path)
	}
}

// look adds up the first bytes of the values of a frame, in the local sum. It uses the two before that.
func look(at, sum int) []byte {
	p, n := sum-2, sum-1
	field := func(offset int, load []byte) []byte { return seq(get(p), num(offset), add, load) }
	return seq(
		num(at+16), set(p), num(at+6), load16, set(n), num(0), set(sum), loop,
		get(sum), get(p), num(8), add, field(2, load16), add, load8, add, set(sum),
		get(p), num(8+3), add, field(2, load16), add, field(4, load32), add, num(-4), and, set(p),
		get(n), num(1), sub, set(n), get(n), againIf, end,
	)
}

// digit writes the last digit of a sum.
func digit(at, sum int) []byte {
	return seq(num(at), get(sum), num(10), remainder, num('0'), add, store8)
}

// protooGuest is for our own ABI.
func protooGuest(first variant, flags int) []byte {
	m := &module{}
	clock := m.imported("protoo_v1", "clock", "i", "l")
	out := m.put(change())
	code := first.code(m)
	m.fn("protoo_abi_v1", "", "")
	// Asking for the time keeps instances from being put back to what they were: each is made.
	m.fn("protoo_init", "i", "l", num(1), clock, drop, num64(in<<32|8192))
	m.fn("protoo_on", "ii", "l", get(0), num(1), equal, ifThen, code,
		look(in, 4), digit(out+31, 4), num(in), num(out), num(32), memoryCopy, num64(32<<32|int64(flags)<<8), ret, end,
		num(in+16), load32, drop, num64(0))
	return m.bytes()
}

// extismGuest copies what comes in, eight bytes at a time as Extism's libraries for guests do.
func extismGuest(first variant) []byte {
	m := &module{}
	const env = "extism:host/env"
	length, load := m.imported(env, "input_length", "", "l"), m.imported(env, "input_load_u64", "l", "l")
	alloc, store := m.imported(env, "alloc", "l", "l"), m.imported(env, "store_u64", "ll", "")
	output := m.imported(env, "output_set", "ll", "")
	out := m.put(change())
	code := first.code(m)
	input := seq(length, wrap, set(3), num(0), set(0), loop,
		get(0), num(in), add, get(0), extend, load, store64, get(0), num(8), add, set(0), get(0), get(3), less, againIf, end)
	answer := seq(num64(32), alloc, wrap, set(3))
	for i := 0; i < 32; i += 8 {
		answer = seq(answer, get(3), num(i), add, extend, num(out+i), load64, store)
	}
	m.fn("on_request", "", "i", code, input, look(in, 2), digit(out+31, 2), answer, get(3), extend, num64(32), output, num(0))
	m.fn("on_response", "", "i", input, num(in), load32, drop, num(0))
	return m.bytes()
}

// wapcGuest fetches what it is called with, and answers.
func wapcGuest(first variant) []byte {
	m := &module{}
	fetch, answer := m.imported("wapc", "__guest_request", "ii", ""), m.imported("wapc", "__guest_response", "ii", "")
	out := m.put(change())
	code := first.code(m)
	m.fn("__guest_call", "ii", "i", num(scratch), num(in), fetch, get(0), num(len("on_request")), equal, ifThen, code,
		look(in, 4), digit(out+31, 4), num(out), num(32), answer, num(1), ret, end,
		num(in), load32, drop, num(1))
	return m.bytes()
}

// httpGuest asks for one field after the other.
func httpGuest(first variant) []byte {
	m := &module{}
	const handler = "http_handler"
	method, uri := m.imported(handler, "get_method", "ii", "i"), m.imported(handler, "get_uri", "ii", "i")
	header, body := m.imported(handler, "get_header_values", "iiiii", "l"), m.imported(handler, "read_body", "iii", "l")
	setURI, status := m.imported(handler, "set_uri", "ii", ""), m.imported(handler, "get_status_code", "", "i")
	out := m.put([]byte("/rooms/?"))
	code := first.code(m)
	const sum = 0
	seen := seq(drop, get(sum), num(in), load8, add, set(sum))
	named := func(name string) []byte {
		return seq(num(0), num(m.put([]byte(name))), num(len(name)), num(in), num(2048), header, seen)
	}
	m.fn("handle_request", "", "l", code,
		num(in), num(2048), method, seen, num(in), num(2048), uri, seen,
		named("id"), named("room"), named("peer"), num(0), num(in), num(2048), body, seen,
		digit(out+7, sum), num(out), num(8), setURI, num64(1))
	m.fn("handle_response", "ii", "", status, drop)
	return m.bytes()
}

// proxyGuest asks for one field after the other, and is asked for memory each time.
func proxyGuest(first variant) []byte {
	m := &module{}
	value := m.imported("env", "proxy_get_header_map_value", "iiiii", "i")
	buffer := m.imported("env", "proxy_get_buffer_bytes", "iiiii", "i")
	replace := m.imported("env", "proxy_replace_header_map_value", "iiiii", "i")
	out := m.put([]byte("/rooms/?"))
	code := first.code(m)
	const sum = 3
	// The address of what the host has written is at scratch.
	seen := seq(drop, get(sum), num(scratch), load32, load8, add, set(sum))
	named := func(name string) []byte {
		return seq(num(0), num(m.put([]byte(name))), num(len(name)), num(scratch), num(scratch+4), value, seen)
	}
	m.fn("proxy_on_context_create", "ii", "")
	m.fn("proxy_on_memory_allocate", "i", "i", num(in))
	path := m.put([]byte(":path"))
	m.fn("proxy_on_request_headers", "iii", "i", code,
		named(":method"), named(":path"), named("id"), named("room"), named("peer"),
		num(0), num(0), num(2048), num(scratch), num(scratch+4), buffer, seen,
		digit(out+7, sum), num(0), num(path), num(5), num(out), num(8), replace, drop, num(0))
	status := m.put([]byte(":status"))
	m.fn("proxy_on_response_headers", "iii", "i", num(2), num(status), num(7), num(scratch), num(scratch+4), value, drop, num(0))
	m.fn("proxy_on_delete", "i", "")
	return m.bytes()
}
