package websocket

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/internal/keeper"
)

// The times of the connections here.
const (
	interval     = 25 * time.Second
	patience     = 30 * time.Second
	closeTimeout = 5 * time.Second
	turn         = interval / keeper.Rounds
)

// held is a connection, in a bubble, whose client is a pipe.
type held struct {
	net.Conn
	t       *testing.T
	app     *core.App
	start   time.Time
	frames  chan string     // that the client gets; closed at the end
	end     <-chan []string // code and reason as the application learns them
	sending sync.WaitGroup
}

// hold runs test with a connection.
func hold(t *testing.T, test func(h *held)) {
	synctest.Test(t, func(t *testing.T) {
		app := core.New(core.Options{})
		s := New(app, nil, Options{})
		end := make(chan []string, 1)
		app.OnOnline(func(p *core.Peer) {
			p.OnDisconnect(func(code int, reason string) { end <- []string{fmt.Sprint(code), reason} })
		})
		client, server := net.Pipe()
		c := newConn(&s.plain)
		_, _ = s.gate.enter("")
		c.cork()
		if err := c.connect(app, core.Identity{Username: "alice", UUID: "1"}); err != nil {
			t.Fatal(err)
		}
		go newStream(c, server, nil).run()
		h := &held{Conn: client, t: t, app: app, start: time.Now(), frames: make(chan string, 1000), end: end}
		go h.read()
		test(h)
		_ = client.Close()
		h.sending.Wait()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if connections, _, _ := s.Inside(); connections != 0 {
			t.Errorf("%d connections are left", connections)
		}
	})
}

func (h *held) read() {
	defer close(h.frames)
	for {
		header, err := ws.ReadHeader(h.Conn)
		if err != nil {
			return
		}
		payload := make([]byte, header.Length)
		if _, err := io.ReadFull(h.Conn, payload); err != nil {
			return
		}
		h.frames <- describe(header.OpCode, payload)
	}
}

func (h *held) send(op ws.OpCode, payload string) {
	h.write(appendFrame(nil, op, []byte(payload), true))
}

func (h *held) write(b []byte) {
	h.t.Helper()
	if _, err := h.Conn.Write(b); err != nil {
		h.t.Errorf("writing after %v: %v", time.Since(h.start), err)
	}
}

// next returns the next frame, or "" at the end, and when it came.
func (h *held) next() (string, time.Duration) {
	f := <-h.frames
	return f, time.Since(h.start)
}

// want makes sure that the next frame comes, and when.
func (h *held) want(frame string, from, to time.Duration) {
	h.t.Helper()
	if got, at := h.next(); got != frame || at < from || at > to {
		h.t.Fatalf("got %q after %v, want %q after %v to %v", got, at, frame, from, to)
	}
}

func (h *held) wantEnd(code int, reason string) {
	h.t.Helper()
	if end := <-h.end; end[0] != fmt.Sprint(code) || end[1] != reason {
		h.t.Errorf("the application was told %q, want %d %q", end, code, reason)
	}
}

const pingFrame = "9 "

// tooSlow is the close frame for a message that took too long.
var tooSlow = describe(ws.OpClose, append([]byte{0x03, 0xf0}, "message took too long"...))

// TestSilence has a client that says nothing but that it is alive.
func TestSilence(t *testing.T) {
	hold(t, func(h *held) {
		for last := time.Duration(0); last < time.Hour; {
			frame, at := h.next()
			if frame != pingFrame || at-last > 2*interval+turn {
				t.Fatalf("got %q after %v, and nothing for %v before", frame, at, at-last)
			}
			last = at
			h.send(ws.OpPong, "")
		}
	})
}

// TestDeath has a client that does not answer.
func TestDeath(t *testing.T) {
	hold(t, func(h *held) {
		h.send(ws.OpPong, "")
		h.want(pingFrame, interval, 2*interval+turn)
		h.want("", 2*interval, 3*interval+turn)
		h.wantEnd(core.CloseAbnormal, "connection lost")
	})
}

// TestChatter has a client that is never silent, and so is never asked.
func TestChatter(t *testing.T) {
	hold(t, func(h *held) {
		for range 1000 {
			h.send(ws.OpPong, "x")
			time.Sleep(10 * time.Second)
		}
		if len(h.frames) > 0 {
			t.Errorf("got %q", <-h.frames)
		}
	})
}

// TestSlowMessage has messages that do not come to an end.
func TestSlowMessage(t *testing.T) {
	whole := appendFrame(nil, ws.OpText, bytes.Repeat([]byte("x"), 1000), true)
	fragment := append([]byte{0x01}, whole[1:]...)
	empty := appendFrame(nil, ws.OpContinuation, nil, true)
	empty[0] &^= 0x80
	ping := appendFrame(nil, ws.OpPing, []byte("ping"), true)
	for _, tt := range []struct {
		name  string
		first []byte
		drip  []byte // that comes then, byte by byte
	}{
		{"one byte", whole[:1], nil},
		{"half a header", whole[:3], nil},
		{"no payload", whole[:8], nil},
		{"half a payload", whole[:500], nil},
		{"drop by drop", nil, whole},
		{"a fragment", fragment, nil},
		{"a fragment drop by drop", fragment, append([]byte{0x80}, whole[1:]...)},
		{"empty fragments", fragment, bytes.Repeat(empty, 50)},
		{"half a ping", ping[:8], nil},
		{"a fragment and half a ping", append(bytes.Clone(fragment), ping[:8]...), nil},
		{"pings within a message", fragment, bytes.Repeat(ping, 50)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hold(t, func(h *held) {
				h.sending.Go(func() {
					_, _ = h.Conn.Write(tt.first)
					for _, b := range tt.drip {
						time.Sleep(time.Second)
						if _, err := h.Conn.Write([]byte{b}); err != nil {
							return
						}
					}
				})
				frame, at := h.next()
				for frame == pingFrame || frame == "a ping" {
					frame, at = h.next()
				}
				if most := patience + interval + 2*turn; frame != tooSlow || at < patience || at > most {
					t.Errorf("got %q after %v, want %q after %v to %v", frame, at, tooSlow, patience, most)
				}
				h.wantEnd(core.ClosePolicy, "message took too long")
			})
		})
	}
}

