package coretest

import (
	"context"
	"errors"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/protoo-go/protoo/core"
)

var connectTests = []test{
	{"request", testConnectRequest},
	{"identity", testIdentity},
	{"refusal", testRefusal},
	{"blocking listener", testBlockingListener},
	{"client gives up", testClientGivesUp},
}

func testConnectRequest(t *testing.T, start Start) {
	requests := make(chan core.ConnectRequest, 1)
	s := newServer(t, start, core.Options{}, func(r *core.ConnectRequest) (core.Identity, error) {
		requests <- *r
		return core.Identity{Username: "alice", UUID: "1", Data: map[string]any{"role": "admin"}}, nil
	})
	query := url.Values{"token": {"a b&c=d%"}, "list": {"1", "2"}}
	conn, err := s.dial(s.ctx, "/some/path", query)
	if err != nil {
		t.Fatal(err)
	}
	s.adopt(conn)
	r := <-requests
	if r.Path != "/some/path" {
		t.Errorf("Path: got %q", r.Path)
	}
	if !reflect.DeepEqual(url.Values(r.Query), query) {
		t.Errorf("Query: got %v, want %v", r.Query, query)
	}
	if r.Transport == "" || r.RemoteAddr == "" || r.Context == nil {
		t.Errorf("Transport, RemoteAddr or Context are missing: %+v", r)
	}
	peer := s.app.Peer("alice", "1")
	if peer == nil {
		t.Fatal("the peer is not online")
	}
	if role := peer.Data().Get("role"); role != "admin" {
		t.Errorf("Data: role is %v, want admin", role)
	}
	if !peer.Connected() || peer.Conn().String() == "" {
		t.Errorf("the connection has no name: %v", peer.Conn())
	}
}

func testIdentity(t *testing.T, start Start) {
	s := newServer(t, start, core.Options{}, byQuery)
	names := []string{
		"alice", "Alice", "__proto__", "constructor", "/", "a/b?c=d&e=%41+#f", "日本 \U0001f600", "\x00\n", strings.Repeat("x", 256),
	}
	for _, name := range names {
		s.connect(name, "1")
		s.connect("alice", "of "+name[:min(len(name), 200)])
	}
	for _, name := range names {
		if s.app.Peer(name, "1") == nil {
			t.Errorf("%q is not online", name)
		}
	}
	if n := s.app.Peers("", "", nil); n != 2*len(names) {
		t.Errorf("%d peers are online, want %d", n, 2*len(names))
	}
}

func testRefusal(t *testing.T, start Start) {
	cause := errors.New("the database is on fire")
	tests := []struct {
		name   string
		accept core.Accept
		want   core.StatusError
		report string // to OnRouteError
	}{
		{"with status and reason", func(*core.ConnectRequest) (core.Identity, error) {
			return core.Identity{}, core.Reject(401, "who are you?")
		}, core.StatusError{Status: 401, Reason: "who are you?"}, ""},
		{"without", func(*core.ConnectRequest) (core.Identity, error) {
			return core.Identity{}, core.Reject(0, "")
		}, core.StatusError{Status: 403, Reason: "Rejected"}, ""},
		{"other error", func(*core.ConnectRequest) (core.Identity, error) {
			return core.Identity{}, cause
		}, core.StatusError{Status: 500, Reason: "internal error"}, cause.Error()},
		{"panic", func(*core.ConnectRequest) (core.Identity, error) {
			panic("oops")
		}, core.StatusError{Status: 500, Reason: "internal error"}, "panic: oops"},
		{"no username", func(*core.ConnectRequest) (core.Identity, error) {
			return core.Identity{UUID: "1"}, nil
		}, core.StatusError{Status: 500, Reason: "internal error"}, "core: username is empty"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t, start, core.Options{}, func(r *core.ConnectRequest) (core.Identity, error) {
				if r.QueryValue("username") != "" {
					return byQuery(r)
				}
				return tt.accept(r)
			})
			s.app.OnRouteError(func(err error, _ *core.Request) { s.journal.add("error %v", err) })
			conn, err := s.dial(s.ctx, "/", nil)
			if err == nil {
				conn.Drop()
				t.Fatal("the connection was not refused")
			}
			var refused *core.StatusError
			if !errors.As(err, &refused) || *refused != tt.want {
				t.Errorf("got error %v, want %v", err, &tt.want)
			}
			if tt.report != "" {
				s.await("error " + tt.report)
			}
			s.connect("alice", "1")
			if n := s.app.Peers("", "", nil); n != 1 {
				t.Errorf("%d peers are online, want only alice", n)
			}
		})
	}
}

func testBlockingListener(t *testing.T, start Start) {
	release := make(chan struct{})
	s := newServer(t, start, core.Options{}, func(r *core.ConnectRequest) (core.Identity, error) {
		if r.QueryValue("username") == "slow" {
			<-release
		}
		return byQuery(r)
	})
	type result struct {
		conn Client
		err  error
	}
	results := make(chan result)
	const waiting = 10
	for range waiting {
		go func() {
			conn, err := s.dial(s.ctx, "/", url.Values{"username": {"slow"}, "uuid": {"1"}})
			results <- result{conn, err}
		}()
	}
	s.connect("alice", "1").echo("meanwhile")
	close(release)
	for range waiting {
		r := <-results
		if r.err != nil {
			t.Fatal(r.err)
		}
		t.Cleanup(r.conn.Drop)
	}
}

func testClientGivesUp(t *testing.T, start Start) {
	entered, left := make(chan struct{}), make(chan struct{})
	s := newServer(t, start, core.Options{}, func(r *core.ConnectRequest) (core.Identity, error) {
		close(entered)
		select {
		case <-r.Context.Done():
			close(left)
		case <-t.Context().Done():
		}
		return core.Identity{}, core.Reject(403, "too late")
	})
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	result := make(chan error, 1)
	go func() {
		conn, err := s.dial(ctx, "/", nil)
		if err == nil {
			conn.Drop()
		}
		result <- err
	}()
	s.wait("the listener", entered)
	cancel()
	select {
	case err := <-result:
		if err == nil {
			t.Error("dialing succeeded although its context had ended")
		}
	case <-s.ctx.Done():
		t.Fatalf("dialing goes on %v after its context has ended", patience)
	}
	s.wait("the end of the request's context", left)
}
