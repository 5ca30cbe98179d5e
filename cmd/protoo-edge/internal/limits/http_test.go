package limits

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/protoo-go/protoo/core"
)

// TestConnState has clients that hold connections and are not connected.
func TestConnState(t *testing.T) {
	for _, tt := range []struct {
		name       string
		options    Options
		shared     func(netip.Addr) bool
		most       int
		cause      Cause
		perAddress bool
	}{
		{"in all", Options{HTTPConnections: 3, HTTPConnectionsPerAddress: 100}, nil, 3, HTTPConnections, true},
		{"from an address", Options{HTTPConnections: 100, HTTPConnectionsPerAddress: 2}, nil, 2, HTTPConnectionsPerAddress, true},
		{"from a proxy", Options{HTTPConnections: 3, HTTPConnectionsPerAddress: 2}, netip.Addr.IsLoopback, 3, HTTPConnections, false},
		{"exempt", Options{HTTPConnections: 3, HTTPConnectionsPerAddress: 2, Exempt: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, nil, 3, HTTPConnections, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := New(core.New(core.Options{}), tt.options)
			taken := make(chan net.Conn, 1)
			server := &http.Server{
				ReadHeaderTimeout: time.Minute,
				ConnState:         l.ConnState(tt.shared),
				Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/take" {
						conn, _, err := http.NewResponseController(w).Hijack()
						if err != nil {
							t.Error(err)
						}
						taken <- conn
					}
				}),
			}
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			served := make(chan error, 1)
			go func() { served <- server.Serve(listener) }()
			defer func() {
				_ = server.Close()
				if err := <-served; !errors.Is(err, http.ErrServerClosed) {
					t.Error(err)
				}
			}()

			// ask reports whether a client that has asked for path has its connection still.
			ask := func(conn net.Conn, path string) bool {
				_ = conn.SetDeadline(time.Now().Add(time.Minute))
				if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
					return false
				}
				if path == "/take" {
					return true
				}
				_, err := conn.Read(make([]byte, 1))
				return err == nil
			}
			dial := func() net.Conn {
				conn, err := net.Dial("tcp", listener.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = conn.Close() })
				return conn
			}
			var held []net.Conn
			for range tt.most {
				held = append(held, dial())
				if !ask(held[len(held)-1], "/") {
					t.Fatalf("connection %d was closed", len(held))
				}
			}
			if ask(dial(), "/") {
				t.Error("one more may stay")
			}
			if n := l.Stats().Refused[tt.cause]; n != 1 {
				t.Errorf("%d were counted as refused, want 1", n)
			}
			// One that is taken over makes room, and so does one that ends.
			ask(held[0], "/take")
			defer (<-taken).Close()
			if held[0] = dial(); !ask(held[0], "/") {
				t.Error("there is no room after a connection was taken over")
			}
			_ = held[1].Close()
			for deadline := time.Now().Add(time.Minute); l.Stats().HTTP == tt.most; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("the end of a connection was not noticed")
				}
			}
			if !ask(dial(), "/") {
				t.Error("there is no room after a connection has ended")
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			if counted := len(l.httpFrom) > 0; counted != tt.perAddress {
				t.Errorf("addresses are counted: %v", l.httpFrom)
			}
		})
	}
}
