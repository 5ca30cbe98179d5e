// Package network says which clients' addresses count as one.
package network

import "net/netip"

// Of returns whom an address, with or without a port, is counted as: for IPv6 as many of its first bits as prefix says, 64 being what one customer
// has for sure. It is not valid for what is no IP address, such as a Unix socket's.
func Of(remote string, prefix int) netip.Addr {
	addr, err := netip.ParseAddr(remote)
	if err != nil {
		port, err := netip.ParseAddrPort(remote)
		if err != nil {
			return netip.Addr{}
		}
		addr = port.Addr()
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		network, _ := addr.Prefix(prefix) // fails only for a prefix that IPv6 does not have
		addr = network.Addr()
	}
	return addr
}
