package wasmhost

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"time"
	"unicode/utf8"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/wasmhost/kv"
	"github.com/protoo-go/protoo/wasmhost/meter"
)

const (
	i32 = api.ValueTypeI32
	i64 = api.ValueTypeI64
)

// hostFunction is a function that modules can import. Its parameters are on the stack and its result goes there.
type hostFunction struct {
	capability Capability // "" for what every module may use
	params     []api.ValueType
	results    []api.ValueType
	call       func(in *instance, mod api.Module, stack []uint64)
}

func types(t ...api.ValueType) []api.ValueType { return t }

// hostFunctions are those of ABI.md, by name.
var hostFunctions = map[string]hostFunction{
	"get":        {"", types(i32, i32, i32, i32, i32), types(i32), hostGet},
	"config":     {"", types(i32, i32), types(i32), hostConfig},
	"log":        {Log, types(i32, i32, i32), nil, hostLog},
	"clock":      {Clock, types(i32), types(i64), hostClock},
	"random":     {Random, types(i32, i32), nil, hostRandom},
	"peer_find":  {PeerRead, types(i32, i32, i32, i32), types(i32), hostPeerFind},
	"peer_list":  {PeerRead, types(i32, i32, i32, i32), types(i32), hostPeerList},
	"peer_send":  {PeerSend, types(i32, i32), types(i32), hostPeerSend},
	"peer_close": {PeerSend, types(i32, i32), types(i32), hostPeerClose},
	"progress":   {"", types(i32, i32), types(i32), hostProgress},
	"complete":   {Async, types(i64, i32, i32, i32), types(i32), hostComplete},
	"timer":      {Async, types(i64, i64, i32, i32), types(i32), hostTimer},
	"kv_get":     {KV, types(i32, i32, i32, i32), types(i32), hostKVGet},
	"kv_cas":     {KV, types(i32, i32, i32, i32, i32, i32, i64), types(i32), hostKVCompareAndSwap},
	"kv_add":     {KV, types(i32, i32, i64, i64, i32), types(i32), hostKVAdd},
	"metric":     {Metrics, types(i32, i32, i32, i64), types(i32), hostMetric},
}

// The price of a host function in fuel: a unit is about a nanosecond.
const (
	costCall    = 100
	costPeer    = 200 // for each peer that is looked at
	costBytes   = 8   // bytes for one unit
	costSend    = 2000
	costParsed  = 2    // for each byte that has to be checked, or is stored
	costEncode  = 1000 // to begin with a value of the application
	costEncoded = 16   // for each byte that it turns out to have
	costVector  = 10   // for each part of what WASI writes
	costLook    = 100  // in the store, which others use as well
	costStore   = 1000 // what is stored may be new, which takes memory
)

// add adds the function to a host module.
func (f hostFunction) add(b wazero.HostModuleBuilder, name string) {
	call, asks := f.call, f.capability != ""
	b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, mod api.Module, stack []uint64) {
		in := ctx.(*instance)
		in.asked = in.asked || asks
		in.meet(mod)
		in.charge(costCall)
		call(in, mod, stack)
	}), f.params, f.results).Export(name)
}

// hostYield is called when the module's fuel is used up, or its share of it: then others get their turn.
func hostYield(ctx context.Context, _ api.Module, stack []uint64) {
	stack[0] = uint64(ctx.(*instance).refill(int64(stack[0])))
}

func addYield(b wazero.HostModuleBuilder) {
	b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(hostYield), types(i64), types(i64)).Export(meter.YieldFunction)
}

func code(n int) uint64 { return uint64(uint32(int32(n))) }

// give copies a value to where the module wants it, and returns its length. What is longer than
// there is room for is not copied: the module asks again.
func give[T string | []byte](in *instance, mod api.Module, value T, ptr, size uint64) uint64 {
	in.charge(int64(len(value) / costBytes))
	if uint64(len(value)) <= uint64(uint32(size)) {
		copy(slice(mod, ptr, uint64(len(value))), value)
	}
	return code(len(value))
}

