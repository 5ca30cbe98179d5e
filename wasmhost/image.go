package wasmhost

import (
	"bytes"
	"context"

	"github.com/tetratelabs/wazero/api"

	"github.com/protoo-go/protoo/wasmhost/meter"
)

// An image is what an instance is like when it has just been made. Making another one leads to the same, unless the module asks
// the host for something on the way that can be different the next time, such as random bytes. So an instance that has
// failed is put back to its image rather than made again: what the engine has of it is 15 KB, which would be garbage.
type image struct {
	memory   []byte // without the zeros at its end
	size     uint32 // with them
	globals  []uint64
	ptr, cap uint32 // the module's buffer
}

// maxImage is the largest memory of which an image is kept.
const maxImage = defaultMemory

// keepImage keeps the image of an instance that has just been made, unless there is one already.
func (v *version) keepImage(in *instance) {
	if v.state == nil || in.asked || in.memory.Size() > maxImage || v.image.Load() != nil {
		return
	}
	all, _ := in.memory.Read(0, in.memory.Size()) // all of it is there
	i := &image{memory: bytes.Clone(bytes.TrimRight(all, "\x00")), size: in.memory.Size(), ptr: in.ptr, cap: in.cap}
	for _, name := range v.state.Globals {
		i.globals = append(i.globals, in.mod.ExportedGlobal(name).Get())
	}
	v.image.Store(i)
}

// restorable returns the image that an instance can be put back to, nil if another one has to be made.
func (in *instance) restorable() *image {
	i := in.version.image.Load()
	if i == nil || in.memory.Size() != i.size || in.mod.IsClosed() { // a memory cannot become smaller
		return nil
	}
	return i
}

// restored returns an instance that is as one that has just been made, and has taken over what the engine has of this one, which
// cannot be used any more.
func (in *instance) restored(i *image) *instance {
	v := in.version
	all, _ := in.memory.Read(0, i.size) // as above
	clear(all[copy(all, i.memory):])
	for n, name := range v.state.Globals {
		in.mod.ExportedGlobal(name).(api.MutableGlobal).Set(i.globals[n])
	}
	gate := in.gate
	if in.budget.Used(in.left) > meter.DefaultSlice { // as in initialize
		gate = in.mod.ExportedFunction(meter.GateFunction)
	}
	return &instance{
		Context: context.Background(), version: v,
		mod: in.mod, memory: in.memory, gate: gate, fuel: in.fuel,
		ptr: i.ptr, cap: i.cap, began: in.began, strs: in.strs,
	}
}
