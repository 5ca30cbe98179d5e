package proxies

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/protoo-go/protoo/core"
)

type secureKey struct{}

// Handler makes the client's address a request's RemoteAddr where a trusted proxy has named it. A client whose port is not
// known has port 0.
func (p *Proxies) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o := p.options.Load()
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !o.trusts(from.Addr()) {
			next.ServeHTTP(w, r)
			return
		}
		client, secure := o.client(from, r.Header)
		if client != from {
			p.counts.named.Add(1)
		}
		r = r.WithContext(context.WithValue(r.Context(), secureKey{}, secure))
		r.RemoteAddr = client.String()
		next.ServeHTTP(w, r)
	})
}

// Accept tells whoever decides about a connection that it is encrypted up to the proxy, where the proxy says so.
func (p *Proxies) Accept(next core.Accept) core.Accept {
	return func(r *core.ConnectRequest) (core.Identity, error) {
		if raw, ok := r.Raw.(*http.Request); ok && raw.Context().Value(secureKey{}) == true {
			r.Secure = true
		}
		return next(r)
	}
}

// client returns who a request through a trusted proxy comes from, and whether TLS was spoken with whoever that is.
func (o *Options) client(from netip.AddrPort, h http.Header) (client netip.AddrPort, secure bool) {
	switch o.Header {
	case XForwardedFor:
		client = o.nearest(from, fromRight(h["X-Forwarded-For"], splitList))
		secure = lastOf(h["X-Forwarded-Proto"]) == "https"
	case Forwarded:
		var proto string
		client = o.nearest(from, func(yield func(string) bool) {
			for element := range fromRight(h["Forwarded"], splitForwarded) {
				node, scheme, ok := parseForwarded(element)
				if !ok {
					return
				}
				proto = scheme
				if !yield(node) {
					return
				}
			}
		})
		secure = strings.EqualFold(proto, "https")
	default:
		return from, false
	}
	return client, secure
}

// nearest returns the first of the nodes that is no proxy of ours. They are given from the right: each was written by
// the one before. What is no address ends the chain, and so does its end; then it is the last proxy that is known.
func (o *Options) nearest(from netip.AddrPort, nodes func(yield func(string) bool)) netip.AddrPort {
	for node := range nodes {
		addr, ok := parseNode(node)
		if !ok {
			break
		}
		from = addr
		if !o.trusts(addr.Addr()) {
			break
		}
	}
	return from
}

// fromRight returns the elements of a list in a field that may be there several times, the last one first. A line that
// cannot be split ends it.
func fromRight(lines []string, split func(string) ([]string, bool)) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, line := range slices.Backward(lines) {
			elements, ok := split(line)
			if !ok {
				return
			}
			for _, element := range slices.Backward(elements) {
				if !yield(element) {
					return
				}
			}
		}
	}
}

func splitList(line string) ([]string, bool) { return strings.Split(line, ","), true }

func lastOf(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	line := lines[len(lines)-1]
	return strings.ToLower(strings.TrimSpace(line[strings.LastIndexByte(line, ',')+1:]))
}

// parseNode reads an address with or without a port: 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1], [2001:db8::1]:80.
func parseNode(node string) (netip.AddrPort, bool) {
	node = strings.TrimSpace(node)
	if addr, err := netip.ParseAddrPort(node); err == nil {
		return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()), addr.Addr().Zone() == ""
	}
	bare := strings.TrimSuffix(strings.TrimPrefix(node, "["), "]")
	addr, err := netip.ParseAddr(bare)
	ok := err == nil && addr.Zone() == "" && (bare == node || len(bare) == len(node)-2)
	return netip.AddrPortFrom(addr.Unmap(), 0), ok
}

// splitForwarded splits a list at the commas that are not in a quoted string (RFC 7239, section 4).
func splitForwarded(line string) (elements []string, ok bool) { return splitQuoted(line, ',') }

func splitQuoted(s string, at byte) (parts []string, ok bool) {
	begin, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case quoted && s[i] == '\\':
			i++
		case !quoted && s[i] == at:
			parts = append(parts, s[begin:i])
			begin = i + 1
		}
	}
	return append(parts, s[begin:]), !quoted
}

// parseForwarded returns the parameters "for" and "proto" of an element. One without "for", or with an obfuscated identifier, is
// not understood, and neither is one with a parameter that is there twice.
func parseForwarded(element string) (node, proto string, ok bool) {
	pairs, ok := splitQuoted(element, ';')
	if !ok {
		return "", "", false
	}
	seen := make(map[string]string, len(pairs))
	for _, pair := range pairs {
		name, value, ok := strings.Cut(strings.Trim(pair, " \t"), "=")
		name = strings.ToLower(name)
		if _, twice := seen[name]; !ok || twice || !isToken(name) {
			return "", "", false
		}
		if value, ok = unquote(value); !ok {
			return "", "", false
		}
		seen[name] = value
	}
	node, ok = seen["for"]
	return node, seen["proto"], ok
}

// unquote reads a token or a quoted string (RFC 9110, section 5.6).
func unquote(s string) (string, bool) {
	if !strings.HasPrefix(s, `"`) {
		return s, isToken(s)
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), i == len(s)-1
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return "", false
}

// isToken also takes what addresses have, and tokens must not: proxies write for=192.0.2.1:80 and for=[2001:db8::1] without quotes.
func isToken(s string) bool {
	const more = "!#$%&'*+-.^_`|~:[]"
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune(more, r))
	})
}
