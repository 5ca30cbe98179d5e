package machine

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// The clocks of a process, see clock_getcpuclockid in linux/posix-timers.h.
const (
	clockProf  = 0 // user and system, counted by ticks
	clockVirt  = 1 // user, counted by ticks
	clockSched = 2 // both, exact
)

// CPUOf returns what a process has used. The total is exact to the microsecond, which the ticks of /proc are not.
func CPUOf(pid int) (Reading, error) {
	exact, err := clock(pid, clockSched)
	if err != nil {
		return Reading{}, fmt.Errorf("processor time of process %d: %w", pid, err)
	}
	prof, _ := clock(pid, clockProf) // they do not fail when the first did not
	virt, _ := clock(pid, clockVirt)
	return Reading{Exact: exact, User: virt, System: prof - virt}, nil
}

func clock(pid, which int) (time.Duration, error) {
	var t unix.Timespec
	err := unix.ClockGettime(int32(^pid<<3|which), &t)
	return time.Duration(t.Nano()), err
}
