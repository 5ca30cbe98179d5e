package memory_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/memory"
)

func asAlice(*core.ConnectRequest) (core.Identity, error) {
	return core.Identity{Username: "alice", UUID: "1"}, nil
}

func dial(t *testing.T, transport *memory.Transport) *memory.Conn {
	t.Helper()
	conn, err := transport.Dial(t.Context(), core.ConnectRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// serve returns an application with a transport, which is closed at the end of the test.
func serve(t *testing.T, o memory.Options) (*core.App, *memory.Transport) {
	app := core.New(core.Options{})
	app.All("/echo", func(req *core.Request, _ core.Next) error { return req.Reply(200, "ok", req.Data()) })
	transport := memory.New(app, asAlice, o)
	t.Cleanup(func() { _ = transport.Close() })
	return app, transport
}

// TestRun has an application at both ends.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, transport := serve(t, memory.Options{})
		conn := dial(t, transport)

		client := core.New(core.Options{TrustSender: true})
		release := make(chan struct{})
		client.Message("/block", func(req *core.Request, _ core.Next) error {
			<-release
			return req.Reply(200, "released")
		})
		client.Message("/ask/back", func(req *core.Request, _ core.Next) error {
			res, err := req.Peer().Send(core.NewRequest("message", "/echo", req.Data())).Wait(context.Background())
			if err != nil {
				return err
			}
			return req.Reply(res.Status(), res.Reason(), res.Data())
		})
		client.Message("/exit", func(req *core.Request, _ core.Next) error {
			defer runtime.Goexit()
			return req.Reply(200, "exit")
		})
		link, err := client.Connect(core.Identity{Username: "server", UUID: "1"}, conn)
		if err != nil {
			t.Fatal(err)
		}
		code, reason := 0, ""
		link.Peer().OnDisconnect(func(c int, r string) { code, reason = c, r })
		ran := make(chan struct{})
		go func() {
			defer close(ran)
			conn.Run(link)
		}()

		blocked := server.Peer("alice", "1").Send(core.NewRequest("message", "/block", nil))
		for range 200 {
			server.Peer("alice", "1").Send(core.NewRequest("message", "/behind", nil))
		}
		tr := link.Peer().Send(core.NewRequest("message", "/echo", "while a handler blocks and its queue is full"))
		synctest.Wait()
		close(release)
		for tr, want := range map[*core.Transaction]string{
			tr:      "ok",
			blocked: "released",
			server.Peer("alice", "1").Send(core.NewRequest("message", "/exit", nil)):        "exit",
			server.Peer("alice", "1").Send(core.NewRequest("message", "/ask/back", "back")): "ok",
		} {
			if res, err := tr.Wait(t.Context()); err != nil || res.Status() != 200 || res.Reason() != want {
				t.Errorf("%v: got %v, %v", tr, res, err)
			}
		}
		select {
		case <-ran:
			t.Error("Run has returned before the end")
		default:
		}
		if err := server.Peer("alice", "1").Close(4000, "enough"); err != nil {
			t.Fatal(err)
		}
		<-ran
		if code != 4000 || reason != "enough" || client.Stats().Peers != 0 {
			t.Errorf("the client was told %d %q, %d peers are left", code, reason, client.Stats().Peers)
		}
	})
}

func TestQueueSize(t *testing.T) {
	const size = 10_000
	app, transport := serve(t, memory.Options{QueueSize: size})
	app.Message("/block", func(*core.Request, core.Next) error {
		<-t.Context().Done()
		return nil
	})
	for _, length := range []int{0, 1, 1000, size - 64} {
		conn := dial(t, transport)
		server := app.Peer("alice", "1").Conn()
		msg := []byte(strings.Repeat("x", length))
		fill := func() (n int) {
			for server.Send(msg) == nil {
				n++
			}
			return n
		}
		if n, want := fill(), size/(length+64); n != want {
			t.Errorf("there was room for %d messages of %d bytes, want %d", n, length, want)
		}
		if err := server.Send(msg); err != core.ErrSlow {
			t.Errorf("got %v, want ErrSlow", err)
		}
		if got, err := conn.Receive(t.Context()); err != nil || string(got) != string(msg) {
			t.Errorf("got %q, %v", got, err)
		}
		if n := fill(); n != 1 {
			t.Errorf("after one message was received there was room for %d", n)
		}
		if err := server.Send(make([]byte, size-63)); err != core.ErrSlow {
			t.Errorf("a message that is longer than the queue: got %v", err)
		}
		conn.Drop()
		if err := server.Send(msg); err != core.ErrClosed {
			t.Errorf("after the end: got %v", err)
		}
	}

	// The other direction fills up when the server does not read.
	conn := dial(t, transport)
	defer conn.Drop()
	var err error
	for n := 0; err == nil; n++ {
		if err = conn.Send([]byte(`{"method":"message","path":"/block","id":"1"}`)); n > 1000 {
			t.Fatal("a server that does not read has taken 1000 messages")
		}
	}
	if err != core.ErrSlow {
		t.Errorf("got %v, want ErrSlow", err)
	}
}

