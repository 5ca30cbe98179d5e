package limits

import (
	"net"
	"net/http"
	"net/netip"

	"github.com/protoo-go/protoo/internal/network"
)

// ConnState is for an http.Server's: it counts the connections over which nobody is connected yet, from their first moment on, and closes those
// beyond the limits before anything of them is read. shared, which may be nil, tells which addresses are many clients', such as a
// proxy's: for them there is no limit per address.
func (l *Limits) ConnState(shared func(netip.Addr) bool) func(net.Conn, http.ConnState) {
	return func(conn net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			if !l.arrived(conn, shared) {
				_ = conn.Close()
			}
		case http.StateHijacked, http.StateClosed:
			l.departed(conn)
		}
	}
}

// arrived reports whether there is room for a connection.
func (l *Limits) arrived(conn net.Conn, shared func(netip.Addr) bool) bool {
	o := l.options.Load()
	remote := farEnd(conn).String()
	addr := network.Of(remote, o.IPv6Prefix)
	exempt := !addr.IsValid() || isExempt(o, remote) || shared != nil && shared(network.Of(remote, 128))
	l.mu.Lock()
	defer l.mu.Unlock()
	if o.HTTPConnections > 0 && len(l.http) >= o.HTTPConnections {
		l.count(HTTPConnections)
		return false
	}
	if exempt {
		addr = netip.Addr{}
	} else {
		if o.HTTPConnectionsPerAddress > 0 && l.httpFrom[addr] >= o.HTTPConnectionsPerAddress {
			l.count(HTTPConnectionsPerAddress)
			return false
		}
		l.httpFrom[addr]++
	}
	l.http[conn] = addr
	return true
}

// farEnd returns the address of who is at the other end of a connection. Its RemoteAddr may be another's, and may have to be waited for.
func farEnd(conn net.Conn) net.Addr {
	for {
		above, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return conn.RemoteAddr()
		}
		conn = above.NetConn()
	}
}

func (l *Limits) departed(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	addr, ok := l.http[conn]
	if !ok {
		return // it was not let in
	}
	delete(l.http, conn)
	if !addr.IsValid() {
		return
	}
	if l.httpFrom[addr]--; l.httpFrom[addr] == 0 {
		delete(l.httpFrom, addr)
	}
}
