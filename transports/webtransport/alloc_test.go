package webtransport

import (
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/internal/keeper"
	"github.com/protoo-go/protoo/transports/internal/wire"
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

// pipe is a stream without QUIC, which allocates nothing.
type pipe struct {
	in       chan []byte
	rest     []byte
	written  chan int
	closed   chan struct{}
	deadline time.Time
}

func (p *pipe) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		var ok bool
		if p.rest, ok = <-p.in; !ok {
			return 0, io.EOF
		}
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func (p *pipe) Write(b []byte) (int, error) {
	select {
	case p.written <- len(b):
		return len(b), nil
	default:
	}
	timer := time.NewTimer(time.Until(p.deadline))
	defer timer.Stop()
	select {
	case p.written <- len(b):
		return len(b), nil
	case <-timer.C:
		return 0, os.ErrDeadlineExceeded
	case <-p.closed:
		return 0, io.ErrClosedPipe
	}
}

func (p *pipe) Close() error { return nil }

func (p *pipe) SetWriteDeadline(at time.Time) error {
	p.deadline = at
	return nil
}

func echoApp() *core.App {
	app := core.New(core.Options{})
	app.Message("/echo", func(req *core.Request, _ core.Next) error { return req.Reply(200, "ok", req.Data()) })
	return app
}

// newPiped returns a connection to a client of app's without QUIC, which has room for so many writes. end ends it.
func newPiped(t testing.TB, app *core.App, room int) (c *Conn, p *pipe, end func()) {
	t.Helper()
	c = newConn(&config{
		maxMessage:   64 << 10,
		queueSize:    1 << 20,
		writeTimeout: time.Minute,
		closeTimeout: time.Minute,
		keeper:       keeper.New(time.Minute, time.Minute, (*Conn).check, (*Conn).kept),
		counters:     new(counters),
	})
	c.addr = netip.MustParseAddrPort("192.0.2.1:1000")
	p = &pipe{in: make(chan []byte), written: make(chan int, room), closed: make(chan struct{})}
	c.attach(p)
	if err := c.connect(app, core.Identity{Username: "alice", UUID: "1"}); err != nil {
		t.Fatal(err)
	}
	c.cork()
	ran := make(chan struct{})
	go func() {
		defer close(ran)
		c.run()
	}()
	return c, p, func() {
		c.abort()
		close(p.in)
		close(p.closed)
		<-ran
	}
}

// TestAllocations has messages allocate what package core needs for them, and nothing on top of it.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("pools do not work under the race detector")
	}
	request := func(data string) string {
		return `{"method":"message","path":"/echo","id":"1","data":"` + data + `"}`
	}
	for name, msg := range map[string]string{
		"request":                       request("hello"),
		"request longer than a read":    request(strings.Repeat("x", 5000)),
		"response that fits no request": `{"status":200,"reason":"ok","id":"none"}`,
	} {
		t.Run(name, func(t *testing.T) {
			link, err := echoApp().Connect(core.Identity{Username: "nobody", UUID: "1"}, nowhere{})
			if err != nil {
				t.Fatal(err)
			}
			loop := core.NewLoop(func() {})
			ofCore := testing.AllocsPerRun(allocRuns, func() { link.Receive(loop, []byte(msg)) })
			_, p, end := newPiped(t, echoApp(), 1)
			defer end()
			// A ping behind the message tells that it has been handled.
			frames := appendFrame(appendFrame(nil, opText, []byte(msg)), opPing, nil)
			got := testing.AllocsPerRun(allocRuns, func() {
				p.in <- frames
				<-p.written
			})
			if got > ofCore {
				t.Errorf("%v allocations, of which package core makes %v", got, ofCore)
			}
		})
	}

	t.Run("sending", func(t *testing.T) {
		c, p, end := newPiped(t, echoApp(), 1)
		defer end()
		msg := []byte(request("hello"))
		got := testing.AllocsPerRun(allocRuns, func() {
			if err := c.Send(msg); err != nil {
				t.Fatal(err)
			}
			<-p.written
		})
		if got != 0 {
			t.Errorf("%v allocations, want none", got)
		}
	})
}

// TestOneWrite has everything that is queued go out in one piece.
func TestOneWrite(t *testing.T) {
	c, p, end := newPiped(t, echoApp(), 1)
	defer end()
	c.cork()
	want := 0
	for range 100 {
		if err := c.Send([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		want += len("hello") + 2
	}
	c.uncork()
	if got := <-p.written; got != want {
		t.Errorf("%d bytes were written at once, want %d", got, want)
	}
}

// TestQueue has a queue that is full.
func TestQueue(t *testing.T) {
	c, p, end := newPiped(t, echoApp(), 0)
	defer end()
	msg := make([]byte, 1000)
	sent := 0
	for c.Send(msg) == nil {
		sent += len(msg)
	}
	if sent < 1000<<10 || sent > 1<<20 {
		t.Errorf("%d bytes could be queued, want nearly 1 MiB", sent)
	}
	if err := c.Send(msg); err != core.ErrSlow {
		t.Errorf("got %v", err)
	}
	go func() {
		for {
			select {
			case <-p.written:
			case <-p.closed:
				return
			}
		}
	}()
	for c.Send(msg) == core.ErrSlow {
		time.Sleep(time.Millisecond)
	}
	_ = c.Close(core.CloseNormal, "")
	if err := c.Send(msg); err != core.ErrClosed {
		t.Errorf("got %v", err)
	}
}

// TestPost has a queue of datagrams that drops the oldest.
func TestPost(t *testing.T) {
	var p post
	dropped := 0
	for i := range 100 {
		b := wire.GetBuffer()
		b.B = append(b.B, byte(i))
		if p.put(b) {
			dropped++
		}
	}
	if dropped != 68 || p.count != 32 {
		t.Fatalf("%d dropped, %d left", dropped, p.count)
	}
	for i := range 32 {
		if b := p.take(); b.B[0] != byte(68+i) {
			t.Errorf("got %d, want %d", b.B[0], 68+i)
		}
	}
	p.discard()
}
