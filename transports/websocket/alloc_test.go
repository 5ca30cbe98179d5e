package websocket_test

import (
	"crypto/tls"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/protoo-go/protoo/core"
)

// raceEnabled tells that the race detector is on, which makes a sync.Pool forget at random.
var raceEnabled bool

const allocRuns = 1000

// nowhere is a connection without a transport: what it takes is what package core takes.
type nowhere struct{}

func (nowhere) Send([]byte) error       { return nil }
func (nowhere) Close(int, string) error { return nil }
func (nowhere) Resume()                 {}
func (nowhere) String() string          { return "nowhere" }

// tlsAllocs counts what crypto/tls allocates to have n bytes go one way, on both sides together.
func tlsAllocs(t *testing.T, n int) float64 {
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate()}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		conn, _ := l.Accept()
		_ = conn.(*tls.Conn).Handshake()
		accepted <- conn
	}()
	from, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to := <-accepted
	defer to.Close()
	out, in := make([]byte, n), make([]byte, n)
	return testing.AllocsPerRun(allocRuns, func() {
		_, _ = from.Write(out)
		_, _ = io.ReadFull(to, in)
	})
}

// TestAllocations has messages allocate what package core, and crypto/tls, need for them, and nothing on top
// of it. The client is in the same process, and allocates nothing.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("pools do not work under the race detector")
	}
	ping := masked(final|9, nil)
	tests := []struct {
		name   string
		msg    string
		frame  []byte
		answer int // bytes
	}{
		{"request", echoRequest("hello"), text(echoRequest("hello")), 2 + len(echoResponse("hello"))},
		{"long request", echoRequest(strings.Repeat("x", 5000)), text(echoRequest(strings.Repeat("x", 5000))), 4 + 5000 + len(echoResponse(""))},
		// A ping behind the message tells that it has been handled.
		{"response that fits no request", `{"status":200,"reason":"ok","id":"none"}`, append(text(`{"status":200,"reason":"ok","id":"none"}`), ping...), 2},
	}
	for _, tt := range tests {
		link, err := echo().Connect(core.Identity{Username: "nobody", UUID: "1"}, nowhere{})
		if err != nil {
			t.Fatal(err)
		}
		loop, msg := core.NewLoop(func() {}), []byte(tt.msg)
		ofCore := testing.AllocsPerRun(allocRuns, func() { link.Receive(loop, msg) })
		for _, p := range paths {
			t.Run(tt.name+", "+p.name, func(t *testing.T) {
				p.options.PingInterval = time.Hour // or a ping could come between the answers
				want := ofCore
				if p.tls {
					want += tlsAllocs(t, len(tt.frame)) + tlsAllocs(t, tt.answer)
				}
				c, answer := start(t, p, echo(), byQuery).join(t), make([]byte, tt.answer)
				got := testing.AllocsPerRun(allocRuns, func() {
					if err := c.write(tt.frame); err != nil {
						t.Fatal(err)
					}
					if _, err := io.ReadFull(c.Conn, answer); err != nil {
						t.Fatal(err)
					}
				})
				t.Logf("%v, %v of them in package core", got, ofCore)
				if got > want {
					t.Errorf("%v allocations a message, want %v", got, want)
				}
			})
		}
	}
}

// TestBroadcastAllocations has a message to many peers be encoded once, and allocate nothing for each.
func TestBroadcastAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("pools do not work under the race detector")
	}
	const peers = 100
	req := core.NewRequest("message", "/", "hello")
	bare := echo()
	for i := range peers {
		if _, err := bare.Connect(core.Identity{Username: "user", UUID: strconv.Itoa(i)}, nowhere{}); err != nil {
			t.Fatal(err)
		}
	}
	broadcast := func(app *core.App) {
		if n, err := app.Broadcast("user", "", req); n != peers || err != nil {
			t.Fatalf("sent to %d peers, error %v", n, err)
		}
	}
	ofCore := testing.AllocsPerRun(allocRuns, func() { broadcast(bare) })
	for _, p := range paths {
		t.Run(p.name, func(t *testing.T) {
			p.options.PingInterval = time.Hour // or a ping could come with a message
			app := echo()
			s := start(t, p, app, byQuery)
			arrived := make(chan int, peers)
			for i := range peers {
				c := s.connect(t, "user", strconv.Itoa(i))
				go func() {
					buf := make([]byte, 256)
					for {
						n, err := c.Conn.Read(buf)
						if err != nil {
							return
						}
						if buf[n-1] == '}' { // the end of the message
							arrived <- n
						}
					}
				}()
			}
			want := ofCore
			if p.tls {
				want += peers * tlsAllocs(t, 100)
			}
			got := testing.AllocsPerRun(allocRuns/10, func() {
				broadcast(app)
				for range peers {
					<-arrived
				}
			})
			t.Logf("%v, %v of them in package core", got, ofCore)
			if got > want+peers/20 { // a goroutine that has not run for long may be a new one
				t.Errorf("%v allocations for %d peers, want %v", got, peers, want)
			}
		})
	}
}
