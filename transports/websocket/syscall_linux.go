package websocket

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// These are system calls that do not wait. The runtime need not be told of them, as it is by the
// functions of package unix, so that it could run something else meanwhile: that costs more than it could gain.

func read(fd int, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return count(n, errno)
}

func write(fd int, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return count(n, errno)
}

// wait returns the events there are, and waits only if there are none.
func wait(epoll int, events []unix.EpollEvent) (int, error) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	if errno == 0 && n > 0 {
		return int(n), nil
	}
	return unix.EpollWait(epoll, events, -1)
}

func count(n uintptr, errno syscall.Errno) (int, error) {
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}
