package websocket

import (
	"errors"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// These are system calls that do not wait. The runtime need not be told of them, as it is by the
// functions of package unix, so that it could run something else meanwhile: that costs more than it could gain.
// recvfrom and sendto are for sockets what read and write are for any file, and take a shorter way through the kernel.

func read(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), 0, 0, 0)
	return int(n), errno
}

func write(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}

// look returns how many events there are.
func look(epoll int, events []unix.EpollEvent) int {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// moment is how long linger waits at most. The kernel may add as much.
const moment = 50 * time.Microsecond

// linger returns how many events there are within a moment. The goroutine keeps its processor meanwhile. A signal, such as the one by which the collector
// stops goroutines, ends the moment. Before Linux 5.11 there is none.
func linger(epoll int, events []unix.EpollEvent) int {
	timeout := unix.NsecToTimespec(int64(moment))
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT2, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(unsafe.Pointer(&timeout)), 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// wait waits for events and returns how many there are, 0 if a signal came first. It panics on errors that only a mistake of ours can cause.
func wait(epoll int, events []unix.EpollEvent) int {
	n, err := unix.EpollWait(epoll, events, -1)
	if err != nil && !errors.Is(err, unix.EINTR) {
		panic("websocket: epoll_wait: " + err.Error())
	}
	return max(n, 0)
}
