// Package admission is what the transports that listen on a network decide alike about a client that knocks.
package admission

import (
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"strings"

	"github.com/protoo-go/protoo/internal/network"
)

// Origins lists the origins that pages may connect from, beside the server's own host: "https://example.com",
// "https://*.example.com", "*.example.com" for any scheme, or "*" for all.
type Origins []string

// Check returns an error if a pattern is malformed.
func (o Origins) Check() error {
	for _, pattern := range o {
		if _, err := path.Match(pattern, ""); err != nil {
			return fmt.Errorf("malformed origin pattern %q", pattern)
		}
	}
	return nil
}

// Allow tells whether a request for host may come from a page of origin (RFC 6454). A request without an origin does not come
// from a page.
func (o Origins) Allow(origin, host string) bool {
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	if strings.EqualFold(u.Host, host) {
		return true
	}
	for _, pattern := range o {
		subject := strings.ToLower(u.Scheme + "://" + u.Host)
		if !strings.Contains(pattern, "://") {
			subject = strings.ToLower(u.Host)
		}
		if ok, _ := path.Match(strings.ToLower(pattern), subject); ok || pattern == "*" {
			return true
		}
	}
	return false
}

// Network returns whom an address, with or without a port, is counted as: for IPv6 the first 64 bits, of which one customer has all the
// rest. It is not valid for what is no IP address, such as a Unix socket's.
func Network(remote string) netip.Addr { return network.Of(remote, 64) }
