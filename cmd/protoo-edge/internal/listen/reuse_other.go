//go:build !unix

package listen

import "syscall"

func reusePort(string, string, syscall.RawConn) error { return ErrReusePort }
