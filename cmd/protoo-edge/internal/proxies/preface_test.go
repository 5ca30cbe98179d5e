package proxies

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/core/coretest"
	"github.com/protoo-go/protoo/transports/websocket"
)

func TestMain(m *testing.M) { coretest.Main(m) }

// The headers of version 1, and what one of version 2 begins with.
const (
	v1        = "PROXY TCP4 192.0.2.1 203.0.113.1 5678 443\r\n"
	v1six     = "PROXY TCP6 2001:db8::1 2001:db8::2 5678 443\r\n"
	v1unknown = "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n"
	signature = "\r\n\r\n\x00\r\nQUIT\n"
)

var (
	addresses4 = "\xc0\x00\x02\x01\xcb\x00\x71\x01\x16\x2e\x01\xbb" // 192.0.2.1:5678 to 203.0.113.1:443
	addresses6 = "\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x01" + "\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x02" + "\x16\x2e\x01\xbb"
	tlv        = "\x05\x00\x04abcd" // PP2_TYPE_UNIQUE_ID
)

// v2 makes a header of version 2: a command, a family with a protocol, and what follows.
func v2(command, family byte, rest string) string {
	return signature + string([]byte{0x20 | command, family, byte(len(rest) >> 8), byte(len(rest))}) + rest
}

// cases are headers, with the address that they name: "" for the connection's own. A reason is why it ends.
var cases = []struct {
	name, header, client, reason string
}{
	{"v1", v1, "192.0.2.1:5678", ""},
	{"v1 TCP6", v1six, "[2001:db8::1]:5678", ""},
	{"v1 UNKNOWN", v1unknown, "", ""},
	{"v1 short UNKNOWN", "PROXY UNKNOWN\r\n", "", ""},
	{"v2", v2(1, 0x11, addresses4), "192.0.2.1:5678", ""},
	{"v2 IPv6", v2(1, 0x21, addresses6), "[2001:db8::1]:5678", ""},
	{"v2 with extensions", v2(1, 0x11, addresses4+tlv), "192.0.2.1:5678", ""},
	{"v2 with many extensions", v2(1, 0x11, addresses4+"\x04\x0b\xb8"+strings.Repeat("x", 3000)), "192.0.2.1:5678", ""},
	{"v2 LOCAL", v2(0, 0x00, ""), "", ""},
	{"v2 LOCAL with addresses", v2(0, 0x11, addresses4), "", ""},
	{"v2 Unix socket", v2(1, 0x31, strings.Repeat("x", 216)), "", ""},

	{"v1 garbage", "PROXY TCP4 192.0.2.1 somewhere 1 2\r\n", "", "PROXY header"},
	{"v1 no such port", "PROXY TCP4 192.0.2.1 203.0.113.1 65536 443\r\n", "", "PROXY header"},
	{"v1 without an end", "PROXY TCP4 " + strings.Repeat("1", 200), "", "PROXY header"},
	{"v2 no such version", signature + "\x31\x11\x00\x0c" + addresses4, "", "PROXY header"},
	{"v2 no such command", v2(2, 0x11, addresses4), "", "PROXY header"},
	{"v2 no such family", v2(1, 0x41, addresses4), "", "PROXY header"},
	{"v2 too short", v2(1, 0x11, addresses4[:4]), "", "PROXY header"},
	{"v2 too long", v2(1, 0x11, addresses4+strings.Repeat("x", 60000)), "", "PROXY header"},
}

// from is a connection that comes from some address.
type from struct {
	net.Conn
	addr net.Addr
}

func (f from) RemoteAddr() net.Addr { return f.addr }

// one is a listener that accepts one connection.
type one struct {
	conn net.Conn
	net.Listener
}

func (o *one) Accept() (net.Conn, error) { return o.conn, nil }

