package config

import (
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/limits"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/proxies"
)

// limitsTable has what the clients of all transports together may use up, and who says where they come from.
func (c *Config) limitsTable() []*Setting {
	l, p := &c.Limits, &c.Proxies
	return []*Setting{
		{Key: "limits.connections", value: limit(&l.Connections, 100_000, 0), Live: true, Common: true, Doc: `
How many connections there may be, of all transports together. More are refused with 503. It must be below what the process may
have of file descriptors.`},
		{Key: "limits.connections_per_address", value: limit(&l.ConnectionsPerAddress, 1024, 0), Live: true, Doc: `
How many there may be from one address. More are refused with 429. Many users may share an address.`},
		{Key: "limits.connections_per_user", value: limit(&l.ConnectionsPerUser, 100, 0), Live: true, Doc: `
How many devices of one user may be online. More are refused with 429.`},
		{Key: "limits.http_connections", value: limit(&l.HTTPConnections, 10_000, 0), Live: true, Doc: `
How many TCP connections there may be over which nobody is connected yet: in a handshake, or with a page. More are closed at once. Together with
limits.connections it must be below what the process may have of file descriptors.`},
		{Key: "limits.http_connections_per_address", value: limit(&l.HTTPConnectionsPerAddress, 256, 0), Live: true, Doc: `
How many of those there may be from one address. More are closed at once. Those of proxies.trusted count for limits.http_connections only.`},
		{Key: "limits.handshakes_per_second", value: perSecond(&l.Handshakes.PerSecond, 2000), Live: true, Doc: `
How many clients may connect in a second. More are refused with 503.`},
		{Key: "limits.handshakes_burst", value: number(&l.Handshakes.Burst, 10_000, 1, 1_000_000), Live: true, Doc: `
How many may do so at once.`},
		{Key: "limits.handshakes_per_second_per_address", value: perSecond(&l.HandshakesPerAddress.PerSecond, 50), Live: true, Doc: `
How many clients may connect from one address in a second. More are refused with 429.`},
		{Key: "limits.handshakes_burst_per_address", value: number(&l.HandshakesPerAddress.Burst, 200, 1, 1_000_000), Live: true, Doc: `
How many may do so at once.`},
		{Key: "limits.ipv6_prefix", value: number(&l.IPv6Prefix, 64, 1, 128), Live: true, Doc: `
How many bits of an IPv6 address are a network, which counts as one address: a customer has all the rest.`},
		{Key: "limits.exempt", value: prefixes(&l.Exempt, "127.0.0.0/8", "::1/128"), Live: true, Doc: `
The addresses that the limits per address, and those of handshakes, do not concern.`},
		{Key: "limits.requests_per_second", value: perSecond(&l.Requests.PerSecond, 0), Live: true, Common: true, Doc: `
How many requests one connection may send in a second. More are answered with 429. Entries "use: limit" of middleware bound
the requests to a path.`},
		{Key: "limits.requests_burst", value: number(&l.Requests.Burst, 100, 1, 1_000_000), Live: true, Doc: `
How many it may send at once.`},
		{Key: "limits.bytes_per_second", value: bytesPerSecond(&l.Bytes.PerSecond), Live: true, Doc: `
How many bytes of messages one connection may send in a second. Requests beyond that are answered with 429.`},
		{Key: "limits.bytes_burst", value: size(&l.Bytes.Burst, mebibyte, 1<<10, 1<<30), Live: true, Doc: `
How many it may send at once.`},
		{Key: "limits.patience", value: duration(&l.Patience, 10*time.Second, 0), Live: true, Doc: `
How long a connection may go on over its rates. It is closed with 1008 when as many of its requests were refused as the rate allows in this
time, and no fewer than 100, or when it has sent as many bytes too much. In ten times as long, all of that is forgiven. 0s never
closes one.`},

		{Key: "proxies.trusted", value: prefixes(&p.Trusted), Live: true, Doc: `
The addresses of proxies in front of this server. Only they are believed who a client is.`},
		{Key: "proxies.header", value: choice(&p.Header, proxies.XForwardedFor, proxies.Forwarded, proxies.NoHeader), Live: true, Doc: `
The header in which they say so. X-Forwarded-For goes together with X-Forwarded-Proto; Forwarded is RFC 7239. The others are not
looked at, because a client may have written them.`},
		{Key: "proxies.protocol", value: choice(&p.Protocol, proxies.Off, proxies.Accept, proxies.Require), Doc: `
Whether connections to addr and tls.addr begin with a header of the PROXY protocol, version 1 or 2. "accept" takes those of proxies.trusted with one
and without; "require" takes nothing else than theirs with one.`},
	}
}

