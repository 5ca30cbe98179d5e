package webtransport_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/core/coretest"
	"github.com/protoo-go/protoo/transports/webtransport"
)

// ends has how the connections of an application's peers have ended.
func ends(app *core.App) <-chan coretest.Closed {
	all := make(chan coretest.Closed, 100)
	app.OnOnline(func(p *core.Peer) {
		p.OnDisconnect(func(code int, reason string) { all <- coretest.Closed{Code: code, Reason: reason} })
	})
	return all
}

// TestViolations has clients that break the rules: they read why.
func TestViolations(t *testing.T) {
	long := bytes.Repeat([]byte("x"), 200)
	tests := []struct {
		name string
		sent []byte
		want coretest.Closed
	}{
		{"unknown opcode", []byte{3, 0}, coretest.Closed{Code: 1002, Reason: "unknown opcode 0x3"}},
		{"giant length", []byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, coretest.Closed{Code: 1009, Reason: "message of more than 65536 bytes"}},
		{"long ping", encode(9, long), coretest.Closed{Code: 1002, Reason: "control frames have at most 125 bytes"}},
		{"half a code", encode(8, []byte{3}), coretest.Closed{Code: 1002, Reason: "close frame with half a code"}},
		{"code that may not be sent", closing(1006, ""), coretest.Closed{Code: 1002, Reason: "close code 1006 may not be sent"}},
		{"reason that is not UTF-8", closing(1000, "\xff"), coretest.Closed{Code: 1007, Reason: "close reason is not valid UTF-8"}},
		{"binary messages", bytes.Repeat(encode(2, nil), 16), coretest.Closed{Code: 1007, Reason: "too many bad messages"}},
		{"text that is not UTF-8", bytes.Repeat(text("\xff"), 16), coretest.Closed{Code: 1007, Reason: "too many bad messages"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			app := echo()
			ended := ends(app)
			s := start(t, app, byQuery, webtransport.Options{})
			c := s.connect(t, "alice", "1")
			c.exchange(t, "hello")
			if err := c.write(append(tt.sent, text("more that nobody reads")...)); err != nil {
				t.Fatal(err)
			}
			c.wantClosed(t, tt.want.Code, tt.want.Reason)
			if got := wait(t, "the end", ended); got != tt.want {
				t.Errorf("the server got %v, want %v", got, tt.want)
			}
			s.connect(t, "alice", "1").exchange(t, "again")
		})
	}
}

// TestHalfFrame has a client stop in the middle of a message.
func TestHalfFrame(t *testing.T) {
	s := start(t, echo(), byQuery, webtransport.Options{MessageTimeout: 50 * time.Millisecond, CheckInterval: 50 * time.Millisecond})
	other := s.connect(t, "bob", "1")
	for _, half := range [][]byte{{1}, {1, 0x80, 0}, {1, 10}, text("half")[:3], append(text(echoRequest("whole")), 1, 10, '{')} {
		c := s.connect(t, "alice", "1")
		if err := c.write(half); err != nil {
			t.Fatal(err)
		}
		c.wantClosed(t, 1008, "message took too long")
	}
	other.exchange(t, "others are served, and do not take too long")
}