// open returns the server's end of a connection whose other end writes pieces, one after the other, and then nothing.
func (p *Proxies) open(t *testing.T, addr string, pieces ...string) net.Conn {
	t.Helper()
	remote, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	near, far := net.Pipe()
	go func() {
		for _, piece := range pieces {
			if _, err := io.WriteString(far, piece); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { _ = near.Close(); _ = far.Close() })
	conn, err := p.Listener(&one{conn: from{near, remote}}).Accept()
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestPreface(t *testing.T) {
	const proxy, behind = "10.0.0.1:4000", "GET / HTTP/1.1\r\n"
	for _, tt := range cases {
		for _, protocol := range []string{Accept, Require} {
			t.Run(tt.name+" "+protocol, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var reported error
					p := New(Options{Trusted: prefixes("10.0.0.0/8"), Protocol: protocol}, func(_ net.Addr, err error) { reported = err })
					conn := p.open(t, proxy, tt.header+behind)
					want := tt.client
					if want == "" {
						want = proxy
					}
					if got := conn.RemoteAddr().String(); got != want {
						t.Errorf("got %s, want %s", got, want)
					}
					got := make([]byte, len(behind))
					_, err := io.ReadFull(conn, got)
					switch {
					case tt.reason == "" && (err != nil || string(got) != behind || reported != nil):
						t.Errorf("behind the header: got %q, %v, %v", got, err, reported)
					case tt.reason != "" && (err == nil || !strings.Contains(err.Error(), tt.reason) || !errors.Is(reported, err)):
						t.Errorf("got error %v, reported was %v, want %q", err, reported, tt.reason)
					}
					s := p.Stats()
					if tt.reason == "" && s != (Stats{Headers: 1}) || tt.reason != "" && s != (Stats{Refused: 1}) {
						t.Errorf("got %+v", s)
					}
				})
			})
		}
	}
}

// TestProtocol has connections with and without a header come from everywhere.
func TestProtocol(t *testing.T) {
	const none, behind = "", "GET / HTTP/1.1\r\n"
	for _, tt := range []struct{ protocol, addr, header, client, rest, reason string }{
		{Off, "10.0.0.1:1", v1, "10.0.0.1:1", v1 + behind, ""},
		{Accept, "10.0.0.1:1", v1, "192.0.2.1:5678", behind, ""},
		{Accept, "10.0.0.1:1", none, "10.0.0.1:1", behind, ""},
		{Accept, "10.0.0.1:1", "PUT", "10.0.0.1:1", "PUT" + behind, ""},
		{Accept, "10.0.0.1:1", "\x16\x03\x01", "10.0.0.1:1", "\x16\x03\x01" + behind, ""},
		{Accept, "192.0.2.9:1", v1, "192.0.2.9:1", v1 + behind, ""},
		{Accept, "192.0.2.9:1", none, "192.0.2.9:1", behind, ""},
		{Require, "10.0.0.1:1", v1, "192.0.2.1:5678", behind, ""},
		{Require, "10.0.0.1:1", none, "10.0.0.1:1", "", "no PROXY header"},
		{Require, "192.0.2.9:1", v1, "192.0.2.9:1", "", "not from a trusted address"},
		{Require, "192.0.2.9:1", none, "192.0.2.9:1", "", "not from a trusted address"},
	} {
		t.Run(fmt.Sprint(tt.protocol, tt.addr, tt.header), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := New(Options{Trusted: prefixes("10.0.0.0/8"), Protocol: tt.protocol}, nil)
				conn := p.open(t, tt.addr, tt.header+behind)
				if got := conn.RemoteAddr().String(); got != tt.client {
					t.Errorf("got %s, want %s", got, tt.client)
				}
				got := make([]byte, len(tt.rest))
				if tt.reason != "" {
					got = make([]byte, 1)
				}
				_, err := io.ReadFull(conn, got)
				if tt.reason == "" && (err != nil || string(got) != tt.rest) || tt.reason != "" && (err == nil || !strings.Contains(err.Error(), tt.reason)) {
					t.Errorf("got %q, %v, want %q, %q", got, err, tt.rest, tt.reason)
				}
			})
		})
	}
}

