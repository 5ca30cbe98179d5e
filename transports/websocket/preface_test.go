package websocket_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/websocket"
)

// line is a preface: an address and a line feed, or nothing but that.
func line(conn net.Conn) (client net.Addr, rest []byte, err error) {
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	r := bufio.NewReaderSize(conn, 16<<10)
	text, err := r.ReadString('\n')
	if err != nil {
		return nil, nil, err
	}
	if text != "\n" {
		addr, err := netip.ParseAddrPort(strings.TrimSuffix(text, "\n"))
		if err != nil {
			return nil, nil, err
		}
		client = net.TCPAddrFromAddrPort(addr)
	}
	rest, _ = r.Peek(r.Buffered())
	return client, rest, conn.SetReadDeadline(time.Time{})
}

// prefaced are paths whose connections begin with a line.
func prefaced() (all []path) {
	for _, p := range paths {
		p.listen = func(l net.Listener) net.Listener { return websocket.WithPreface(l, line) }
		all = append(all, p)
		if !p.ours {
			p.name += " ours"
			p.ours = true
			all = append(all, p)
		}
	}
	return all
}

// prefixed writes something in front of what is written first, in one piece with it.
type prefixed struct {
	net.Conn
	before []byte
}

func (p *prefixed) Write(b []byte) (int, error) {
	if p.before == nil {
		return p.Conn.Write(b)
	}
	all := append(p.before, b...)
	p.before = nil
	if _, err := p.Conn.Write(all); err != nil {
		return 0, err
	}
	return len(b), nil
}

// dialPrefaced connects, over TLS where the server has it, with a preface in one piece with what is written first.
func (s *server) dialPrefaced(t *testing.T, preface string) *client {
	t.Helper()
	raw, err := s.dialBare(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = raw.Close() })
	var conn net.Conn = &prefixed{raw.Conn, []byte(preface)}
	if s.tls != nil {
		secure := tls.Client(conn, s.clientConfig())
		if err := secure.Handshake(); err != nil {
			t.Fatal(err)
		}
		conn = secure
	}
	return &client{Conn: conn, r: bufio.NewReaderSize(conn, 256)}
}

// TestPreface sends the preface, the handshake and messages at once: the address is the preface's, and nothing is lost, however
// much was read with it.
func TestPreface(t *testing.T) {
	for _, p := range prefaced() {
		t.Run(p.name, func(t *testing.T) {
			from := make(chan string, 1)
			s := start(t, p, echo(), func(r *core.ConnectRequest) (core.Identity, error) {
				from <- r.RemoteAddr
				return byQuery(r)
			})
			for i, tt := range []struct {
				preface string
				more    int // messages in one piece with the handshake
			}{{"192.0.2.1:5678\n", 0}, {"[2001:db8::1]:5678\n", 1}, {"192.0.2.1:5678\n", 12}, {"\n", 12}} {
				c := s.dialPrefaced(t, tt.preface)
				first := handshake("/?username=preface&uuid=" + strconv.Itoa(i))
				data := strings.Repeat("x", 1000)
				for range tt.more {
					first = append(first, text(echoRequest(data))...)
				}
				if err := c.write(first); err != nil {
					t.Fatal(err)
				}
				c.switched(t)
				want := strings.TrimSuffix(tt.preface, "\n")
				if want == "" {
					want = c.LocalAddr().String()
				}
				if got := <-from; got != want {
					t.Errorf("got address %s, want %s", got, want)
				}
				z := newZipped(c, "")
				for range tt.more {
					if got, _ := z.nextText(t); got != echoResponse(data) {
						t.Fatalf("got %.100q, want an echo", got)
					}
				}
				z.exchange(t, "later", data, "and later")
			}
		})
	}
}

// TestPrefaceFails has clients that begin with something else, or do not go on. Nobody waits for them.
func TestPrefaceFails(t *testing.T) {
	for _, p := range prefaced() {
		t.Run(p.name, func(t *testing.T) {
			s := start(t, p, echo(), byQuery)
			var slow []*client
			for range 3 {
				c, err := s.dialBare(nil)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if err := c.write([]byte("192.0.2")); err != nil {
					t.Fatal(err)
				}
				slow = append(slow, c)
			}
			bad, err := s.dialBare(nil)
			if err != nil {
				t.Fatal(err)
			}
			defer bad.Close()
			if err := bad.write([]byte("somebody\nGET / HTTP/1.1\r\nHost: example.com\r\n\r\n")); err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(bad); len(b) > 0 || err != nil && !isReset(err) {
				t.Errorf("got %q, %v", b, err)
			}
			c := s.dialPrefaced(t, "192.0.2.1:5678\n")
			if err := c.write(handshake("/?username=preface&uuid=1")); err != nil {
				t.Fatal(err)
			}
			c.switched(t)
			newZipped(c, "").exchange(t, "served")
			for _, c := range slow {
				_ = c.Close()
			}
		})
	}
}

func isReset(err error) bool {
	_, ok := errors.AsType[*net.OpError](err)
	return ok
}

// TestPrefaceByEvents has idle connections without goroutines, where there are pollers.
func TestPrefaceByEvents(t *testing.T) {
	for _, p := range prefaced() {
		if runtime.GOOS != "linux" || p.options.Goroutines || !p.ours {
			continue // served by goroutines
		}
		t.Run(p.name, func(t *testing.T) {
			s := start(t, p, echo(), byQuery)
			join := func(i int) *client {
				c := s.dialPrefaced(t, "192.0.2.1:5678\n")
				if err := c.write(handshake("/?username=preface&uuid=" + strconv.Itoa(i))); err != nil {
					t.Fatal(err)
				}
				c.switched(t)
				return c
			}
			newZipped(join(0), "").exchange(t, "what is made once is made")
			eventually(t, "the end of the HTTP connections", s.idle)
			before := runtime.NumGoroutine()
			var clients []*client
			for i := range 50 {
				clients = append(clients, join(i+1))
			}
			eventually(t, "the end of the goroutines", func() bool { return runtime.NumGoroutine() <= before })
			for _, c := range clients {
				newZipped(c, "").exchange(t, "still there")
			}
		})
	}
}