// get(field, key, key_len, out, out_cap): a field of the event.
func hostGet(in *instance, mod api.Module, s []uint64) {
	f := field(min(uint64(uint32(s[0])), math.MaxUint16))
	if !in.event.kind.has(f) {
		s[0] = code(codeAbsent)
		return
	}
	if f.numeric() {
		var b [4]byte
		binary.LittleEndian.PutUint32(b[:], in.event.number(f))
		s[0] = give(in, mod, b[:], s[3], s[4])
		return
	}
	key, _ := in.name(mod, s[1], s[2]) // what is not text names nothing
	if f == fieldProperty || f == fieldPeerData {
		s[0] = giveStored(in, mod, in.event.stored(f, key), s[3], s[4])
		return
	}
	v, ok := in.event.text(f, key)
	if !ok {
		s[0] = code(codeAbsent)
		return
	}
	s[0] = give(in, mod, v, s[3], s[4])
}

// giveStored is give for a value that is stored. What has to be encoded costs something before, because how long it will be is not
// known, and for its length then.
func giveStored(in *instance, mod api.Module, value any, ptr, size uint64) uint64 {
	_, isText := value.(core.JSON)
	if !isText && value != nil {
		in.charge(costEncode)
	}
	v, ok := jsonText(value)
	if !ok {
		return code(codeAbsent)
	}
	if !isText {
		in.charge(int64(len(v)) * costEncoded)
	}
	return give(in, mod, v, ptr, size)
}

// config(out, out_cap): the settings.
func hostConfig(in *instance, mod api.Module, s []uint64) {
	if in.version.settings == "" {
		s[0] = code(codeAbsent)
		return
	}
	s[0] = give(in, mod, string(in.version.settings), s[0], s[1])
}

// log(level, text, text_len)
func hostLog(in *instance, mod api.Module, s []uint64) {
	in.log(LogLevel(min(uint32(s[0]), uint32(LogError))), slice(mod, s[1], s[2]))
}

// clock(which): 0 the time of day, in nanoseconds since 1970; 1 nanoseconds since the instance was made.
func hostClock(in *instance, _ api.Module, s []uint64) {
	if uint32(s[0]) == 1 {
		s[0] = uint64(time.Since(in.began))
		return
	}
	s[0] = uint64(time.Now().UnixNano())
}

// random(out, out_len)
func hostRandom(in *instance, mod api.Module, s []uint64) {
	in.charge(int64(uint32(s[1])))
	fillRandom(slice(mod, s[0], s[1]))
}

// fillRandom uses the runtime's ChaCha8, which is seeded by the system.
func fillRandom(b []byte) {
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, rand.Uint64())
		b = b[8:]
	}
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
}

// peer_find(username, username_len, uuid, uuid_len): how many peers are online.
func hostPeerFind(in *instance, mod api.Module, s []uint64) {
	app := in.app()
	if app == nil {
		s[0] = 0
		return
	}
	username, ok := in.name(mod, s[0], s[1])
	uuid, valid := in.name(mod, s[2], s[3])
	if !ok || !valid {
		s[0] = 0 // nobody has such a name
		return
	}
	s[0] = code(min(in.peers(app, username, uuid, func(*core.Peer) {}), math.MaxInt32))
}

// peer_list(username, username_len, out, out_cap): a frame with as many as fit. It returns how many there are.
func hostPeerList(in *instance, mod api.Module, s []uint64) {
	username, ok := in.name(mod, s[0], s[1])
	var w frameWriter
	out := slice(mod, s[2], s[3])
	if len(out) < frameHead {
		s[0] = code(codeInvalid)
		return
	}
	w.begin(out)
	n := 0
	if app := in.app(); app != nil && ok {
		n = in.peers(app, username, "", func(p *core.Peer) {
			if size := fieldHead + padded(len(p.Username())+len(p.UUID())); w.n+size <= len(out) && w.fields < math.MaxUint16 {
				w.add(fieldPeer, p.Username(), p.UUID())
			}
		})
	}
	w.end(0)
	in.charge(int64(w.n / costBytes))
	s[0] = code(min(n, math.MaxInt32))
}

