package guest

import (
	"errors"
	"fmt"
	"time"
	"unsafe"
)

//go:wasmimport protoo_v1 get
func hostGet(field uint32, key unsafe.Pointer, keyLen uint32, out unsafe.Pointer, outCap uint32) int32

//go:wasmimport protoo_v1 log
func hostLog(level uint32, text unsafe.Pointer, textLen uint32)

//go:wasmimport protoo_v1 progress
func hostProgress(frame unsafe.Pointer, frameLen uint32) int32

//go:wasmimport protoo_v1 peer_list
func hostPeerList(username unsafe.Pointer, usernameLen uint32, out unsafe.Pointer, outCap uint32) int32

//go:wasmimport protoo_v1 peer_find
func hostPeerFind(username unsafe.Pointer, usernameLen uint32, uuid unsafe.Pointer, uuidLen uint32) int32

//go:wasmimport protoo_v1 peer_send
func hostPeerSend(frame unsafe.Pointer, frameLen uint32) int32

//go:wasmimport protoo_v1 peer_close
func hostPeerClose(frame unsafe.Pointer, frameLen uint32) int32

//go:wasmimport protoo_v1 kv_get
func hostKVGet(key unsafe.Pointer, keyLen uint32, out unsafe.Pointer, outCap uint32) int32

//go:wasmimport protoo_v1 kv_cas
func hostKVCompareAndSwap(key unsafe.Pointer, keyLen uint32, old unsafe.Pointer, oldLen int32, value unsafe.Pointer, valueLen int32, ttl int64) int32

//go:wasmimport protoo_v1 kv_add
func hostKVAdd(key unsafe.Pointer, keyLen uint32, delta, ttl int64, out unsafe.Pointer) int32

const (
	codeAbsent  = -1
	codeLimit   = -2
	codeInvalid = -3
)

var (
	errLimit   = errors.New("guest: a limit of the host is reached")
	errInvalid = errors.New("guest: the host cannot use this")
)

func codeError(code int32) error {
	switch code {
	case codeLimit:
		return errLimit
	case codeInvalid:
		return errInvalid
	}
	return nil
}

func text(s string) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.StringData(s)), uint32(len(s))
}

func bytes(b []byte) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.SliceData(b)), uint32(len(b))
}

// fetch calls a host function that copies a value to where there is room for it, and makes more room if need be.
func fetch(call func(out unsafe.Pointer, size uint32) int32) ([]byte, bool) {
	out := make([]byte, 256)
	for {
		n := call(bytes(out))
		if n < 0 {
			return nil, false
		}
		if int(n) <= len(out) {
			return out[:n], true
		}
		out = make([]byte, n)
	}
}

func get(f field, key string) (string, bool) {
	k, n := text(key)
	b, ok := fetch(func(out unsafe.Pointer, size uint32) int32 { return hostGet(uint32(f), k, n, out, size) })
	return string(b), ok
}

// Log writes a line to the log of the server. It needs the capability "log".
func Log(level LogLevel, format string, args ...any) {
	p, n := text(fmt.Sprintf(format, args...))
	hostLog(uint32(level), p, n)
}

// Get returns a value of the store that the module's instances share, and whether there is one. The
// store needs the capability "kv".
func Get(key string) ([]byte, bool) {
	k, n := text(key)
	return fetch(func(out unsafe.Pointer, size uint32) int32 { return hostKVGet(k, n, out, size) })
}

// CompareAndSwap stores a value if the present one is old, and tells whether it did. A nil old stands for
// a key that does not exist, a nil value deletes the key. It expires after ttl, zero means never.
func CompareAndSwap(key string, old, value []byte, ttl time.Duration) (bool, error) {
	optional := func(b []byte) (unsafe.Pointer, int32) {
		if b == nil {
			return nil, -1
		}
		p, n := bytes(b)
		return p, int32(n)
	}
	k, n := text(key)
	o, oldLen := optional(old)
	v, valueLen := optional(value)
	code := hostKVCompareAndSwap(k, n, o, oldLen, v, valueLen, milliseconds(ttl))
	return code == 1, codeError(code)
}

// Add adds to the number that is stored at key, and returns the sum. A key that Add makes expires after ttl.
func Add(key string, delta int64, ttl time.Duration) (int64, error) {
	var sum int64
	k, n := text(key)
	code := hostKVAdd(k, n, delta, milliseconds(ttl), unsafe.Pointer(&sum))
	return sum, codeError(code)
}

// milliseconds rounds up: a time that is not zero stays so.
func milliseconds(d time.Duration) int64 { return int64((d + time.Millisecond - 1) / time.Millisecond) }