func (c *Config) checkLimits() Mistakes {
	var mistakes Mistakes
	wrong := func(key, problem string) { mistakes = append(mistakes, c.Mistake(key, problem)) }
	if c.Proxies.Protocol != proxies.Off && len(c.Proxies.Trusted) == 0 {
		wrong("proxies.protocol", "is "+c.Proxies.Protocol+", but proxies.trusted is empty: nobody is believed")
	}
	if c.Env == Production && slices.ContainsFunc(c.Proxies.Trusted, func(p netip.Prefix) bool { return p.Bits() == 0 }) {
		wrong("proxies.trusted", "has every address there is, which is refused in production: clients could say that they come from anywhere")
	}
	// The largest message must not close the connection that it comes over.
	b := c.Limits.Bytes
	largest := max(c.WebSocket.MaxMessage, c.WebTransport.MaxMessage)
	if allowed := float64(b.Burst) + b.PerSecond*c.Limits.Patience.Seconds(); b.PerSecond > 0 && c.Limits.Patience > 0 && allowed < float64(largest) {
		wrong("limits.bytes_per_second", "lets a connection send "+strconv.Itoa(int(allowed))+" bytes within limits.patience, with limits.bytes_burst: that is less than one message may have, "+
			formatSize(largest))
	}
	return mistakes
}

// limitTable has what an entry can say that bounds the requests to a path.
func (m *Middleware) limitTable() []*Setting {
	l := &m.Limit
	return []*Setting{
		m.path("/"),
		{Key: "requests_per_second", value: perSecond(&l.Requests.PerSecond, 0)},
		{Key: "burst", value: number(&l.Requests.Burst, 10, 1, 1_000_000)},
		{Key: "bytes_per_second", value: bytesPerSecond(&l.Bytes.PerSecond)},
		{Key: "bytes_burst", value: size(&l.Bytes.Burst, 256<<10, 1, 1<<30)},
		{Key: "per", value: choice((*string)(&l.Per), string(limits.PerPeer), string(limits.PerUser), string(limits.PerAddress))},
	}
}

// limitsNothing tells whether an entry that bounds requests has no rate.
func (m *Middleware) limitsNothing() bool {
	return m.Use == "limit" && m.Limit.Requests.PerSecond == 0 && m.Limit.Bytes.PerSecond == 0
}

// Rules returns the options of the entries of the stack that bound requests, in their order.
func (c *Config) Rules() []limits.RuleOptions {
	var rules []limits.RuleOptions
	for _, m := range c.Middleware {
		if m.Use == "limit" {
			rules = append(rules, m.Limit)
		}
	}
	return rules
}

var decimal = regexp.MustCompile(`^[0-9]{1,7}(\.[0-9]{1,3})?$`)

// perSecond is a rate, which is 0 where there is none.
func perSecond(field *float64, standard float64) value {
	const least, most = 0.001, 1_000_000
	*field = standard
	return value{
		kind:    "rate",
		expects: "a number from 0.001 to 1000000, or " + unlimited,
		parse: func(s string) bool {
			if s == unlimited {
				*field = 0
				return true
			}
			n, err := strconv.ParseFloat(s, 64)
			*field = n
			return decimal.MatchString(s) && err == nil && n >= least && n <= most
		},
		show: func() string {
			if *field == 0 {
				return unlimited
			}
			return strconv.FormatFloat(*field, 'f', -1, 64)
		},
	}
}

// bytesPerSecond is a rate of bytes, none by default.
func bytesPerSecond(field *float64) value {
	const least, most = 1 << 10, 1 << 30
	*field = 0
	return value{
		kind:    "size",
		expects: "a size from " + formatSize(least) + " to " + formatSize(most) + ", or " + unlimited,
		parse: func(s string) bool {
			if s == unlimited {
				*field = 0
				return true
			}
			n, ok := parseSize(s)
			*field = float64(n)
			return ok && n >= least && n <= most
		},
		show: func() string {
			if *field == 0 {
				return unlimited
			}
			return formatSize(int(*field))
		},
	}
}

// prefixes is a list of networks. An address stands for itself.
func prefixes(field *[]netip.Prefix, standard ...string) value {
	var texts []string
	v := list(&texts, "networks such as 192.0.2.0/24 or 2001:db8::/32, or addresses", func(s string) bool {
		_, ok := parsePrefix(s)
		return ok
	})
	set := v.setList
	v.setList = func(new []string) bool {
		ok := set(new)
		*field = nil
		for _, s := range new {
			if p, valid := parsePrefix(s); valid {
				*field = append(*field, p)
			}
		}
		return ok
	}
	v.parse = func(s string) bool {
		var new []string
		for t := range strings.SplitSeq(s, ",") {
			new = append(new, strings.TrimSpace(t))
		}
		if s == "" {
			new = nil
		}
		return v.setList(new)
	}
	v.setList(standard)
	return v
}

func parsePrefix(s string) (netip.Prefix, bool) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err == nil && !p.Addr().Is4In6()
}
