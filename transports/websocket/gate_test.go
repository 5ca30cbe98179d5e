package websocket

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
)

// TestGate has many come and go at once: no limit is ever passed, and nothing is left in the end.
func TestGate(t *testing.T) {
	g := &gate{connections: 20, perAddress: 3, handshakes: 10, guests: make(map[netip.Addr]*guest)}
	addresses := []string{
		"192.0.2.1:1", "192.0.2.2:1", "[2001:db8::1]:1", "[2001:db8::2]:1", "@",
		"198.51.100.1:1", "198.51.100.2:1", "198.51.100.3:1", "198.51.100.4:1",
	}
	var inside, asking atomic.Int64
	var admitted [4]atomic.Int64 // by the first addresses; the third and the fourth are one
	var running sync.WaitGroup
	for i := range 64 {
		running.Go(func() {
			for j := range 1000 {
				n := (i + j) % len(addresses)
				who := min(n, len(admitted)-1)
				from, refused := g.enter(addresses[n])
				if refused != nil {
					continue
				}
				if n == 3 {
					who = 2
				}
				if k := inside.Add(1); k > 20 {
					t.Errorf("%d connections", k)
				}
				if k := asking.Add(1); k > 10 {
					t.Errorf("%d handshakes", k)
				}
				if k := admitted[who].Add(1); who < 3 && k > 3 {
					t.Errorf("%d connections from %s", k, addresses[n])
				}
				asking.Add(-1)
				g.decided()
				admitted[who].Add(-1)
				inside.Add(-1)
				g.leave(from)
			}
		})
	}
	running.Wait()
	if g.inside != 0 || g.asking != 0 || len(g.guests) != 0 {
		t.Errorf("left are %d connections, %d handshakes, %d addresses", g.inside, g.asking, len(g.guests))
	}
}
