package wasmhost

import (
	"bytes"
	"context"
	"encoding/binary"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"

	"github.com/protoo-go/protoo/wasmhost/meter"
)

// Error numbers of WASI preview 1.
const (
	wasiSuccess = 0
	wasiBadFile = 8
	wasiNoSys   = 52
)

// wasiFunctions are what the run-time systems of languages need to start. All other functions of WASI
// exist and answer ENOSYS: there are no files, no sockets, no arguments and no environment.
var wasiFunctions = map[string]func(in *instance, mod api.Module, stack []uint64) uint64{
	"args_sizes_get":    wasiSizes,
	"environ_sizes_get": wasiSizes,
	"args_get":          wasiNothing,
	"environ_get":       wasiNothing,
	"sched_yield":       wasiNothing,
	"fd_close":          wasiNothing,
	"fd_prestat_get":    wasiNoFile,
	"fd_fdstat_get":     wasiStat,
	"fd_write":          wasiWrite,
	"clock_res_get":     wasiResolution,
	"clock_time_get":    wasiTime,
	"random_get":        wasiRandom,
	"poll_oneoff":       wasiPoll,
}

// addWASI adds the functions that a module imports, with the types that it gives them.
func addWASI(b wazero.HostModuleBuilder, imp *meter.Import) {
	call, params, results := wasiFunctions[imp.Name], valueTypes(imp.Type.Params), valueTypes(imp.Type.Results)
	switch {
	case imp.Name == "proc_exit":
		call = wasiExit
	case len(results) != 1 || results[0] != i32:
		return // then linking says what is wrong
	case call == nil || len(params) != wasiParams[imp.Name]:
		call = func(*instance, api.Module, []uint64) uint64 { return wasiNoSys }
	}
	b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, mod api.Module, stack []uint64) {
		in := ctx.(*instance)
		in.asked = true
		in.meet(mod)
		in.charge(costCall)
		errno := call(in, mod, stack)
		if len(results) == 1 {
			stack[0] = errno
		}
	}), params, results).Export(imp.Name)
}

var wasiParams = map[string]int{
	"args_sizes_get": 2, "environ_sizes_get": 2, "args_get": 2, "environ_get": 2, "sched_yield": 0, "fd_close": 1,
	"fd_prestat_get": 2, "fd_fdstat_get": 2, "fd_write": 4, "clock_res_get": 2, "clock_time_get": 3, "random_get": 2,
	"poll_oneoff": 4,
}

func valueTypes(types []meter.ValueType) []api.ValueType {
	all := make([]api.ValueType, len(types))
	for i, t := range types {
		all[i] = api.ValueType(t)
	}
	return all
}

func wasiNothing(*instance, api.Module, []uint64) uint64 { return wasiSuccess }

func wasiNoFile(*instance, api.Module, []uint64) uint64 { return wasiBadFile }

func wasiSizes(_ *instance, mod api.Module, s []uint64) uint64 {
	clear(slice(mod, s[0], 4))
	clear(slice(mod, s[1], 4))
	return wasiSuccess
}

// wasiStat describes the standard streams as character devices.
func wasiStat(_ *instance, mod api.Module, s []uint64) uint64 {
	if uint32(s[0]) > 2 {
		return wasiBadFile
	}
	stat := slice(mod, s[1], 24)
	clear(stat)
	stat[0] = 2 // a character device
	return wasiSuccess
}

// maxWrite is how many bytes one call writes. WASI allows it to be fewer than there are.
const maxWrite = 4096

// wasiWrite logs what is written to the standard output and error.
func wasiWrite(in *instance, mod api.Module, s []uint64) uint64 {
	fd, count := uint32(s[0]), uint32(s[2])
	if fd != 1 && fd != 2 || count > 1024 {
		return wasiBadFile
	}
	level := LogInfo
	if fd == 2 {
		level = LogError
	}
	in.charge(int64(count) * costVector)
	written := uint32(0)
	for i := range uint64(count) {
		if written >= maxWrite {
			break // the rest is for another call, which has its own price
		}
		vector := slice(mod, uint64(uint32(s[1]))+8*i, 8)
		text := slice(mod, uint64(binary.LittleEndian.Uint32(vector)), uint64(binary.LittleEndian.Uint32(vector[4:])))
		text = text[:min(len(text), int(maxWrite-written))]
		written += uint32(len(text))
		if in.version.plan.capabilities.has(Log) {
			in.print(level, text)
		}
	}
	in.charge(int64(written / costBytes))
	binary.LittleEndian.PutUint32(slice(mod, s[3], 4), written)
	return wasiSuccess
}

// print collects what a program writes until a line is complete.
func (in *instance) print(level LogLevel, text []byte) {
	for len(text) > 0 {
		line, rest, ended := bytes.Cut(text, []byte("\n"))
		room := in.version.limits.LogLine - len(in.line)
		in.line = append(in.line, line[:min(len(line), max(room, 0))]...)
		text = rest
		if ended {
			in.charge(costCall)
			in.log(level, in.line)
			in.line = in.line[:0]
		}
	}
}

func wasiResolution(_ *instance, mod api.Module, s []uint64) uint64 {
	binary.LittleEndian.PutUint64(slice(mod, s[1], 8), 1)
	return wasiSuccess
}

// wasiTime tells the time, or a time that stands still if the module may not know it.
func wasiTime(in *instance, mod api.Module, s []uint64) uint64 {
	now := uint64(0)
	if in.version.plan.capabilities.has(Clock) {
		now = uint64(time.Now().UnixNano())
		if uint32(s[0]) != 0 {
			now = uint64(time.Since(in.began))
		}
	}
	binary.LittleEndian.PutUint64(slice(mod, s[2], 8), now+1) // Go takes a monotonic time of 0 for none
	return wasiSuccess
}

// wasiRandom is there without the capability: run-time systems protect their hash tables with it.
func wasiRandom(in *instance, mod api.Module, s []uint64) uint64 {
	in.charge(int64(uint32(s[1])))
	fillRandom(slice(mod, s[0], s[1]))
	return wasiSuccess
}

// wasiPoll is what sleeping ends in. An instance that sleeps could serve nobody else, so it is stopped.
func wasiPoll(*instance, api.Module, []uint64) uint64 { panic(errWait) }

func wasiExit(_ *instance, _ api.Module, s []uint64) uint64 { panic(sys.NewExitError(uint32(s[0]))) }