// TestTimeout has a header come in pieces, in time and not.
func TestTimeout(t *testing.T) {
	header := v2(1, 0x11, addresses4)
	for cut := range len(header) {
		synctest.Test(t, func(t *testing.T) {
			p := New(Options{Trusted: prefixes("10.0.0.0/8"), Protocol: Accept, Timeout: 3 * time.Second}, nil)
			begin := time.Now()
			conn := p.open(t, "10.0.0.1:1", header[:cut])
			if got := conn.RemoteAddr().String(); got != "10.0.0.1:1" {
				t.Errorf("%d bytes: got address %s", cut, got)
			}
			_, err := conn.Read(make([]byte, 1))
			if took := time.Since(begin); took != 3*time.Second || err == nil {
				t.Errorf("%d bytes: it took %v, and ended with %v", cut, took, err)
			}

			conn = p.open(t, "10.0.0.1:1", header[:cut], header[cut:], "x")
			if got := conn.RemoteAddr().String(); got != "192.0.2.1:5678" {
				t.Errorf("in pieces of %d bytes: got address %s", cut, got)
			}
			// The time is not over for what follows.
			time.Sleep(time.Minute)
			if n, err := conn.Read(make([]byte, 1)); n != 1 || err != nil {
				t.Errorf("a minute later: got %d, %v", n, err)
			}
		})
	}
}

// TestServer goes all the way: a proxy, TLS or none, HTTP, WebSocket served by events or goroutines.
func TestServer(t *testing.T) {
	for _, tt := range []struct {
		name       string
		tls        bool
		goroutines bool
	}{{"events", false, false}, {"goroutines", false, true}, {"tls events", true, false}, {"tls goroutines", true, true}} {
		t.Run(tt.name, func(t *testing.T) {
			app := core.New(core.Options{})
			app.Use("/", func(req *core.Request, _ core.Next) error { return req.Reply(200, "OK", req.Peer().Conn().String()) })
			p := New(Options{Trusted: prefixes("127.0.0.0/8"), Header: XForwardedFor, Protocol: Require}, nil)
			var mu sync.Mutex
			var seen []string
			ws := websocket.New(app, p.Accept(func(r *core.ConnectRequest) (core.Identity, error) {
				mu.Lock()
				defer mu.Unlock()
				seen = append(seen, fmt.Sprint(r.RemoteAddr, " ", r.Secure))
				return core.Identity{Username: "alice", UUID: strconv.Itoa(len(seen))}, nil
			}), websocket.Options{Goroutines: tt.goroutines})
			server := httptest.NewUnstartedServer(p.Handler(ws))
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.Listener = websocket.NewListener(p.Listener(server.Listener), nil)
			if tt.tls {
				server.StartTLS()
			} else {
				server.Start()
			}
			defer server.Close()
			defer ws.Close()

			dial := func(header string) net.Conn {
				conn, err := net.Dial("tcp", server.Listener.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = conn.Close() })
				_ = conn.SetDeadline(time.Now().Add(time.Minute))
				if _, err := io.WriteString(conn, header); err != nil {
					t.Fatal(err)
				}
				return conn
			}
			slow := dial("PROXY TCP4 ") // in one piece of it or not at all: it is over at once
			half := dial(v2(1, 0x11, addresses4)[:20])
			if b, _ := io.ReadAll(slow); len(b) > 0 {
				t.Errorf("half a line: got %q", b)
			}
			if b, _ := io.ReadAll(dial("GET / HTTP/1.1\r\nHost: a\r\n\r\n")); len(b) > 0 {
				t.Errorf("without a header: got %q", b)
			}
			for i, c := range []struct{ header, more, want, conn string }{
				{v1, "", "192.0.2.1:5678 false", "192.0.2.1:5678"},
				{v1six, "", "[2001:db8::1]:5678 false", "[2001:db8::1]:5678"},
				{v2(1, 0x11, addresses4+tlv), "", "192.0.2.1:5678 false", "192.0.2.1:5678"},
				// A proxy for HTTP, which is trusted by its address, behind one for TCP.
				{"PROXY TCP4 127.9.9.9 203.0.113.1 5678 443\r\n", "X-Forwarded-For: 1.1.1.1, 192.0.2.7\r\nX-Forwarded-Proto: https\r\n", "192.0.2.7:0 true", "192.0.2.7:0"},
				{v1, "X-Forwarded-For: 1.1.1.1\r\n", "192.0.2.1:5678 false", "192.0.2.1:5678"},
			} {
				conn := dial(c.header)
				if tt.tls {
					secure := tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the certificate is not what is tested
					if err := secure.HandshakeContext(context.Background()); err != nil {
						t.Fatal(err)
					}
					conn = secure
				}
				const message = `{"method":"x","path":"/","id":1}`
				frame := append([]byte{0x81, 0x80 | byte(len(message)), 0, 0, 0, 0}, message...)
				_, err := io.WriteString(conn, "GET /?a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
					"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: protoo\r\n"+c.more+"\r\n"+string(frame))
				if err != nil {
					t.Fatal(err)
				}
				var got []byte
				for b := make([]byte, 512); !bytes.HasSuffix(got, []byte("}")); {
					n, err := conn.Read(b)
					if err != nil {
						t.Fatalf("after %q: %v", got, err)
					}
					got = append(got, b[:n]...)
				}
				if !strings.Contains(string(got), c.conn+`"}`) {
					t.Errorf("%q: got %q, want the address %s", c.header, got, c.conn)
				}
				mu.Lock()
				want := c.want
				if tt.tls {
					want = strings.Replace(want, "false", "true", 1)
				}
				if len(seen) != i+1 || seen[i] != want {
					t.Errorf("%q: got %q, want %s", c.header, seen, want)
				}
				mu.Unlock()
				_ = conn.Close() // or the server would wait for an answer to its close frame
			}
			_ = half.Close()
			if s := p.Stats(); s.Headers != 5 || s.Refused < 2 || s.Named != 1 {
				t.Errorf("got %+v", s)
			}
		})
	}
}

