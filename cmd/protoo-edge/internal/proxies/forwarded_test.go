package proxies

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/protoo-go/protoo/core"
)

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, t := range texts {
		all = append(all, netip.MustParsePrefix(t))
	}
	return all
}

// header makes a header of lines "Name: value".
func header(lines ...string) http.Header {
	h := make(http.Header)
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		h.Add(name, value)
	}
	return h
}

// handshake returns what whoever decides about a connection is told of its address, and whether it is encrypted.
func (p *Proxies) handshake(from string, h http.Header) (remote string, secure bool) {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr, r.Header = from, h
	accept := p.Accept(func(r *core.ConnectRequest) (core.Identity, error) {
		remote, secure = r.RemoteAddr, r.Secure
		return core.Identity{}, nil
	})
	p.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = accept(&core.ConnectRequest{RemoteAddr: r.RemoteAddr, Secure: r.TLS != nil, Raw: r})
	})).ServeHTTP(httptest.NewRecorder(), r)
	return remote, secure
}

func TestForwardedFor(t *testing.T) {
	p := New(Options{Trusted: prefixes("10.0.0.0/8", "2001:db8:ffff::/48"), Header: XForwardedFor}, nil)
	const proxy = "10.0.0.1:4000"
	for _, tt := range []struct {
		name, from string
		header     http.Header
		want       string
		secure     bool
	}{
		{"no header", proxy, nil, proxy, false},
		{"one", proxy, header("X-Forwarded-For: 192.0.2.1"), "192.0.2.1:0", false},
		{"TLS", proxy, header("X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: HTTPS"), "192.0.2.1:0", true},
		{"port", proxy, header("X-Forwarded-For: 192.0.2.1:5678"), "192.0.2.1:5678", false},
		{"IPv6", proxy, header("X-Forwarded-For: 2001:db8::1"), "[2001:db8::1]:0", false},
		{"IPv6 in brackets", proxy, header("X-Forwarded-For: [2001:db8::1]"), "[2001:db8::1]:0", false},
		{"IPv6 with a port", proxy, header("X-Forwarded-For: [2001:db8::1]:80"), "[2001:db8::1]:80", false},
		{"mapped", "[::ffff:10.0.0.1]:4000", header("X-Forwarded-For: ::ffff:192.0.2.1"), "192.0.2.1:0", false},
		{"proxy by IPv6", "[2001:db8:ffff::1]:1", header("X-Forwarded-For: 192.0.2.1"), "192.0.2.1:0", false},
		{"not trusted", "192.0.2.9:1", header("X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https"), "192.0.2.9:1", false},
		{"no address", "@", header("X-Forwarded-For: 192.0.2.1"), "@", false},

		// What the client has written itself stands on the left.
		{"spoofed", proxy, header("X-Forwarded-For: 198.51.100.1, 192.0.2.1"), "192.0.2.1:0", false},
		{"spoofed proxy", proxy, header("X-Forwarded-For: 10.0.0.7,192.0.2.1"), "192.0.2.1:0", false},
		{"spoofed line", proxy, header("X-Forwarded-For: 198.51.100.1", "X-Forwarded-For: 192.0.2.1"), "192.0.2.1:0", false},
		{"spoofed TLS", proxy, header("X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https, http"), "192.0.2.1:0", false},
		{"the other header", proxy, header("Forwarded: for=198.51.100.1;proto=https"), proxy, false},
		{"chain", proxy, header("X-Forwarded-For: 198.51.100.1, 192.0.2.1, 10.2.0.1 ,10.3.0.1"), "192.0.2.1:0", false},
		{"only proxies", proxy, header("X-Forwarded-For: 10.2.0.1, 10.3.0.1"), "10.2.0.1:0", false},

		// What cannot be read ends at the last one that can.
		{"garbage", proxy, header("X-Forwarded-For: 192.0.2.1, unknown"), proxy, false},
		{"garbage in the chain", proxy, header("X-Forwarded-For: 192.0.2.1, , 10.2.0.1"), "10.2.0.1:0", false},
		{"empty", proxy, header("X-Forwarded-For: "), proxy, false},
		{"zone", proxy, header("X-Forwarded-For: fe80::1%eth0"), proxy, false},
		{"zone and port", proxy, header("X-Forwarded-For: [fe80::1%eth0]:80"), proxy, false},
		{"half a bracket", proxy, header("X-Forwarded-For: [2001:db8::1"), proxy, false},
		{"host", proxy, header("X-Forwarded-For: example.com"), proxy, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, secure := p.handshake(tt.from, tt.header); got != tt.want || secure != tt.secure {
				t.Errorf("got %s, %v, want %s, %v", got, secure, tt.want, tt.secure)
			}
		})
	}
	if s := p.Stats(); s.Named == 0 {
		t.Errorf("got %+v", s)
	}

	// Another trust holds at once.
	p.Set(Options{Trusted: prefixes("192.0.2.9/32"), Header: XForwardedFor})
	for from, want := range map[string]string{proxy: proxy, "192.0.2.9:1": "192.0.2.1:0"} {
		if got, _ := p.handshake(from, header("X-Forwarded-For: 192.0.2.1")); got != want {
			t.Errorf("from %s: got %s, want %s", from, got, want)
		}
	}
}

