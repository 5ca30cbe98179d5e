package websocket_test

import (
	"bytes"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/protoo-go/protoo/core"
)

// A delivery is a way in which the bytes of a vector reach the server.
type delivery struct {
	name string
	fits func(v wanted, size int) bool
	send func(c *client, b []byte) error
}

var deliveries = []delivery{
	{
		"in one piece",
		func(wanted, int) bool { return true },
		(*client).write,
	},
	{
		"byte by byte",
		func(_ wanted, size int) bool { return size <= 400 },
		func(c *client, b []byte) error {
			for i := range b {
				if err := c.write(b[i : i+1]); err != nil {
					return err
				}
			}
			return nil
		},
	},
	{
		// A server that closed its socket with bytes unread would reset the connection, and with it its close frame.
		"and much more behind it",
		func(w wanted, _ int) bool { return w.closed },
		func(c *client, b []byte) error {
			for _, more := range [][]byte{b, bytes.Repeat([]byte{0x81}, 20_000), bytes.Repeat(text("more"), 5000)} {
				if err := c.write(more); err != nil {
					return err
				}
			}
			return nil
		},
	},
}

// echo is an application that answers requests to /echo with their data.
func echo() *core.App {
	app := core.New(core.Options{})
	app.All("/echo", func(req *core.Request, _ core.Next) error { return req.Reply(200, "ok", req.Data()) })
	return app
}

func byQuery(r *core.ConnectRequest) (core.Identity, error) {
	return core.Identity{Username: r.QueryValue("username"), UUID: r.QueryValue("uuid")}, nil
}

// conversations gives each connection a peer of its own.
var conversations atomic.Int64

func (s *server) join(t testing.TB) *client {
	t.Helper()
	return s.connect(t, "u", strconv.FormatInt(conversations.Add(1), 10))
}

func TestFrames(t *testing.T) {
	vectors := readVectors(t, "frames.json")
	if len(vectors) < 300 {
		t.Fatalf("only %d vectors", len(vectors))
	}
	for _, p := range paths {
		t.Run(p.name, func(t *testing.T) {
			p.options.CloseTimeout = time.Minute // so that no slow machine turns an end into a reset
			s := start(t, p, echo(), byQuery)
			for _, v := range vectors {
				want, err := expect(v.Want)
				if err != nil {
					t.Fatalf("%s: %v", v.Name, err)
				}
				var b []byte
				for _, frame := range v.Send {
					f, err := encode(frame)
					if err != nil {
						t.Fatalf("%s: %v", v.Name, err)
					}
					b = append(b, f...)
				}
				for _, d := range deliveries {
					if d.fits(want, len(b)) {
						t.Run(v.Name+", "+d.name, func(t *testing.T) {
							c := s.join(t)
							if err := d.send(c, b); err != nil {
								t.Fatal(err)
							}
							c.expect(t, want)
						})
					}
				}
			}
		})
	}
}

// TestFramesWithHandshake sends frames before the server has agreed to the connection: that is early, but nothing may be lost of them.
func TestFramesWithHandshake(t *testing.T) {
	for _, p := range paths {
		t.Run(p.name, func(t *testing.T) {
			s := start(t, p, echo(), byQuery)
			for _, send := range [][]string{
				{"text echo:100"},
				{"text echo:100", "text echo:3000", "ping x:5", "text echo:65536", "text echo:64"},
				slices.Repeat([]string{"text echo:200"}, 100),
				{"text echo:5000", "raw:81"},
			} {
				c := s.dialRaw(t)
				var want wanted
				b := handshake("/?username=early&uuid=" + strconv.FormatInt(conversations.Add(1), 10))
				for _, frame := range send {
					f, err := encode(frame)
					if err != nil {
						t.Fatal(err)
					}
					b = append(b, f...)
					if w, err := expect([]string{frame}); err == nil {
						want.messages = append(want.messages, w.messages...)
					}
				}
				if slices.Contains(send, "ping x:5") {
					want.pongs = []string{"xxxxx"}
				}
				if send[len(send)-1] == "raw:81" {
					rest, _ := encode("text echo:64")
					b = append(b, rest[1:]...)
					want.messages = append(want.messages, echoResponse(strings.Repeat("x", 64-len(echoRequest("")))))
				}
				if err := c.write(b); err != nil {
					t.Fatal(err)
				}
				c.switched(t)
				c.expect(t, want)
			}
		})
	}
}

// expect reads what is wanted and nothing else, and then the end: the server's or, if the vector
// has none, one that the client begins.
func (c *client) expect(t *testing.T, want wanted) {
	t.Helper()
	var got wanted
	if !want.closed {
		for len(got.messages) < len(want.messages) || len(got.pongs) < len(want.pongs) {
			c.collect(t, &got)
			if got.closed {
				t.Fatalf("closed by the server: %q", got.closing)
			}
		}
		want.closed, want.closing = true, []byte{0x03, 0xe8}
		if err := c.write(closing(core.CloseNormal, "")); err != nil {
			t.Fatal(err)
		}
	}
	for !got.closed {
		c.collect(t, &got)
	}
	if !slices.Equal(got.messages, want.messages) {
		t.Errorf("got messages %.300q, want %.300q", got.messages, want.messages)
	}
	if !slices.Equal(got.pongs, want.pongs) {
		t.Errorf("got pongs %.300q, want %.300q", got.pongs, want.pongs)
	}
	if len(want.closing) != min(len(got.closing), 2) || !bytes.HasPrefix(got.closing, want.closing) {
		t.Errorf("got close frame %q, want code %x", got.closing, want.closing)
	}
	if _, _, err := c.next(); err != io.EOF {
		t.Errorf("after the close frame: got error %v, want EOF", err)
	}
	_ = c.Close()
}

// collect reads a frame.
func (c *client) collect(t *testing.T, got *wanted) {
	t.Helper()
	first, payload, err := c.next()
	if err != nil {
		t.Fatalf("after %d messages and %d pongs: %v", len(got.messages), len(got.pongs), err)
	}
	switch first {
	case final | byte(ws.OpText):
		got.messages = append(got.messages, string(payload))
	case final | byte(ws.OpPong):
		got.pongs = append(got.pongs, string(payload))
	case final | byte(ws.OpClose):
		got.closed, got.closing = true, payload
	case final | byte(ws.OpPing): // the keeper's
	default:
		t.Fatalf("the server sent a frame that begins with %#x", first)
	}
}
