//go:build unix

package websocket_test

import "syscall"

// descriptorLimit returns how many file descriptors the process may have.
func descriptorLimit() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		panic(err)
	}
	return int(min(limit.Cur, 1<<20))
}
