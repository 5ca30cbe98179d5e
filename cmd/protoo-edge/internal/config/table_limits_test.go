package config

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/limits"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/proxies"
)

func TestLimits(t *testing.T) {
	c := parse(t, `
limits:
  connections: unlimited
  connections_per_user: 3
  handshakes_per_second: 0.5
  handshakes_burst: 7
  exempt: []
  requests_per_second: 20
  bytes_per_second: 64KiB
  patience: 1m
proxies:
  trusted: [10.0.0.0/8, "::ffff:192.0.2.1", 2001:db8::1]
  header: Forwarded
  protocol: accept
middleware:
  - {use: limit, path: "/rooms/:id", requests_per_second: 5, burst: 10, per: user}
  - {use: limit, bytes_per_second: 1MiB}
`)
	l := c.Limits
	if l.Connections != 0 || l.ConnectionsPerUser != 3 || l.ConnectionsPerAddress != 1024 || l.IPv6Prefix != 64 || len(l.Exempt) != 0 || l.Patience != time.Minute {
		t.Errorf("got %+v", l)
	}
	if l.Handshakes != (limits.Rate{PerSecond: 0.5, Burst: 7}) || l.Requests != (limits.Rate{PerSecond: 20, Burst: 100}) || l.Bytes != (limits.Rate{PerSecond: 65536, Burst: 1 << 20}) {
		t.Errorf("got %+v", l)
	}
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("2001:db8::1/128")}
	if p := c.Proxies; !slices.Equal(p.Trusted, trusted) || p.Header != proxies.Forwarded || p.Protocol != proxies.Accept {
		t.Errorf("got %+v", p)
	}
	want := []limits.RuleOptions{
		{Requests: limits.Rate{PerSecond: 5, Burst: 10}, Bytes: limits.Rate{Burst: 256 << 10}, Per: limits.PerUser},
		{Requests: limits.Rate{Burst: 10}, Bytes: limits.Rate{PerSecond: 1 << 20, Burst: 256 << 10}, Per: limits.PerPeer},
	}
	if got := c.Rules(); !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := New().Limits; !slices.Equal(got.Exempt, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}) {
		t.Errorf("by default got %+v", got)
	}
	// What is printed means the same.
	again := parse(t, printed(t, c))
	for i, s := range c.Settings() {
		if got := again.Settings()[i]; got.show() != s.show() {
			t.Errorf("%s: %q was printed, and read as %q", s.Key, s.show(), got.show())
		}
	}
}

func TestLimitMistakes(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"limits: {requests_per_second: 0}", `limits.requests_per_second: expected a number from 0.001 to 1000000, or unlimited, got "0"`},
		{"limits: {requests_per_second: 1e3}", "limits.requests_per_second: expected"},
		{"limits: {requests_per_second: NaN}", "limits.requests_per_second: expected"},
		{"limits: {requests_per_second: -1}", "limits.requests_per_second: expected"},
		{"limits: {bytes_per_second: 1}", `limits.bytes_per_second: expected a size from 1KiB to 1GiB, or unlimited, got "1"`},
		{"limits: {ipv6_prefix: 0}", "limits.ipv6_prefix: expected a whole number from 1 to 128"},
		{"limits: {exempt: [example.com]}", "limits.exempt: expected networks such as 192.0.2.0/24 or 2001:db8::/32, or addresses"},
		{"limits: {exempt: [fe80::1%eth0]}", "limits.exempt: expected"},
		{"limits: {bytes_per_second: 1KiB, bytes_burst: 1KiB, patience: 2s}", "limits.bytes_per_second: lets a connection send 3072 bytes within limits.patience"},
		{"proxies: {protocol: require}", "proxies.protocol: is require, but proxies.trusted is empty"},
		{"proxies: {header: X-Real-IP}", "proxies.header: expected X-Forwarded-For, Forwarded or none"},
		{"env: production\nidentity: {type: wasm}\nproxies: {trusted: [0.0.0.0/0]}", "proxies.trusted: has every address there is"},
		{"middleware: [{use: limit, path: /rooms}]", "middleware[0]: limits nothing; it needs requests_per_second or bytes_per_second"},
		{"middleware: [{use: limit, requests_per_second: 1, per: device}]", "middleware[0].per: expected peer, user or address"},
	} {
		_, err := load(Sources{File: "edge.yaml"}, []byte(tt.text))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", tt.text, err, tt.want)
		}
	}
}

// TestApplyLimits changes rates, which takes no restart, and where they are, which does.
func TestApplyLimits(t *testing.T) {
	const stack = "middleware: [{use: limit, path: /rooms, requests_per_second: 5}, {use: echo}]\n"
	c := parse(t, stack)
	applied, restart := c.Apply(parse(t, "limits: {connections: 5, requests_per_second: 3, exempt: []}\nproxies: {trusted: [192.0.2.1]}\n"+
		strings.Replace(stack, "second: 5", "second: 6, per: user", 1)))
	var keys []string
	for _, change := range applied {
		keys = append(keys, change.Key)
	}
	if want := []string{"middleware", "limits.connections", "limits.exempt", "limits.requests_per_second", "proxies.trusted"}; !slices.Equal(keys, want) || len(restart) > 0 {
		t.Errorf("applied %v and not %v, want %v", keys, restart, want)
	}
	if c.Limits.Connections != 5 || c.Limits.Requests.PerSecond != 3 || len(c.Limits.Exempt) != 0 || len(c.Proxies.Trusted) != 1 {
		t.Errorf("got %+v, %+v", c.Limits, c.Proxies)
	}
	if got := c.Rules(); len(got) != 1 || got[0].Requests.PerSecond != 6 || got[0].Per != limits.PerUser {
		t.Errorf("got %+v", got)
	}
	if _, restart = c.Apply(parse(t, strings.Replace(stack, "/rooms", "/halls", 1))); len(restart) != 1 {
		t.Errorf("another path takes a restart, got %v", restart)
	}
}
