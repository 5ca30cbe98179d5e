// Package machine measures what processes cost on this machine, and how steady the machine itself is.
package machine

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"time"
)

// ErrUnsupported says that this system does not tell, or do, what was asked for.
var ErrUnsupported = errors.New("not supported on " + runtime.GOOS)

// CPU is processor time.
type CPU struct {
	User   time.Duration `json:"user_ns"`
	System time.Duration `json:"system_ns"`
}

func (c CPU) Total() time.Duration { return c.User + c.System }

// A Reading is the processor time of a process since it began, as the system tells it.
type Reading struct {
	Exact  time.Duration `json:"exact_ns"`
	User   time.Duration `json:"user_ns"`   // counted by ticks, perhaps
	System time.Duration `json:"system_ns"` // likewise
}

// Since returns what was used since an earlier reading. The total is as exact as the system knows it; how it divides into user and
// system may be an estimate from ticks.
func (r Reading) Since(earlier Reading) CPU {
	total := max(r.Exact-earlier.Exact, 0)
	user, system := r.User-earlier.User, r.System-earlier.System
	if user+system <= 0 {
		return CPU{User: total}
	}
	user = time.Duration(float64(total) * float64(user) / float64(user+system))
	return CPU{User: user, System: total - user}
}

// Description is what has to be known about a machine to judge a figure.
type Description struct {
	OS         string   `json:"os"`
	Arch       string   `json:"arch"`
	Kernel     string   `json:"kernel,omitempty"`
	Processor  string   `json:"processor,omitempty"`
	Processors int      `json:"processors"`      // that this process may use
	Quota      float64  `json:"quota,omitempty"` // of them it may use no more at a time, in the mean; 0 is no bound
	Memory     uint64   `json:"memory_bytes,omitempty"`
	Go         string   `json:"go"`
	Settings   []string `json:"settings,omitempty"` // of the kernel, as far as they matter
}

// Describe looks around.
func Describe() Description {
	d := Description{OS: runtime.GOOS, Arch: runtime.GOARCH, Processors: len(Allowed()), Go: runtime.Version()}
	d.Quota = quota("/proc/self/cgroup", "/sys/fs/cgroup")
	d.Kernel = firstLine("/proc/sys/kernel/osrelease")
	d.Processor = field("/proc/cpuinfo", "model name")
	d.Memory = kilobytes("/proc/meminfo", "MemTotal")
	for _, name := range []string{"net/core/rmem_max", "net/core/wmem_max", "net/ipv4/tcp_congestion_control"} {
		if v := firstLine("/proc/sys/" + name); v != "" {
			d.Settings = append(d.Settings, strings.ReplaceAll(name, "/", ".")+" = "+v)
		}
	}
	return d
}

// Capacity is how many processors' time there is.
func (d Description) Capacity() float64 {
	if d.Quota > 0 {
		return min(d.Quota, float64(d.Processors))
	}
	return float64(d.Processors)
}

func contents(path string) string {
	b, _ := os.ReadFile(path) // there is none on most systems
	return string(b)
}

func firstLine(path string) string {
	line, _, _ := strings.Cut(contents(path), "\n")
	return strings.TrimSpace(line)
}
