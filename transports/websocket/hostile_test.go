package websocket_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/protoo-go/protoo/core"
)

// manyConnections returns n, or less where there are not so many file descriptors for both ends.
func manyConnections(t *testing.T, n int) int {
	fewer := min(n, (descriptorLimit()-100)/2)
	if fewer < n {
		t.Logf("only %d connections", fewer)
	}
	return fewer
}

// joinMany connects n clients, several at a time.
func (s *server) joinMany(t *testing.T, n int) []*client {
	t.Helper()
	clients := make([]*client, n)
	errs := make(chan error, n)
	next := make(chan int)
	var dialing sync.WaitGroup
	for range 16 {
		dialing.Go(func() {
			for i := range next {
				c, err := s.joinRaw()
				clients[i] = c
				errs <- err
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	dialing.Wait()
	for range n {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, c := range clients {
			_ = c.Close()
		}
	})
	return clients
}

// joinRaw connects a peer of its own, with as little memory as can be.
func (s *server) joinRaw() (*client, error) {
	return s.joinAs("/?username=many&uuid=" + strconv.FormatInt(conversations.Add(1), 10))
}

func (s *server) joinAs(target string) (*client, error) {
	c, err := s.dialBare(s.tls)
	if err != nil {
		return nil, err
	}
	if err := c.write(handshake(target)); err != nil {
		return c, err
	}
	var answer []byte
	for n := 128; !bytes.HasSuffix(answer, []byte("\r\n\r\n")); n = 1 { // it is longer than that
		b, err := c.read(n)
		if err != nil {
			return c, err
		}
		answer = append(answer, b...)
	}
	if !bytes.HasPrefix(answer, []byte("HTTP/1.1 101 ")) {
		return c, fmt.Errorf("handshake: got %q", answer)
	}
	return c, nil
}

// read reads n bytes.
func (c *client) read(n int) ([]byte, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(c.Conn, b)
	return b, err
}

// small reads a short frame that is not a ping.
func (c *client) small() (string, error) {
	for {
		b, err := c.read(2)
		if err != nil {
			return "", err
		}
		payload, err := c.read(int(b[1]))
		if b[0] != final|9 {
			return string(b) + string(payload), err
		}
	}
}

// memory returns what the heap and the stacks take.
func memory() int {
	runtime.GC()
	runtime.GC() // what was in pools is gone after the second time
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}

// TestHalfFrames has 5,000 clients in the middle of a message. Each costs what has arrived, and not what was announced, until
// the time for a message is over.
func TestHalfFrames(t *testing.T) {
	for _, p := range paths {
		t.Run(p.name, func(t *testing.T) {
			s := start(t, p, echo(), byQuery)
			n := manyConnections(t, 5000)
			if p.name != "events" || raceEnabled {
				n = min(n, 1000) // so many goroutines, or TLS handshakes, take their time
			}
			clients := s.joinMany(t, n)
			before := memory()
			arrived := 0
			for i, fragment := range []int{1, 2999, 7000} {
				// The ping's answer tells that the fragment before it has arrived.
				b := append(masked(byte(1-min(i, 1)), bytes.Repeat([]byte("x"), fragment)), masked(final|9, nil)...)
				for _, c := range clients {
					if err := c.write(b); err != nil {
						t.Fatal(err)
					}
				}
				for _, c := range clients {
					if f, err := c.small(); f != "\x8a\x00" {
						t.Fatalf("got %x, error %v, want a pong", f, err)
					}
				}
				arrived += fragment
				each, most := (memory()-before)/n, 2*arrived+1200
				if p.tls {
					most += 2000 // that the client's own buffer has grown by
				}
				t.Logf("%d bytes each, of which %d have arrived", each, arrived)
				if each > most {
					t.Errorf("%d bytes each, want at most %d", each, most)
				}
			}
			for _, c := range clients {
				if err := c.write([]byte{0x80, 0xff, 0, 0, 0, 0, 0, 0, 0xc0}); err != nil {
					t.Fatal(err)
				}
			}

			newZipped(s.join(t), "").exchange(t, "others are served")
			s.handler.Expire()
			const tooSlow = "\x88\x17\x03\xf0message took too long"
			for _, c := range clients {
				if f, err := c.small(); f != tooSlow {
					t.Fatalf("got %q, error %v, want %q", f, err, tooSlow)
				}
				if f, err := c.small(); err != io.EOF {
					t.Fatalf("got %q, error %v, want the end", f, err)
				}
				_ = c.Close()
			}
			eventually(t, "the end of the connections", func() bool {
				n, _, _ := s.handler.Inside()
				return n <= 1
			})
			if left := memory() - before; left > 200*n {
				t.Errorf("%d bytes are left of %d connections", left, n)
			}
		})
	}
}

// TestSmallestFragments has a message in as many pieces as it has bytes, and one without end.
func TestSmallestFragments(t *testing.T) {
	for _, p := range paths {
		t.Run(p.name, func(t *testing.T) {
			s := start(t, p, echo(), byQuery)
			data := strings.Repeat("x", 60_000)
			var b []byte
			first := byte(1)
			for _, char := range []byte(echoRequest(data)) {
				b = append(b, masked(first, []byte{char})...)
				first = 0
			}
			b = append(b, masked(final, nil)...)
			c := s.join(t)
			if err := c.write(b); err != nil {
				t.Fatal(err)
			}
			c.expect(t, wanted{messages: []string{echoResponse(data)}})

			c = s.join(t)
			go func() {
				b := append(masked(1, nil), bytes.Repeat(masked(0, []byte("x")), 1000)...)
				for c.write(b) == nil {
					b = b[len(masked(1, nil)):]
					b = append(masked(0, nil), b...)
				}
			}()
			var got wanted
			for !got.closed {
				c.collect(t, &got)
			}
			if !bytes.HasPrefix(got.closing, []byte{0x03, 0xf1}) {
				t.Errorf("got close frame %q, want code 1009", got.closing)
			}
			_ = c.Close()
		})
	}
}

// TestPingFlood has a client send pings and not read the answers. The queue for it has an end; so have its answers.
func TestPingFlood(t *testing.T) {
	const (
		queue = 64 << 10
		flood = 100_000
	)
	for _, p := range paths {
		t.Run(p.name, func(t *testing.T) {
			p.options.QueueSize = queue
			s := start(t, p, echo(), byQuery)
			other := newZipped(s.join(t), "")
			c := s.join(t)
			before := memory()
			sent := make(chan error, 1)
			go func() {
				b := bytes.Repeat(masked(final|9, bytes.Repeat([]byte("x"), 125)), 100)
				for range flood / 100 {
					if err := c.write(b); err != nil {
						sent <- err
						return
					}
				}
				sent <- c.write(text(echoRequest("last")))
			}()
			for range 300 {
				other.exchange(t, "others are served")
			}
			// The flood goes on between a collection and the look at the memory: the least of some has the least of its garbage.
			grown := math.MaxInt
			for range 5 {
				grown = min(grown, memory()-before)
			}
			if grown > 4*queue+(1<<20) {
				t.Errorf("the flood takes %d bytes of memory", grown)
			}
			// Read, all that was not left out is there, and the connection is in order.
			var got wanted
			for len(got.messages) == 0 {
				c.collect(t, &got)
				if got.closed {
					t.Fatalf("closed by the server: %q", got.closing)
				}
			}
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
			if got.messages[0] != echoResponse("last") || len(got.pongs) > flood {
				t.Errorf("got %d pongs and %q", len(got.pongs), got.messages)
			}
			t.Logf("%d of %d pings were answered", len(got.pongs), flood)
		})
	}
}

// TestCloseUnderLoad has the application close a connection that is not read, because its handler is behind. The close frame
// and its answer need no timeout all the same.
func TestCloseUnderLoad(t *testing.T) {
	for _, p := range paths {
		t.Run(p.name, func(t *testing.T) {
			p.options.CloseTimeout = time.Hour
			app, began, release := echo(), make(chan *core.Peer, 1), make(chan struct{})
			app.Message("/wait", func(req *core.Request, _ core.Next) error {
				began <- req.Peer()
				<-release
				return req.Reply(200, "ok")
			})
			s := start(t, p, app, byQuery)
			defer close(release)
			c := s.join(t)
			if err := c.write(text(`{"method":"message","path":"/wait","id":1}`)); err != nil {
				t.Fatal(err)
			}
			peer := <-began
			sent := make(chan error, 1)
			go func() {
				frame := text(echoRequest(strings.Repeat("x", 10_000)))
				var err error
				for i := 0; i < 5000 && err == nil; i++ {
					err = c.write(frame)
				}
				sent <- err
			}()
			eventually(t, "a pause", func() bool { return s.handler.Paused() == 1 })
			if err := peer.Close(4000, "enough"); err != nil {
				t.Fatal(err)
			}
			if err := <-sent; err != nil { // all of it is read, and thrown away
				t.Fatal(err)
			}
			c.expect(t, wanted{closed: true, closing: []byte{0x0f, 0xa0}})
			eventually(t, "the end of the connection", func() bool {
				n, _, _ := s.handler.Inside()
				return n == 0
			})
		})
	}
}

// TestCloseAndReset has clients say why they go and not wait for an answer. The code is theirs all the same.
func TestCloseAndReset(t *testing.T) {
	for _, p := range paths {
		t.Run(p.name, func(t *testing.T) {
			app, codes := echo(), make(chan int, 1)
			app.OnDisconnect(func(_ *core.Peer, code int, _ string) { codes <- code })
			s := start(t, p, app, byQuery)
			for _, tt := range []struct {
				last []byte
				code int
			}{{closing(4001, "bye"), 4001}, {masked(final|3, nil), core.CloseProtocolError}} {
				for range 20 {
					c := s.join(t)
					if err := c.write(tt.last); err != nil {
						t.Fatal(err)
					}
					c.reset()
					if code := <-codes; code != tt.code {
						t.Fatalf("the connection has ended with %d, want %d", code, tt.code)
					}
				}
			}
		})
	}
}

// TestReset has clients vanish at every step of a conversation, without a word. Nothing of them may stay.
func TestReset(t *testing.T) {
	late := make(chan struct{}) // never closed
	app := func() *core.App {
		app := echo()
		app.Message("/wait", func(req *core.Request, _ core.Next) error {
			select {
			case <-req.Context().Done():
			case <-late:
			}
			return req.Reply(200, "too late")
		})
		app.Message("/much", func(req *core.Request, _ core.Next) error {
			data := strings.Repeat("x", 60_000)
			for range 10 {
				req.Peer().Send(core.NewRequest("message", "/", data))
			}
			return req.Reply(200, "sent")
		})
		return app
	}
	wait := text(`{"method":"message","path":"/wait","id":1}`)
	frame := text(echoRequest(strings.Repeat("x", 1000)))
	steps := []struct {
		name   string
		joined bool // after the handshake
		bytes  []byte
		answer bool // wait for the answer's first byte
	}{
		{"nothing", false, nil, false},
		{"half a line", false, []byte("GET /?user"), false},
		{"half a header", false, handshake("/")[:100], false},
		{"handshake", false, handshake("/?username=reset&uuid=1"), false},
		{"handshake and answer", false, handshake("/?username=reset&uuid=2"), true},
		{"handshake with a frame", false, append(handshake("/?username=reset&uuid=3"), frame...), false},
		{"refused handshake", false, handshake("/"), true},
		{"joined", true, nil, false},
		{"half a frame header", true, frame[:3], false},
		{"half a frame", true, frame[:500], false},
		{"a fragment", true, masked(1, []byte("x")), false},
		{"a request", true, frame, false},
		{"a request and its answer", true, frame, true},
		{"many requests", true, bytes.Repeat(frame, 1000), false},
		{"many requests, and the first answer", true, bytes.Repeat(frame, 1000), true},
		{"much to read", true, text(`{"method":"message","path":"/much","id":1}`), true},
		{"a handler that waits", true, wait, false},
		{"a handler that waits, and half a frame", true, append(bytes.Clone(wait), frame[:500]...), false},
		{"a queue behind a handler that waits", true, append(bytes.Clone(wait), bytes.Repeat(frame, 500)...), false},
		{"pings", true, bytes.Repeat(masked(final|9, []byte("ping")), 100), true},
		{"a close frame", true, closing(core.CloseNormal, ""), false},
		{"a close frame and its answer", true, closing(core.CloseNormal, ""), true},
		{"a violation", true, []byte{0xff, 0xff}, false},
		{"a violation and its answer", true, []byte{0xff, 0xff}, true},
		{"a violation and more", true, bytes.Repeat([]byte{0xff}, 100_000), false},
	}
	for _, p := range paths {
		t.Run(p.name, func(t *testing.T) {
			s := start(t, p, app(), byQuery)
			vanish := func() {
				for _, step := range steps {
					var c *client
					var err error
					switch {
					case step.joined:
						c, err = s.joinRaw()
					case step.bytes == nil:
						c, err = s.dialBare(nil)
					default:
						c, err = s.dialBare(s.tls)
					}
					if err == nil {
						err = c.write(step.bytes)
					}
					if err == nil && step.answer {
						_, err = c.read(1)
					}
					if err != nil {
						t.Fatalf("%s: %v", step.name, err)
					}
					c.reset()
				}
				eventually(t, "the end of the connections", func() bool {
					s.handler.Visit() // some of them only a ping can tell from living ones
					connections, handshakes, _ := s.handler.Inside()
					return connections == 0 && handshakes == 0
				})
			}
			vanish() // what is made once is made
			eventually(t, "the end of the HTTP connections", s.idle)
			descriptors, goroutines, before := openDescriptors(), runtime.NumGoroutine(), memory()
			const times = 5
			for range times {
				vanish()
			}
			eventually(t, "the end of the HTTP connections", s.idle)
			eventually(t, "the end of the goroutines", func() bool { return runtime.NumGoroutine() <= goroutines })
			eventually(t, "the end of the file descriptors", func() bool { return openDescriptors() <= descriptors })
			if grown := memory() - before; grown > times*len(steps)*1024 {
				t.Errorf("%d conversations have left %d bytes behind", times*len(steps), grown)
			}
		})
	}
}

// reset ends the TCP connection by force.
func (c *client) reset() {
	conn := c.Conn
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
}

// openDescriptors counts the process's file descriptors where the system tells.
func openDescriptors() int {
	entries, _ := os.ReadDir("/proc/self/fd")
	return len(entries)
}