// TestNoStream has clients that make a session and nothing of it.
func TestNoStream(t *testing.T) {
	app := echo()
	ended := ends(app)
	s := start(t, app, byQuery, webtransport.Options{StreamTimeout: 50 * time.Millisecond})
	c, err := s.open(t.Context(), "/?username=alice&uuid=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.drop()
	want := coretest.Closed{Code: 1002, Reason: "no stream in time"}
	if got := c.sessionEnd(t); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := wait(t, "the end", ended); got != want {
		t.Errorf("the server got %v, want %v", got, want)
	}
	c.leave()
	eventually(t, "the end of the connection", func() bool { return s.Stats().Connections == 0 })
}

// TestManyStreams has clients open streams that have no purpose, until there are no more to be had.
func TestManyStreams(t *testing.T) {
	for _, uni := range []bool{false, true} {
		s := start(t, echo(), byQuery, webtransport.Options{CheckInterval: 50 * time.Millisecond})
		c := s.connect(t, "alice", "1")
		c.exchange(t, "the first stream is the one")
		opened := 0
		for ; ; opened++ {
			var stream interface{ Write([]byte) (int, error) }
			var err error
			if uni {
				stream, err = c.OpenUniStream()
			} else {
				stream, err = c.OpenStream()
			}
			if err != nil {
				break
			}
			if _, err := stream.Write([]byte("x")); err != nil {
				break
			}
		}
		if opened < 1 || opened > 20 {
			t.Errorf("%d streams could be opened", opened)
		}
		c.wantClosed(t, 1002, "more than one stream")
	}
}

// TestStrangers has connections that ask for nothing, or for half of something.
func TestStrangers(t *testing.T) {
	const patience = 2 * time.Second // more than a handshake takes on a slow machine
	s := &server{Server: webtransport.New(echo(), byQuery, webtransport.Options{})}
	s.SetPatience(patience)
	s.serve(t)
	silent, err := s.dialQUIC(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	half, err := s.dialQUIC(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stream, err := half.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Write([]byte{1, 0x40, 100, 0}); err != nil { // of a HEADERS frame with 100 bytes
		t.Fatal(err)
	}
	c := s.connect(t, "alice", "1")
	for _, conn := range []*quic.Conn{silent, half} {
		wait(t, "the end of the connection", conn.Context().Done())
		e, ok := errors.AsType[*quic.ApplicationError](context.Cause(conn.Context()))
		if !ok || !e.Remote || e.ErrorMessage != "no request in time" {
			t.Errorf("the connection ended with %v", context.Cause(conn.Context()))
		}
	}
	c.exchange(t, "who has asked for something may stay")
	eventually(t, "the end of the others", func() bool { return s.Stats().Connections == 1 && s.Stats().Strangers == 0 })
}

// TestHandshakeFlood has one address begin more connections than it may: it has to prove itself first, and then there is an end.
func TestHandshakeFlood(t *testing.T) {
	s := start(t, echo(), byQuery, webtransport.Options{MaxHandshakes: 64})
	var conns []*quic.Conn
	refused := 0
	for range 30 {
		conn, err := s.dialQUIC(t.Context())
		if err != nil {
			if e, ok := errors.AsType[*quic.TransportError](err); !ok || e.ErrorCode != quic.ConnectionRefused {
				t.Fatal(err)
			}
			refused++
			continue
		}
		conns = append(conns, conn)
	}
	stats := s.Stats()
	if stats.Strangers > 8 || stats.Connections > 8 || refused < 22 || stats.Refused < uint64(refused) {
		t.Errorf("got %+v, and %d refusals, want 8 strangers", stats, refused)
	}
	if stats.Retries < 20 {
		t.Errorf("%d connections had to prove their address", stats.Retries)
	}
	for _, conn := range conns {
		_ = conn.CloseWithError(0, "")
	}
	eventually(t, "the end of the flood", func() bool { return s.Stats().Strangers == 0 })
	s.connect(t, "alice", "1").exchange(t, "again")
	eventually(t, "forgetting", func() bool { return s.Addresses() == 1 })
}

// TestMaxConnections has more clients than there is room for.
func TestMaxConnections(t *testing.T) {
	for name, o := range map[string]webtransport.Options{
		"all":         {MaxConnections: 2},
		"one address": {MaxConnectionsPerAddress: 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, echo(), byQuery, o)
			first := s.connect(t, "alice", "1")
			s.connect(t, "alice", "2").exchange(t, "hello")
			_, err := webtransport.Dial(t.Context(), s.url("username=bob&uuid=1"), trusting())
			var refused *core.StatusError
			if !errors.As(err, &refused) || *refused != (core.StatusError{Status: 503, Reason: "too many connections"}) {
				t.Errorf("got %v", err)
			}
			first.leave()
			eventually(t, "the end of the first", func() bool { return s.Stats().Connections == 1 })
			s.connect(t, "bob", "1").exchange(t, "hello")
		})
	}
}

// TestStuck has a client read nothing at all, and a server that does not wait long for it.
func TestStuck(t *testing.T) {
	app := echo()
	ended := ends(app)
	s := start(t, app, byQuery, webtransport.Options{WriteTimeout: 100 * time.Millisecond})
	c := s.connect(t, "alice", "1")
	c.exchange(t, "hello")
	peer := app.Peer("alice", "1")
	for range 10 {
		if err := peer.Conn().Send(text(strings.Repeat("x", 60<<10))); err != nil {
			t.Fatal(err)
		}
	}
	want := coretest.Closed{Code: 1013, Reason: "too slow"}
	if got := wait(t, "the end", ended); got != want {
		t.Errorf("the server got %v, want %v", got, want)
	}
	if n := s.Stats().Stuck; n != 1 {
		t.Errorf("%d sessions were stuck, want 1", n)
	}
	if got := c.sessionEnd(t); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestFlood has a client send more than is handled. The server takes only so much of it.
func TestFlood(t *testing.T) {
	release := make(chan struct{})
	app := core.New(core.Options{})
	app.Message("/block", func(req *core.Request, _ core.Next) error {
		<-release
		return req.Reply(200, "ok")
	})
	s := start(t, app, byQuery, webtransport.Options{})
	c := s.connect(t, "alice", "1")
	request := text(`{"method":"message","path":"/block","id":"1","data":"` + strings.Repeat("x", 30<<10) + `"}`)
	sent := 0
	for {
		_ = c.stream.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
		n, err := c.stream.Write(request)
		sent += n
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if sent > 10<<20 {
			t.Fatal("there is no end to it")
		}
	}
	// 256 KiB are what package core lets wait, 64 KiB the stream's window.
	if most := 450 << 10; sent > most {
		t.Errorf("the server took %d bytes, want at most %d", sent, most)
	}
	close(release)
}

// TestGarbageDatagrams has datagrams that are not one message each.
func TestGarbageDatagrams(t *testing.T) {
	bad := [][]byte{{}, {1}, {1, 5, 'x'}, {3, 0}, encode(9, nil), closing(1000, ""), append(text("{}"), text("{}")...), {1, 0xc0}, {1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}
	app := echo()
	seen := make(chan error, 100)
	app.OnBadMessage(func(_ *core.Peer, err error) { seen <- err })
	s := start(t, app, byQuery, webtransport.Options{Datagrams: true})
	c := s.connect(t, "alice", "1")
	c.exchange(t, "hello")
	for i := range 16 {
		if err := c.SendDatagram(bad[i%len(bad)]); err != nil {
			t.Fatal(err)
		}
		if err := wait(t, "the bad message", seen); !strings.HasPrefix(err.Error(), "invalid message: ") {
			t.Errorf("%x: %v", bad[i%len(bad)], err)
		}
	}
	c.wantClosed(t, 1007, "too many bad messages")
}

// TestDatagramFlood has datagrams come that are turned off, and faster than they are handled.
func TestDatagramFlood(t *testing.T) {
	for _, on := range []bool{false, true} {
		release := make(chan struct{})
		app := echo()
		app.Message("/block", func(*core.Request, core.Next) error {
			<-release
			return nil
		})
		s := start(t, app, byQuery, webtransport.Options{Datagrams: on})
		c := s.connect(t, "alice", "1")
		c.exchange(t, "hello")
		for range 2000 {
			if err := c.SendDatagram(text(`{"method":"message","path":"/block","id":"1"}`)); err != nil {
				t.Fatal(err)
			}
		}
		if on {
			eventually(t, "the first to be dropped", func() bool {
				_ = c.SendDatagram(text(`{"method":"message","path":"/block","id":"1"}`))
				return s.Stats().Dropped > 0
			})
		}
		close(release)
		c.exchange(t, "the stream goes on")
	}
}

// TestSilentClient has clients that do not answer a close frame: the session's end tells them the same.
func TestSilentClient(t *testing.T) {
	app := echo()
	s := start(t, app, byQuery, webtransport.Options{CloseTimeout: 500 * time.Millisecond})
	c := s.connect(t, "alice", "1")
	c.exchange(t, "hello")
	if err := app.Peer("alice", "1").Close(4001, "enough"); err != nil {
		t.Fatal(err)
	}
	if got := c.sessionEnd(t); got != (coretest.Closed{Code: 4001, Reason: "enough"}) {
		t.Errorf("got %v", got)
	}
}

// TestSessionEnds has clients that end the session and say nothing on the stream, as a page does that calls close.
func TestSessionEnds(t *testing.T) {
	app := echo()
	ended := ends(app)
	s := start(t, app, byQuery, webtransport.Options{})
	for _, tt := range []struct {
		name string
		end  func(*client) error
		want coretest.Closed
	}{
		{"code", func(c *client) error { return c.CloseWithError(4001, "enough") }, coretest.Closed{Code: 4001, Reason: "enough"}},
		{"no code", func(c *client) error { return c.CloseWithError(0, "") }, coretest.Closed{Code: core.CloseNoStatus}},
		{"foreign code", func(c *client) error { return c.CloseWithError(7, "") }, coretest.Closed{Code: core.CloseNoStatus}},
		{"end of the connection", func(c *client) error { c.leave(); return nil }, coretest.Closed{Code: core.CloseNoStatus}},
		{"end of the stream", func(c *client) error { return c.stream.Close() }, coretest.Closed{Code: core.CloseNoStatus}},
		{"end of the stream before the code", func(c *client) error {
			_ = c.stream.Close()
			return c.CloseWithError(4003, "firefox again")
		}, coretest.Closed{Code: 4003, Reason: "firefox again"}},
		{"failure of the connection", func(c *client) error { c.drop(); return nil }, coretest.Closed{Code: core.CloseAbnormal, Reason: "connection lost"}},
		{"reset of the stream", func(c *client) error { c.stream.CancelWrite(1); return nil }, coretest.Closed{Code: core.CloseAbnormal, Reason: "connection lost"}},
		{"reset before the code", func(c *client) error {
			c.stream.CancelWrite(1)
			return c.CloseWithError(4002, "firefox")
		}, coretest.Closed{Code: 4002, Reason: "firefox"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := s.connect(t, "alice", "1")
			c.exchange(t, "hello")
			if err := tt.end(c); err != nil {
				t.Fatal(err)
			}
			if got := wait(t, "the end", ended); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// TestRefusedPage has a page that the application refuses. It could not see an HTTP status.
func TestRefusedPage(t *testing.T) {
	s := start(t, echo(), func(*core.ConnectRequest) (core.Identity, error) {
		return core.Identity{}, core.Reject(403, "not you")
	}, webtransport.Options{})
	c, err := s.open(t.Context(), "/", http.Header{"Origin": {"https://" + s.addr}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.drop()
	if err := c.begin(); err != nil {
		t.Fatal(err)
	}
	_ = c.write(text("not even read"))
	c.wantClosed(t, 4403, "not you")
	if n := s.app.Peers("", "", nil); n != 0 {
		t.Errorf("%d peers are online", n)
	}
}
