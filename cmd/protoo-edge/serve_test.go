package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"strings"
	"testing"

	"github.com/protoo-go/protoo/client"
	"github.com/protoo-go/protoo/core"
)

func TestServe(t *testing.T) {
	e := startEdge(t, "--log-level", "debug")
	messages := make(chan *core.Request, 1)
	alice := e.connect(t, "alice", "phone", client.Options{})
	e.connect(t, "bob", "laptop", answering(func(req *core.Request, _ core.Next) error {
		messages <- req
		return req.Reply(200, "read", req.Data())
	}))

	for _, tt := range []struct {
		method, path string
		data         any
		status       int
		reason       string
	}{
		{"message", "/echo", "hello", 200, "OK"},
		{"anything", "/echo/and/below", []int{1}, 200, "OK"},
		{"message", "/echo", nil, 200, "OK"},
		{"message", "/bench/echo", nil, 404, "no handler for message at /bench/echo"},
		{"message", "/users/nobody", nil, 404, "peer not found"},
		{"message", "/users/bob", map[string]string{"text": "hi"}, 200, "read"},
		{"message", "/users/bob/laptop", "hi", 200, "read"},
	} {
		res, err := alice.Send(core.NewRequest(tt.method, tt.path, tt.data)).Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want, _ := json.Marshal(tt.data)
		if tt.data == nil {
			want = nil
		}
		if res.Status() != tt.status || res.Reason() != tt.reason || string(res.Data()) != string(want) {
			t.Errorf("%s %s: got %d %s %s, want %d %s %s",
				tt.method, tt.path, res.Status(), res.Reason(), res.Data(), tt.status, tt.reason, want)
		}
		if strings.HasPrefix(tt.path, "/users/bob") {
			req := <-messages
			if req.OriginalPath() != tt.path || req.Sender() != `{"username":"alice","uuid":"phone"}` {
				t.Errorf("bob got %v from %s", req, req.Sender())
			}
		}
	}

	r := e.stop()
	if r.code != exitOK || !strings.Contains(r.stdout, "\ndevelopment identity: ") {
		t.Errorf("got %+v", r)
	}
	for _, line := range []string{"level=DEBUG msg=online peer=alice/phone", `level=INFO msg="shutting down" peers=2`, "msg=offline peer=bob/laptop"} {
		if !strings.Contains(r.stderr, line) {
			t.Errorf("the log lacks %q:\n%s", line, r.stderr)
		}
	}
}

// TestSessions calls bob, and answers and talks as the path in the first response says.
func TestSessions(t *testing.T) {
	e := startEdge(t)
	rings := make(chan *core.Request, 1)
	inside := make(chan *core.Request, 1)
	alice := e.connect(t, "alice", "phone", client.Options{})
	bob := e.connect(t, "bob", "laptop", answering(func(req *core.Request, _ core.Next) error {
		if req.Method() == "session" {
			rings <- req
			return nil
		}
		inside <- req
		return req.Reply(200, "heard")
	}))
	connecting := make(chan string, 1)
	accepted := make(chan *core.Response, 1)
	go func() {
		res, err := alice.Request(t.Context(), "session", "/sessions/bob/laptop", "offer", client.OnProvisional(func(res *core.Response) {
			var data struct{ SessionPath string }
			if err := res.Bind(&data); err != nil || res.Reason() != "connecting" {
				t.Errorf("got %d %s %s: %v", res.Status(), res.Reason(), res.Data(), err)
			}
			connecting <- data.SessionPath
		}))
		if err != nil {
			t.Error(err)
		}
		accepted <- res
	}()
	path := <-connecting
	ring := <-rings
	if !strings.HasPrefix(path, "/sessions/") || ring.OriginalPath() != path || ring.Data() != `"offer"` {
		t.Errorf("alice has the path %q, bob got %v %s", path, ring, ring.Data())
	}
	if err := ring.Reply(200, "answered", "answer"); err != nil {
		t.Fatal(err)
	}
	if res := <-accepted; res == nil || res.Data() != `"answer"` {
		t.Fatalf("got %v", res)
	}
	if _, err := alice.Request(t.Context(), "message", path, "hello"); err != nil {
		t.Error(err)
	}
	if req := <-inside; req.Data() != `"hello"` {
		t.Errorf("bob got %v %s", req, req.Data())
	}
	if _, err := bob.Request(t.Context(), "end", path, nil); err != nil {
		t.Error(err)
	}
}

func TestIdentity(t *testing.T) {
	e := startEdge(t)
	for _, tt := range []struct {
		query  url.Values
		status int
		reason string
	}{
		{url.Values{"uuid": {"1"}}, 400, "missing username: connect with ?username=NAME&uuid=DEVICE"},
		{url.Values{"username": {"alice"}}, 400, "missing uuid: connect with ?username=NAME&uuid=DEVICE"},
		{url.Values{"username": {""}, "uuid": {"1"}}, 400, "missing username: connect with ?username=NAME&uuid=DEVICE"},
		{url.Values{"username": {strings.Repeat("ä", 129)}, "uuid": {"1"}}, 400, "username has 258 bytes, at most 256 are allowed"},
		{url.Values{"username": {"alice"}, "uuid": {"\xff"}}, 400, "uuid is not valid UTF-8"},
	} {
		_, err := client.Dial(t.Context(), e.url+"?"+tt.query.Encode(), client.Options{})
		var refused *core.StatusError
		if !errors.As(err, &refused) || refused.Status != tt.status || refused.Reason != tt.reason {
			t.Errorf("%v: got %v, want %d %s", tt.query, err, tt.status, tt.reason)
		}
	}
	// What is unusual is not wrong.
	c := e.connect(t, "__proto__", strings.Repeat("/", 256), client.Options{})
	if _, err := c.Request(t.Context(), "message", "/echo", nil); err != nil {
		t.Error(err)
	}
}

func TestGrace(t *testing.T) {
	for grace, want := range map[string]string{"0s": "msg=offline", "10m": "msg=reconnected"} {
		e := startEdge(t, "--grace", grace, "--log-level", "debug")
		c := e.connect(t, "alice", "phone", client.Options{})
		_ = c.Close(core.CloseGoingAway, "reload")
		e.waitForLog(t, `code=1001 reason=reload`)
		e.connect(t, "alice", "phone", client.Options{})
		e.waitForLog(t, want)
	}
}

func TestAddressInUse(t *testing.T) {
	e := startEdge(t)
	got := runCommand(t, "", "--addr", e.addr)
	want := result{exitFailure, "", "protoo-edge: listen tcp " + e.addr + ": bind: address already in use; --addr chooses another address\n"}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestStopsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if code := run(ctx, []string{"--addr", "127.0.0.1:0"}, nil, io.Discard, io.Discard); code != exitOK {
		t.Errorf("got code %d", code)
	}
}
