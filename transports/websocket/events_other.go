//go:build !linux

package websocket

import (
	"errors"
	"net"
	"time"
)

// pollers do not exist here: connections are served by goroutines.
type pollers struct{}

func newPollers(func(time.Duration)) (*pollers, error) { return nil, errors.ErrUnsupported }

func (*pollers) adopt(*Conn, net.Conn, []byte) bool { return false }

func (*pollers) close() {}

func carry(conn net.Conn) net.Conn { return conn }
