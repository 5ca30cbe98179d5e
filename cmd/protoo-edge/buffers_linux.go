package main

import (
	"net"
	"syscall"
)

// growBuffers makes a socket's buffers as large as wanted, if the system allows, and returns how large they are, in bytes.
func growBuffers(conn *net.UDPConn) (receive, send int) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return wantedBuffer, wantedBuffer
	}
	grow := func(fd, beyondLimit, option int) int {
		if syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, beyondLimit, wantedBuffer) != nil { // which only root may
			_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, option, wantedBuffer)
		}
		n, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, option)
		if err != nil {
			return wantedBuffer
		}
		return n / 2 // Linux counts its own needs too: socket(7)
	}
	_ = raw.Control(func(fd uintptr) {
		receive = grow(int(fd), syscall.SO_RCVBUFFORCE, syscall.SO_RCVBUF)
		send = grow(int(fd), syscall.SO_SNDBUFFORCE, syscall.SO_SNDBUF)
	})
	return receive, send
}