// peers is [core.App.Peers], paid for: a user's peers one by one, and all of them, which only a walk through all finds, before
// that begins.
func (in *instance) peers(app *core.App, username, uuid string, visit func(*core.Peer)) int {
	if username == "" {
		in.charge(int64(app.Stats().Peers) * costPeer)
		return app.Peers("", uuid, visit)
	}
	return app.Peers(username, uuid, func(p *core.Peer) {
		in.charge(costPeer)
		visit(p)
	})
}

// app is where the peers are that an instance may look for.
func (in *instance) app() *core.App {
	if a := in.event.app(); a != nil {
		return a
	}
	return in.version.module.app
}

// duration converts a number of milliseconds that a module has given.
func duration(ms uint64, longest time.Duration) (time.Duration, bool) {
	if int64(ms) < 0 || int64(ms) > int64(longest/time.Millisecond) {
		return 0, false
	}
	return time.Duration(ms) * time.Millisecond, true
}

const longestTTL = 10 * 365 * 24 * time.Hour

// kv_get(key, key_len, out, out_cap)
func hostKVGet(in *instance, mod api.Module, s []uint64) {
	key := slice(mod, s[0], s[1])
	in.charge(costLook)
	v, ok := in.version.store.Get(in.scratch[:0], key)
	in.scratch = v[:0]
	if !ok {
		s[0] = code(codeAbsent)
		return
	}
	s[0] = give(in, mod, v, s[2], s[3])
}

// kv_cas(key, key_len, old, old_len, new, new_len, ttl_ms): 1 if swapped, 0 if not. A length of -1 stands for no value.
func hostKVCompareAndSwap(in *instance, mod api.Module, s []uint64) {
	ttl, ok := duration(s[6], longestTTL)
	if !ok {
		s[0] = code(codeInvalid)
		return
	}
	optional := func(ptr, size uint64) []byte {
		if int32(size) == -1 {
			return nil
		}
		return slice(mod, ptr, size)
	}
	key, old, value := slice(mod, s[0], s[1]), optional(s[2], s[3]), optional(s[4], s[5])
	in.charge(costStore + int64(len(old)+len(value))*costParsed)
	swapped, err := in.version.store.CompareAndSwap(key, old, value, ttl)
	switch {
	case err != nil:
		s[0] = kvCode(err)
	case swapped:
		s[0] = 1
	default:
		s[0] = 0
	}
}

// kv_add(key, key_len, delta, ttl_ms, out): 0, and the sum at out.
func hostKVAdd(in *instance, mod api.Module, s []uint64) {
	ttl, ok := duration(s[3], longestTTL)
	if !ok {
		s[0] = code(codeInvalid)
		return
	}
	out := slice(mod, s[4], 8)
	in.charge(costStore)
	sum, err := in.version.store.Add(slice(mod, s[0], s[1]), int64(s[2]), ttl)
	if err != nil {
		s[0] = kvCode(err)
		return
	}
	binary.LittleEndian.PutUint64(out, uint64(sum))
	s[0] = 0
}

func kvCode(err error) uint64 {
	if errors.Is(err, kv.ErrFull) {
		return code(codeLimit)
	}
	return code(codeInvalid)
}

// metric(name, name_len, kind, value): kind 0 adds to a counter, 1 sets it.
func hostMetric(in *instance, mod api.Module, s []uint64) {
	name := slice(mod, s[0], s[1])
	kind := uint32(s[2])
	if len(name) == 0 || len(name) > maxName || !utf8.Valid(name) || kind > 1 {
		s[0] = code(codeInvalid)
		return
	}
	if !in.version.module.metrics.record(name, kind == 0, int64(s[3]), in.version) {
		s[0] = code(codeLimit)
		return
	}
	s[0] = 0
}