// TestEarlyResume: a Resume that comes before reading has paused is not forgotten.
func TestEarlyResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, transport := serve(t, memory.Options{})
		const full = 64 // requests that may wait behind a handler
		handled := 0
		release := make(chan struct{})
		app.Use("/", func(*core.Request, core.Next) error {
			handled++
			<-release
			return nil
		})
		conn := dial(t, transport)
		send := func(text string) {
			if err := conn.Send([]byte(text)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		read := func(bad uint64) {
			t.Helper()
			if n := app.Stats().BadMessages; n != bad {
				t.Errorf("%d of the messages that follow were read, want %d", n, bad)
			}
		}
		send(`{"method":"message","path":"/","id":"1"}`)
		app.Peer("alice", "1").Conn().Resume()
		for range full {
			send(`{"method":"message","path":"/","id":"1"}`)
		}
		send("bad")
		read(1)
		send(`{"method":"message","path":"/","id":"1"}`)
		send("bad")
		read(1)
		close(release)
		synctest.Wait()
		read(2)
		if handled != full+2 {
			t.Errorf("%d requests were handled, want %d", handled, full+2)
		}
	})
}

func TestMaxMessage(t *testing.T) {
	app, transport := serve(t, memory.Options{MaxMessage: 100})
	conn := dial(t, transport)
	request := func(length int) []byte {
		const text = `{"method":"message","path":"/echo","id":"1","data":"?"}`
		return []byte(strings.Replace(text, "?", strings.Repeat("x", length-len(text)+1), 1))
	}
	if err := conn.Send(request(100)); err != nil {
		t.Error(err)
	}
	if msg, err := conn.Receive(t.Context()); err != nil || !strings.HasPrefix(string(msg), `{"status":200,`) {
		t.Errorf("got %s, %v", msg, err)
	}
	// The limit is the server's alone.
	if err := app.Peer("alice", "1").Conn().Send(request(1000)); err != nil {
		t.Error(err)
	}
	if msg, err := conn.Receive(t.Context()); err != nil || len(msg) != 1000 {
		t.Errorf("got %s, %v", msg, err)
	}
	if err := conn.Send(request(101)); err != nil {
		t.Errorf("got %v: a sender learns of the limit when it reads", err)
	}
	wantEnd(t, conn, core.CloseTooBig, "message too big")
}

func wantEnd(t *testing.T, conn *memory.Conn, code int, reason string) {
	t.Helper()
	_, err := conn.Receive(t.Context())
	var end *memory.CloseError
	if !errors.As(err, &end) || end.Code != code || end.Reason != reason {
		t.Errorf("got %v, want the end with %d %q", err, code, reason)
	}
}