func TestForwarded(t *testing.T) {
	p := New(Options{Trusted: prefixes("10.0.0.0/8"), Header: Forwarded}, nil)
	const proxy = "10.0.0.1:4000"
	for _, tt := range []struct {
		name   string
		header http.Header
		want   string
		secure bool
	}{
		{"no header", nil, proxy, false},
		{"one", header("Forwarded: for=192.0.2.1"), "192.0.2.1:0", false},
		{"RFC 7239, section 4", header(`Forwarded: For="[2001:db8:cafe::17]:4711"`), "[2001:db8:cafe::17]:4711", false},
		{"all parameters", header("Forwarded: for=192.0.2.60;proto=https;by=203.0.113.43;host=example.com"), "192.0.2.60:0", true},
		{"spaces", header("Forwarded: for=192.0.2.43 ; proto=HTTPS , for=10.2.0.1; proto=http"), "192.0.2.43:0", true},
		{"in quotes", header(`Forwarded: for="192.0.2.1:80";host="a,b;\"c\""`), "192.0.2.1:80", false},
		{"without quotes", header("Forwarded: for=[2001:db8::1]:80"), "[2001:db8::1]:80", false},
		{"lines", header("Forwarded: for=198.51.100.1;proto=https", "Forwarded: for=192.0.2.1"), "192.0.2.1:0", false},
		{"chain", header("Forwarded: for=198.51.100.1, for=192.0.2.1;proto=https, for=10.9.0.1"), "192.0.2.1:0", true},
		{"the other header", header("X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https"), proxy, false},
		{"obfuscated", header("Forwarded: for=_hidden;proto=https"), proxy, true},
		{"unknown", header("Forwarded: for=192.0.2.1, for=unknown"), proxy, false},

		{"no for", header("Forwarded: for=192.0.2.1, by=10.0.0.1"), proxy, false},
		{"twice", header("Forwarded: for=192.0.2.1;for=192.0.2.2"), proxy, false},
		{"no value", header("Forwarded: for"), proxy, false},
		{"empty value", header("Forwarded: for="), proxy, false},
		{"no token", header("Forwarded: for=192.0.2.1;host=a/b"), proxy, false},
		{"behind the quotes", header(`Forwarded: for="192.0.2.1"x`), proxy, false},

		// A quote that the client has left open does not hide what the proxy has written behind it.
		{"open quote", header(`Forwarded: for="198.51.100.1, for=192.0.2.1;proto=https`), proxy, false},
		{"open quote before quotes", header(`Forwarded: for=198.51.100.1;a=", for="[2001:db8::1]"`), proxy, false},
		{"open quote in another line", header(`Forwarded: for="198.51.100.1`, "Forwarded: for=192.0.2.1"), "192.0.2.1:0", false},
		{"escaped quote", header(`Forwarded: for="198.51.100.1\, for="192.0.2.1"`), proxy, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, secure := p.handshake(proxy, tt.header); got != tt.want || secure != tt.secure {
				t.Errorf("got %s, %v, want %s, %v", got, secure, tt.want, tt.secure)
			}
		})
	}
	p.Set(Options{Trusted: prefixes("10.0.0.0/8"), Header: NoHeader})
	if got, secure := p.handshake(proxy, header("Forwarded: for=192.0.2.1;proto=https", "X-Forwarded-For: 192.0.2.1")); got != proxy || secure {
		t.Errorf("without a header: got %s, %v", got, secure)
	}
}

// FuzzForwarded has a client write what it wants, to which a trusted proxy adds its address: either the client's is found, or it
// counts as the proxy's own.
func FuzzForwarded(f *testing.F) {
	for _, seed := range []string{
		"", "for=192.0.2.43", `for="[2001:db8:cafe::17]:4711"`, `for=1.2.3.4;a="`, `for="\`, `a="\"";for=10.0.0.1`, "for=_x;proto=https,for=unknown",
		"198.51.100.1, 10.0.0.1", ";;;", ",,,", `"`, `for=";by="`,
	} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, written string, apart bool) {
		const client, proxy = "[2001:db8::7]:80", "10.0.0.1:4000"
		for name, added := range map[string]string{
			XForwardedFor: client,
			Forwarded:     `for="` + client + `";by="[2001:db8::1]";proto=http`,
		} {
			p := New(Options{Trusted: prefixes("10.0.0.0/8"), Header: name}, nil)
			h := http.Header{name: {written + ", " + added}}
			if apart {
				h = http.Header{name: {written, added}}
			}
			got, secure := p.handshake(proxy, h)
			if secure || got != client && (apart || name == XForwardedFor || got != proxy) {
				t.Errorf("%v: got %s, %v", h, got, secure)
			}
		}
	})
}
