package listen

import (
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// waiting accepts the connections that are in the kernel's queue. Go's own Accept would wait for more.
func waiting(l *net.TCPListener) []net.Conn {
	raw, err := l.SyscallConn()
	if err != nil {
		return nil
	}
	var conns []net.Conn
	_ = raw.Control(func(fd uintptr) {
		for {
			accepted, _, err := unix.Accept4(int(fd), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
			if err == unix.EINTR || err == unix.ECONNABORTED {
				continue
			}
			if err != nil {
				return
			}
			f := os.NewFile(uintptr(accepted), "")
			if conn, err := net.FileConn(f); err == nil {
				conns = append(conns, conn)
			}
			_ = f.Close() // conn has a copy
		}
	})
	return conns
}
