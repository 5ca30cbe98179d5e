//go:build !linux

package main

import "net"

// growBuffers makes a socket's buffers as large as wanted. How large they have become is not known here.
func growBuffers(conn *net.UDPConn) (receive, send int) {
	_ = conn.SetReadBuffer(wantedBuffer)
	_ = conn.SetWriteBuffer(wantedBuffer)
	return wantedBuffer, wantedBuffer
}
