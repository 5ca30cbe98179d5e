package wasmhost

import (
	"cmp"
	"runtime"
	"time"
)

// Limits bound what a module can use. Zero values mean the defaults, so that no module is without limits.
type Limits struct {
	Fuel     int64 // of one event, about a nanosecond a unit; default 5,000,000
	InitFuel int64 // of making an instance; default 50,000,000
	Memory   int64 // bytes of one instance; default 16 MiB. A manifest that does not ask for more gets 2 MiB.
	Frame    int   // bytes of a frame; default 256 KiB
	File     int   // bytes of the module's file; default 8 MiB

	Instances int // that exist at a time; default GOMAXPROCS
	Restarts  int // of instances that have failed, in a second; default 20
	Pending   int // requests and connections that the module has taken over; default 10,000
	Sends     int // requests of the module's own whose final response it is to hear of; default 10,000
	Queue     int // events that wait for an instance; default 1,000
	Versions  int // replaced versions that still have something to finish; default 4
	Timers    int // that run; default 10,000
	Outbox    int // messages, closes, timers and completions of one event; default 256
	PeerData  int // bytes of the values that are stored about one peer, with 64 for each; default 16 KiB
	Held      int // bytes of what is kept, sent or waits for a timer, with 512 for each; default 32 MiB
	Carry     int // bytes that are kept for one request, message or timer; default 4 KiB
	LogLines  int // in a second, more are dropped; default 100
	LogLine   int // bytes of one line, more are cut off; default 1,024
	Counters  int // names that the module can count under; default 64

	PendingTimeout time.Duration // how long a request can be kept; default 30 s
	SendTimeout    time.Duration // the longest that the module can give a peer for an answer; default 2 min
	MaxTimer       time.Duration // the longest timer; default 24 h
	DrainTimeout   time.Duration // how long a replaced version may finish what it has begun; default 30 s
}

func (l Limits) withDefaults() Limits {
	l.Fuel = positive(l.Fuel, 5_000_000)
	l.InitFuel = positive(l.InitFuel, 50_000_000)
	l.Memory = positive(l.Memory, 16<<20)
	l.Frame = positive(l.Frame, 256<<10)
	l.File = positive(l.File, 8<<20)
	l.Instances = positive(l.Instances, runtime.GOMAXPROCS(0))
	l.Restarts = positive(l.Restarts, 20)
	l.Pending = positive(l.Pending, 10_000)
	l.Sends = positive(l.Sends, 10_000)
	l.Queue = positive(l.Queue, 1_000)
	l.Versions = positive(l.Versions, 4)
	l.Timers = positive(l.Timers, 10_000)
	l.Outbox = positive(l.Outbox, 256)
	l.PeerData = positive(l.PeerData, 16<<10)
	l.Held = positive(l.Held, 32<<20)
	l.Carry = positive(l.Carry, 4<<10)
	l.LogLines = positive(l.LogLines, 100)
	l.LogLine = positive(l.LogLine, 1024)
	l.Counters = positive(l.Counters, 64)
	l.PendingTimeout = positive(l.PendingTimeout, 30*time.Second)
	l.SendTimeout = positive(l.SendTimeout, 2*time.Minute)
	l.MaxTimer = positive(l.MaxTimer, 24*time.Hour)
	l.DrainTimeout = positive(l.DrainTimeout, 30*time.Second)
	return l
}

// positive returns n, or standard if n is not a usable limit.
func positive[T cmp.Ordered](n, standard T) T {
	var zero T
	if n <= zero {
		return standard
	}
	return n
}

const (
	defaultMemory = 2 << 20
	pageSize      = 64 << 10
)
