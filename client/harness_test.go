package client_test

import (
	"context"
	"errors"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protoo-go/protoo/client"
	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/memory"
)

// A server is an application that clients reach in memory.
type server struct {
	app       *core.App
	transport *memory.Transport

	mu     sync.Mutex
	down   error // what attempts to connect fail with
	dialed int
}

func newServer(t *testing.T, o core.Options) *server {
	s := &server{app: core.New(o)}
	s.transport = memory.New(s.app, identify, memory.Options{})
	s.app.Use("/echo", func(req *core.Request, _ core.Next) error { return req.Reply(200, "OK", req.Data()) })
	s.app.Use("/silence", func(*core.Request, core.Next) error { return nil })
	t.Cleanup(func() {
		if err := errors.Join(s.app.Close(false), s.transport.Close()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func identify(r *core.ConnectRequest) (core.Identity, error) {
	name := r.QueryValue("username")
	if name == "" {
		return core.Identity{}, core.Reject(401, "who are you?")
	}
	return core.Identity{Username: name, UUID: "1"}, nil
}

// fail makes attempts to connect fail with err; nil lets them succeed again.
func (s *server) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = err
}

func (s *server) attempts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dialed
}

func (s *server) dial(ctx context.Context, rawURL string) (client.Conn, error) {
	s.mu.Lock()
	s.dialed++
	down := s.down
	s.mu.Unlock()
	if down != nil {
		return nil, down
	}
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	return s.transport.Dial(ctx, core.ConnectRequest{Query: u.Query()})
}

// connect returns alice, closed at the end of the test.
func (s *server) connect(t *testing.T, o client.Options) *client.Client {
	t.Helper()
	o.Dial = s.dial
	c, err := client.Dial(t.Context(), "memory:?username=alice", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Close(0, "")
		<-c.Done()
	})
	return c
}

// alice returns the server's view of the client.
func (s *server) alice(t *testing.T) *core.Peer {
	t.Helper()
	p := s.app.Peer("alice", "1")
	if p == nil {
		t.Fatal("alice is offline")
	}
	return p
}

// drop breaks the connection as a network does, and returns when the client has noticed.
func (s *server) drop(t *testing.T) {
	t.Helper()
	s.alice(t).Conn().(*memory.Conn).Drop()
	synctest.Wait()
}

// half is for backoffs whose waits are to be known: each is half of its limit.
func half() float64 { return 0.5 }

// bubble runs a test in which time passes only when everybody waits.
func bubble(t *testing.T, name string, test func(*testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
}

func request(t *testing.T, c *client.Client, path string, data any, opts ...client.RequestOption) (*core.Response, error) {
	t.Helper()
	return c.Request(t.Context(), "message", path, data, opts...)
}

// rejection checks that err is a response with this status and reason.
func rejection(t *testing.T, err error, status int, reason string, local bool) {
	t.Helper()
	var rejected *client.Error
	if !errors.As(err, &rejected) {
		t.Fatalf("got error %v, want response %d", err, status)
	}
	if rejected.Status != status || rejected.Reason != reason || rejected.Local != local {
		t.Fatalf("got %+v, want %d %s, local %v", rejected, status, reason, local)
	}
}

func elapsed(t *testing.T, began time.Time, want time.Duration) {
	t.Helper()
	if got := time.Since(began); got != want {
		t.Errorf("it took %v, want %v", got, want)
	}
}
