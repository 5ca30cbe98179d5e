//go:build linux || darwin || freebsd

package health

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// CountDescriptors returns how many file descriptors the process has open, and how many it may have, 0 where
// that cannot be learned. Since Linux 6.2 it takes as long for a million as for ten.
func CountDescriptors() (open, limit uint64) {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil {
		return 0, 0
	}
	open, ok := count()
	if !ok {
		return 0, 0
	}
	return open, uint64(l.Cur) //nolint:unconvert // it is signed on FreeBSD
}

func count() (open uint64, ok bool) {
	dir := "/dev/fd"
	if runtime.GOOS == "linux" {
		dir = "/proc/self/fd"
		if info, err := os.Stat(dir); err == nil && info.Size() > 0 {
			return uint64(info.Size()), true
		}
	}
	f, err := os.Open(dir)
	if err != nil {
		return 0, false
	}
	defer func() { _ = f.Close() }() // was only read
	for {
		names, err := f.Readdirnames(1024)
		open += uint64(len(names))
		if len(names) == 0 {
			return open - 1, err != nil && open > 0 // without the directory itself
		}
	}
}