// TestNoSlowMessage has a client that is always in the middle of a message, but never for long in the same one.
func TestNoSlowMessage(t *testing.T) {
	for name, frames := range map[string][]byte{
		"messages":  appendFrame(nil, ws.OpText, []byte(`{"status":200,"reason":"","id":1}`), true),
		"pings":     appendFrame(nil, ws.OpPong, []byte("pong"), true),
		"fragments": append([]byte{0x01, 0x81, 0, 0, 0, 0, '{'}, appendFrame(nil, ws.OpContinuation, []byte(`"status":200,"reason":"","id":1}`), true)...),
	} {
		t.Run(name, func(t *testing.T) {
			hold(t, func(h *held) {
				half := len(frames) / 2
				h.write(frames[:half])
				for range 1000 {
					time.Sleep(interval / 2)
					h.write(append(bytes.Clone(frames[half:]), frames[:half]...))
				}
				if len(h.frames) > 0 {
					t.Errorf("got %q", <-h.frames)
				}
			})
		})
	}
}

// TestPausedIsNotDead has a handler that takes an hour, with so much behind it that the connection is not read meanwhile.
func TestPausedIsNotDead(t *testing.T) {
	hold(t, func(h *held) {
		const behind = 200
		done := make(chan struct{})
		first := true
		h.app.Message("/", func(req *core.Request, _ core.Next) error {
			if first {
				first = false
				<-done
			}
			return req.Reply(200, "ok")
		})
		h.sending.Go(func() {
			for range behind {
				h.write(appendFrame(nil, ws.OpText, []byte(`{"method":"message","path":"/","id":1}`), true))
			}
		})
		time.Sleep(time.Hour)
		close(done)
		for answers := 0; answers < behind; {
			switch frame, at := h.next(); {
			case strings.HasPrefix(frame, `1 {"status":200`):
				answers++
			case frame != pingFrame:
				t.Fatalf("got %q after %v and %d answers", frame, at, answers)
			}
		}
		synctest.Wait()
		h.send(ws.OpPing, "x")
		h.want("a x", time.Hour, time.Hour)
	})
}

// TestPausedAndGone has a client that goes away while its connection is not read. A ping that cannot be sent tells.
func TestPausedAndGone(t *testing.T) {
	hold(t, func(h *held) {
		h.app.Message("/", func(req *core.Request, _ core.Next) error {
			<-req.Context().Done()
			return errors.New("gone")
		})
		h.sending.Go(func() {
			for {
				_, err := h.Conn.Write(appendFrame(nil, ws.OpText, []byte(`{"method":"message","path":"/","id":1}`), true))
				if err != nil {
					return
				}
			}
		})
		time.Sleep(time.Minute)
		gone := time.Since(h.start)
		_ = h.Conn.Close()
		h.wantEnd(core.CloseAbnormal, "connection lost")
		if took := time.Since(h.start) - gone; took > interval+turn {
			t.Errorf("it took %v to notice", took)
		}
	})
}

// TestCloseTimeout has a client that does not answer a close frame.
func TestCloseTimeout(t *testing.T) {
	hold(t, func(h *held) {
		if err := h.app.Peer("alice", "1").Close(4000, "enough"); err != nil {
			t.Fatal(err)
		}
		h.want(describe(ws.OpClose, append([]byte{0x0f, 0xa0}, "enough"...)), 0, 0)
		h.wantEnd(4000, "enough")
		h.want("", closeTimeout, closeTimeout)
	})
}

// TestCloseUnread has a client that does not even take the close frame.
func TestCloseUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(core.New(core.Options{}), nil, Options{})
		client, server := net.Pipe()
		_, _ = s.gate.enter("")
		c := newConn(&s.plain)
		if err := c.connect(s.app, core.Identity{Username: "alice", UUID: "1"}); err != nil {
			t.Fatal(err)
		}
		c.cork()
		go newStream(c, server, nil).run()
		start := time.Now()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != closeTimeout {
			t.Errorf("Close took %v, want %v", took, closeTimeout)
		}
		if _, err := io.ReadAll(client); err != nil {
			t.Error(err)
		}
	})
}

// still is a socket that does nothing.
type still struct{ *Conn }

func (still) flush()       {}
func (s still) uncork()    { s.mu.Unlock() }
func (still) drop()        {}
func (still) pause()       {}
func (still) resume()      {}
func (still) backlog() int { return 0 }

// TestResumeIsNotSilence visits a connection after it has been resumed and before it has been read: that nothing had
// come for so long was not the other side's fault.
func TestResumeIsNotSilence(t *testing.T) {
	s := New(core.New(core.Options{}), nil, Options{})
	c := newConn(&s.plain)
	defer c.config.keeper.Remove(c)
	c.socket = still{c}
	if !c.pause() {
		t.Fatal("did not pause")
	}
	for now := range uint32(5) {
		c.check(now)
	}
	c.Resume()
	c.check(5)
	c.check(6)
	if c.state != open {
		t.Fatal("given up after it was resumed")
	}
	c.check(7)
	if c.state != closed {
		t.Error("not given up when it did not answer")
	}
}
