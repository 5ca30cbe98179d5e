//go:build unix

package machine

import (
	"time"

	"golang.org/x/sys/unix"
)

// CPUOfSelf returns what this process has used.
func CPUOfSelf() (Reading, error) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return Reading{}, err
	}
	user, system := time.Duration(u.Utime.Nano()), time.Duration(u.Stime.Nano())
	return Reading{Exact: user + system, User: user, System: system}, nil
}
