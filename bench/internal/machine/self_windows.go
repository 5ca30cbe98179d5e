package machine

import (
	"time"

	"golang.org/x/sys/windows"
)

// CPUOfSelf returns what this process has used.
func CPUOfSelf() (Reading, error) {
	var created, exited, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(windows.CurrentProcess(), &created, &exited, &kernel, &user); err != nil {
		return Reading{}, err
	}
	return Reading{Exact: length(user) + length(kernel), User: length(user), System: length(kernel)}, nil
}

// length reads a Filetime that is a length of time, in units of 100 ns.
func length(t windows.Filetime) time.Duration {
	return time.Duration(uint64(t.HighDateTime)<<32|uint64(t.LowDateTime)) * 100
}
