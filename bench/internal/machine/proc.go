package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// field returns the value of a "name: value" line, or "".
func field(path, name string) string {
	for line := range strings.Lines(contents(path)) {
		key, value, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// kilobytes returns the value of a "name: 123 kB" line in bytes, or 0.
func kilobytes(path, name string) uint64 {
	number, _, _ := strings.Cut(field(path, name), " ")
	n, _ := strconv.ParseUint(number, 10, 64)
	return n << 10
}

// Resident returns the bytes of a process that are in memory, what it shares with others included.
func Resident(pid int) (uint64, error) {
	n := kilobytes(fmt.Sprintf("/proc/%d/status", pid), "VmRSS")
	if n == 0 {
		return 0, fmt.Errorf("resident memory of process %d: %w", pid, ErrUnsupported)
	}
	return n, nil
}

// ResidentSelf returns the resident memory of this process after what it does not need has been given back. Where the system
// does not tell, it is what the Go runtime holds.
func ResidentSelf() (uint64, error) {
	debug.FreeOSMemory()
	if n, err := Resident(os.Getpid()); err == nil {
		return n, nil
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Sys - m.HeapReleased, nil
}

// RunDelay returns how long the threads of this process have been ready to run without a processor, in total. It is 0 where
// the system does not tell.
func RunDelay() time.Duration {
	var sum time.Duration
	files, _ := filepath.Glob("/proc/self/task/*/schedstat")
	for _, file := range files {
		fields := strings.Fields(firstLine(file))
		if len(fields) == 3 {
			ns, _ := strconv.ParseInt(fields[1], 10, 64)
			sum += time.Duration(ns)
		}
	}
	return sum
}

// Busy returns how long the processors that this process may use were not idle, whoever used them, the host included. It is counted by ticks, and 0 where
// the system does not tell.
func Busy() time.Duration {
	lines := make(map[string][]string)
	for line := range strings.Lines(contents("/proc/stat")) {
		if fields := strings.Fields(line); len(fields) > steal {
			lines[fields[0]] = fields
		}
	}
	var sum int64
	for _, cpu := range Allowed() {
		for i, field := range lines[fmt.Sprintf("cpu%d", cpu)] {
			if i >= 1 && i <= steal && i != idle && i != idle+1 { // the latter waits for disks
				ticks, _ := strconv.ParseInt(field, 10, 64)
				sum += ticks
			}
		}
	}
	return time.Duration(sum) * time.Second / ticksPerSecond
}

// The fields of a processor's line in /proc/stat, and their unit.
const (
	ticksPerSecond = 100
	idle           = 4
	steal          = 8
)

// Stolen returns how long this machine's processors were ready to run while another virtual machine had them. It is 0 where
// the system does not tell.
func Stolen() time.Duration {
	fields := strings.Fields(firstLine("/proc/stat"))
	if len(fields) <= steal {
		return 0
	}
	ticks, _ := strconv.ParseInt(fields[steal], 10, 64)
	return time.Duration(ticks) * time.Second / ticksPerSecond
}

// Load returns the load average of the last minute. It is 0 where the system does not tell.
func Load() float64 {
	number, _, _ := strings.Cut(firstLine("/proc/loadavg"), " ")
	v, _ := strconv.ParseFloat(number, 64)
	return v
}