// FuzzPreface sends bytes from a trusted address, in pieces. Whatever the header is, what follows it is passed on, and where there
// is none that is everything.
func FuzzPreface(f *testing.F) {
	for _, tt := range cases {
		if len(tt.header) > 1000 {
			continue // making smaller ones of it would take all the time
		}
		f.Add([]byte(tt.header+"GET / HTTP/1.1\r\n"), uint8(255), true)
		f.Add([]byte(tt.header), uint8(7), false)
	}
	f.Add([]byte("GET / HTTP/1.1\r\n"), uint8(1), false)
	f.Fuzz(func(t *testing.T, data []byte, size uint8, require bool) {
		o := Options{Trusted: prefixes("10.0.0.0/8"), Protocol: Accept}
		if require {
			o.Protocol = Require
		}
		p := New(o, nil)
		source := &pieces{data: data, size: int(size) + 1}
		conn, err := p.Listener(&one{conn: source}).Accept()
		if err != nil {
			t.Fatal(err)
		}
		addr := conn.RemoteAddr().String()
		got, err := io.ReadAll(conn)
		s := p.Stats()
		switch {
		case err != nil:
			if s.Refused != 1 || !source.closed || addr != "10.0.0.1:1" {
				t.Errorf("got %v, %+v, address %s", err, s, addr)
			}
		case s.Headers == 0:
			if require || !bytes.Equal(got, data) || addr != "10.0.0.1:1" {
				t.Errorf("without a header: got %q from %s", got, addr)
			}
		default:
			header := data[:len(data)-len(got)]
			if !bytes.HasSuffix(data, got) || len(header) < len("PROXY UNKNOWN\r\n") || len(header) > 16+4096 {
				t.Errorf("behind the header %q: got %q", header, got)
			}
			if _, _, err := net.SplitHostPort(addr); err != nil {
				t.Errorf("got address %s", addr)
			}
			if !bytes.HasPrefix(header, proxyproto.SIGV1) && !bytes.HasPrefix(header, proxyproto.SIGV2) {
				t.Errorf("%q is no header", header)
			}
		}
	})
}

// pieces is a connection from a trusted address that gives out a few bytes at a time.
type pieces struct {
	net.Conn
	data   []byte
	size   int
	closed bool
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.data) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.size)], p.data)
	p.data = p.data[n:]
	return n, nil
}

func (p *pieces) RemoteAddr() net.Addr            { return &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 1} }
func (p *pieces) SetReadDeadline(time.Time) error { return nil }
func (p *pieces) Close() error                    { p.closed = true; return nil }
