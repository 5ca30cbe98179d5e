//go:build !linux

package websocket

import (
	"errors"
	"net"
)

// Without a poller of our own, connections are served by goroutines.
type (
	pollers   struct{}
	eventConn struct{ Conn }
)

func newPollers() (*pollers, error) { return nil, errors.ErrUnsupported }

func (*pollers) adopt(*config, net.Conn, []byte) (*eventConn, error) { return nil, nil }

func (*pollers) close() {}

func (*eventConn) run() {}