func TestReceive(t *testing.T) {
	app, transport := serve(t, memory.Options{})
	conn := dial(t, transport)
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if msg, err := conn.Receive(ctx); msg != nil || err != cause {
		t.Errorf("got %q, %v, want the context's cause", msg, err)
	}
	server := app.Peer("alice", "1").Conn()
	for _, text := range []string{"a", "", "b"} {
		if err := server.Send([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := server.Close(4000, "bye"); err != nil {
		t.Fatal(err)
	}
	if err := server.Close(4001, "again"); err != nil {
		t.Errorf("the second Close: %v", err)
	}
	conn.Drop() // too late
	for _, text := range []string{"a", "", "b"} {
		if msg, err := conn.Receive(ctx); err != nil || string(msg) != text {
			t.Errorf("got %q, %v, want %q", msg, err, text)
		}
	}
	for range 3 {
		wantEnd(t, conn, 4000, "bye")
	}
	if _, err := conn.Receive(ctx); err.Error() != "closed: 4000 bye" {
		t.Errorf("got %q", err)
	}
}

// TestCloseDiscards: an end that has closed the connection receives nothing more.
func TestCloseDiscards(t *testing.T) {
	app, transport := serve(t, memory.Options{})
	conn := dial(t, transport)
	if err := app.Peer("alice", "1").Conn().Send([]byte("unread")); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(0, ""); err != nil {
		t.Fatal(err)
	}
	wantEnd(t, conn, core.CloseNoStatus, "")
	if err := conn.Send([]byte("late")); err != core.ErrClosed {
		t.Errorf("got %v", err)
	}
}

func TestNames(t *testing.T) {
	app := core.New(core.Options{})
	var requests []core.ConnectRequest
	transport := memory.New(app, func(r *core.ConnectRequest) (core.Identity, error) {
		requests = append(requests, *r)
		return core.Identity{Username: "alice", UUID: r.RemoteAddr}, nil
	}, memory.Options{})
	defer func() { _ = transport.Close() }()
	for _, tt := range []struct{ transport, addr, wantTransport, wantAddr string }{
		{"", "", "memory", "client:1"},
		{"", "", "memory", "client:2"},
		{"wasm", "192.0.2.1:5678", "wasm", "192.0.2.1:5678"},
	} {
		conn, err := transport.Dial(t.Context(), core.ConnectRequest{Transport: tt.transport, RemoteAddr: tt.addr, Secure: true, Raw: t})
		if err != nil {
			t.Fatal(err)
		}
		r := requests[len(requests)-1]
		if r.Transport != tt.wantTransport || r.RemoteAddr != tt.wantAddr || !r.Secure || r.Raw != any(t) || r.Context != t.Context() {
			t.Errorf("the listener got %+v", r)
		}
		if got := app.Peer("alice", tt.wantAddr).Conn().String(); got != "memory/"+tt.wantAddr {
			t.Errorf("the server's end is %q", got)
		}
		if conn.String() != "memory/server" {
			t.Errorf("the client's end is %q", conn)
		}
	}
}

func TestTransportClose(t *testing.T) {
	app, transport := serve(t, memory.Options{})
	app.Attach(transport)
	var offline []string
	app.OnOffline(func(p *core.Peer) { offline = append(offline, p.String()) })
	conn := dial(t, transport)
	if err := transport.Close(); err != nil {
		t.Error(err)
	}
	if len(offline) != 1 { // no lock: Close waits for the listeners
		t.Errorf("when Close had returned, %d peers had been announced offline", len(offline))
	}
	wantEnd(t, conn, core.CloseGoingAway, "shutting down")
	_, err := transport.Dial(t.Context(), core.ConnectRequest{})
	var refused *core.StatusError
	if !errors.As(err, &refused) || refused.Status != 503 || refused.Reason != "shutting down" {
		t.Errorf("Dial: got %v", err)
	}
	if err := app.Close(true); err != nil {
		t.Error(err)
	}
}

func TestDialContext(t *testing.T) {
	app, transport := serve(t, memory.Options{})
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if _, err := transport.Dial(ctx, core.ConnectRequest{}); err != cause {
		t.Errorf("got %v, want the context's cause", err)
	}
	if n := app.Stats().Peers; n != 0 {
		t.Errorf("%d peers are online", n)
	}
	// A context that ends later is no matter of the connection's.
	ctx, stop := context.WithTimeout(t.Context(), time.Hour)
	conn, err := transport.Dial(ctx, core.ConnectRequest{})
	if err != nil {
		t.Fatal(err)
	}
	stop()
	if err := conn.Send([]byte(`{"method":"message","path":"/echo","id":"1"}`)); err != nil {
		t.Error(err)
	}
	if _, err := conn.Receive(t.Context()); err != nil {
		t.Error(err)
	}
}

func BenchmarkEcho(b *testing.B) {
	app := core.New(core.Options{})
	app.Message("/echo", func(req *core.Request, _ core.Next) error { return req.Reply(200, "ok", req.Data()) })
	transport := memory.New(app, asAlice, memory.Options{})
	defer func() { _ = transport.Close() }()
	conn, err := transport.Dial(b.Context(), core.ConnectRequest{})
	if err != nil {
		b.Fatal(err)
	}
	msg := []byte(`{"method":"message","path":"/echo","id":"1","data":"` + strings.Repeat("x", 100) + `"}`)
	b.ReportAllocs()
	for b.Loop() {
		if err := conn.Send(msg); err != nil {
			b.Fatal(err)
		}
		if _, err := conn.Receive(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
