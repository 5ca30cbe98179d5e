// Package proxies learns a client's address from the proxies in front of the server: from the header of the PROXY protocol, which comes
// before anything else, and from a header field of HTTP. Nobody is believed who does not come from a trusted address.
package proxies

import (
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
)

// The values of Options.Header.
const (
	XForwardedFor = "X-Forwarded-For" // and X-Forwarded-Proto
	Forwarded     = "Forwarded"       // RFC 7239
	NoHeader      = "none"
)

// The values of Options.Protocol.
const (
	Off     = "off"
	Accept  = "accept"
	Require = "require"
)

// Options say who is trusted, and with what. The zero value trusts nobody.
type Options struct {
	// Trusted are the addresses of proxies.
	Trusted []netip.Prefix
	// Header is the header field in which they name the client. A client can write the others, so there is only one.
	Header string
	// Protocol is whether connections begin with a header of the PROXY protocol, version 1 or 2: Off, or from trusted addresses
	// Accept, that is perhaps, or Require, that is all of them, and from nowhere else do any come. It does not change by Set.
	Protocol string
	// Timeout is how long that header may take. Default 5 s.
	Timeout time.Duration
}

// Proxies are those in front of the server.
type Proxies struct {
	protocol string
	options  atomic.Pointer[Options]
	report   func(from net.Addr, err error)
	counts   struct{ headers, refused, named atomic.Uint64 }
}

// New returns the proxies that options speak of. report, unless it is nil, is told of connections that ended because of their PROXY header, on
// their goroutines.
func New(o Options, report func(from net.Addr, err error)) *Proxies {
	p := &Proxies{protocol: o.Protocol, report: report}
	p.Set(o)
	return p
}

// Set changes the options, but for Protocol. Any goroutine may call it.
func (p *Proxies) Set(o Options) {
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	p.options.Store(&o)
}

// Stats are figures since the start.
type Stats struct {
	Headers uint64 // connections that had a PROXY header
	Refused uint64 // connections that ended because of theirs
	Named   uint64 // HTTP requests whose client a proxy has named
}

// Stats returns the figures. Any goroutine may call it.
func (p *Proxies) Stats() Stats {
	return Stats{p.counts.headers.Load(), p.counts.refused.Load(), p.counts.named.Load()}
}

// Trusts tells whether an address is a trusted proxy's. Any goroutine may call it.
func (p *Proxies) Trusts(addr netip.Addr) bool { return p.options.Load().trusts(addr) }

func (o *Options) trusts(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(o.Trusted, func(p netip.Prefix) bool { return p.Contains(addr) })
}
