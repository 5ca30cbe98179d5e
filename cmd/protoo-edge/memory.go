package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// setGCPercent says how much garbage there may be before it is collected. GOGC, if set, is left alone.
func setGCPercent(percent int) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}

// releaseWhenIdle gives memory back to the system when there is nothing to do: the garbage that a storm of connections leaves
// behind would otherwise stay until the next storm. It returns when ctx ends.
func releaseWhenIdle(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	var idle idleDetector
	for {
		select {
		case <-ticker.C:
			if idle.begins(readHeap()) {
				debug.FreeOSMemory()
			}
		case <-ctx.Done():
			return
		}
	}
}

// heap is the state of the heap, in bytes.
type heap struct {
	allocated uint64 // since the program began
	living    uint64 // after the last collection
	held      uint64 // from the operating system
}

func readHeap() heap {
	samples := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(samples)
	value := func(i int) uint64 { return samples[i].Value.Uint64() }
	return heap{allocated: value(0), living: value(1), held: value(2) + value(3) + value(4)}
}

// An idleDetector finds the moments at which a program has stopped working and holds much
// more memory than it needs.
type idleDetector struct {
	allocated uint64
	busy      bool // since memory was given back last
}

// begins is called at regular intervals. A program that allocates less than idleRate between two calls is idle.
func (d *idleDetector) begins(h heap) bool {
	const idleRate, worthwhile = 1 << 20, 4 << 20
	working := h.allocated-d.allocated >= idleRate
	d.allocated = h.allocated
	if working {
		d.busy = true
		return false
	}
	if !d.busy {
		return false
	}
	d.busy = false
	return h.held > h.living+h.living/4+worthwhile
}
