//go:build !linux

package listen

import "net"

// waiting returns none: here they are reset, as is usual.
func waiting(*net.TCPListener) []net.Conn { return nil }
