package websocket_test

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/protoo-go/protoo/core"
)

// TestManyConnects has connections come and go as fast as they can, and one that stays.
func TestManyConnects(t *testing.T) {
	for _, p := range paths {
		t.Run(p.name, func(t *testing.T) {
			s := start(t, p, echo(), byQuery)
			stays := newZipped(s.join(t), "")
			const at = 16
			total := 2000
			if p.tls {
				total = 512
			}
			ends := make(chan error, total)
			for range at {
				go func() {
					for i := range total / at {
						c, err := s.joinRaw()
						if err == nil && i%2 == 0 {
							err = c.write(text(echoRequest("hello")))
							if err == nil {
								_, err = c.read(2 + len(echoResponse("hello")))
							}
						}
						if c != nil {
							_ = c.Close()
						}
						ends <- err
					}
				}()
			}
			for range total {
				if err := <-ends; err != nil {
					t.Fatal(err)
				}
				if len(ends)%8 == 0 {
					stays.exchange(t, "is served")
				}
			}
		})
	}
}

// TestReconnects has all peers connect again at once, as they do when the network has been away. Each takes over from its
// old connection, nobody goes offline, and one that stays is served all the while.
func TestReconnects(t *testing.T) {
	for _, p := range paths {
		t.Run(p.name, func(t *testing.T) {
			n := manyConnections(t, 11_000) * 10 / 11 // the old ones need room to end
			if p.name != "events" || raceEnabled {
				n = 500
			}
			var online, offline atomic.Int64
			app := echo()
			app.OnOnline(func(*core.Peer) { online.Add(1) })
			app.OnOffline(func(*core.Peer) { offline.Add(1) })
			s := start(t, p, app, byQuery)
			stays := newZipped(s.join(t), "")
			old := make([]*client, n)
			ends := make(chan error, n)
			all := func(join func(i int) error) {
				t.Helper()
				const at = 16
				for first := range at {
					go func() {
						for i := first; i < len(old); i += at {
							ends <- join(i)
						}
					}()
				}
				for range old {
					if err := <-ends; err != nil {
						t.Fatal(err)
					}
					if len(ends)%8 == 0 {
						stays.exchange(t, "is served")
					}
				}
			}
			t.Cleanup(func() {
				for _, c := range old {
					if c != nil {
						_ = c.Close()
					}
				}
			})
			all(func(i int) (err error) {
				old[i], err = s.joinAs("/?username=again&uuid=" + strconv.Itoa(i))
				return err
			})
			all(func(i int) error {
				c, err := s.joinAs("/?username=again&uuid=" + strconv.Itoa(i))
				if err != nil {
					return err
				}
				const elsewhere = "\x88\x12\x0b\xb8online elsewhere"
				if f, err := old[i].small(); f != elsewhere {
					return fmt.Errorf("the old connection got %q, error %v, want %q", f, err, elsewhere)
				}
				_ = old[i].Close()
				old[i] = c
				if err := c.write(text(echoRequest("again"))); err != nil {
					return err
				}
				if f, err := c.small(); f != "\x81"+string(rune(len(echoResponse("again"))))+echoResponse("again") {
					return fmt.Errorf("got %q, error %v", f, err)
				}
				return nil
			})
			if want := int64(len(old) + 1); online.Load() != want || offline.Load() != 0 {
				t.Errorf("%d peers came online and %d went offline, want %d and none", online.Load(), offline.Load(), want)
			}
		})
	}
}
