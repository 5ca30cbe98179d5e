package websocket_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"runtime"
	"testing"
	"time"
)

// TestKeyUpdateFlood has a client ask for the server's next key again and again, and not read the answers. Their number has
// an end.
func TestKeyUpdateFlood(t *testing.T) {
	const most = 100_000
	for _, p := range securePaths() {
		if !p.ours {
			continue // there a goroutine waits until the client reads
		}
		t.Run(p.name, func(t *testing.T) {
			p.options.QueueSize = 64 << 10
			p.options.PingInterval = 5 * time.Second // TCP itself may come to a stop when nobody reads
			p.http = func(h *http.Server) {
				h.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
					below := conn.(*tls.Conn).NetConn()
					if err := below.(interface{ SetWriteBuffer(int) error }).SetWriteBuffer(4 << 10); err != nil {
						t.Error(err)
					}
					return ctx
				}
			}
			s := start(t, p, echo(), byQuery)
			c, seal, wire := s.joinSealing(t)
			pong := masked(final|10, nil)
			sent, ended := 0, false
			for ; sent < most && !ended; sent++ {
				b := append(seal.keyUpdate(t), seal.record(applicationRecord, pong)...)
				_, err := wire.Write(b)
				ended = err != nil
			}
			if !ended {
				t.Errorf("the server has taken %d key updates without an answer being read", sent)
			}
			t.Logf("it ended after %d key updates", sent)
			_ = c.Close()
			newZipped(s.join(t), "").exchange(t, "others are served")
		})
	}
}

// TestIdle has connections that nothing happens on. Served by events they have no goroutine.
func TestIdle(t *testing.T) {
	const n = 100
	for _, p := range paths {
		t.Run(p.name, func(t *testing.T) {
			s := start(t, p, echo(), byQuery)
			newZipped(s.join(t), "").exchange(t, "what is made once is made")
			eventually(t, "the end of the HTTP connections", s.idle)
			before := runtime.NumGoroutine()
			s.joinMany(t, n)
			byEvents := !p.options.Goroutines && (!p.tls || p.ours)
			if !byEvents {
				if now := runtime.NumGoroutine(); now < before+n/2 {
					t.Errorf("%d goroutines for %d connections, want one each", now-before, n)
				}
				return
			}
			eventually(t, "the end of the goroutines", func() bool { return runtime.NumGoroutine() <= before })
		})
	}
}
