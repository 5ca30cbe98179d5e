package core

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestNewRequest(t *testing.T) {
	req := NewRequest("message", "/users/alice", map[string]string{"text": "<hi>"})
	if req.Method() != "message" || req.Path() != "/users/alice" || req.OriginalPath() != "/users/alice" || req.BasePath() != "" {
		t.Errorf("got %v, base path %q", req, req.BasePath())
	}
	if req.Data() != `{"text":"<hi>"}` || req.ID() != "" || req.Sender() != "" || req.Ended() {
		t.Errorf("got data %s, id %q, sender %s, ended %v", req.Data(), req.ID(), req.Sender(), req.Ended())
	}
	if req.Peer() != nil || req.App() != nil || req.Context() != context.Background() || len(req.Params()) != 0 || req.Get("x") != nil {
		t.Error("a request that was not received belongs to nobody")
	}
	if req.String() != "message /users/alice" {
		t.Errorf("String: got %q", req.String())
	}
}

func TestRequestSetters(t *testing.T) {
	req := NewRequest("message", "/", nil)
	good, bad := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: got %v", what, err)
		}
	}, func(what string, err error) {
		t.Helper()
		if err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	good("id", req.SetID("a"))
	good("long id", req.SetID(strings.Repeat("x", 128)))
	bad("no id", req.SetID(""))
	bad("id too long", req.SetID(strings.Repeat("x", 129)))
	if req.ID() != strings.Repeat("x", 128) {
		t.Errorf("got id %q", req.ID())
	}

	good("sender", req.SetSender(map[string]int{"n": 1}))
	bad("string as sender", req.SetSender("alice"))
	bad("array as sender", req.SetSender([]int{}))
	bad("function as sender", req.SetSender(func() {}))
	if req.Sender() != `{"n":1}` {
		t.Errorf("got sender %s", req.Sender())
	}
	good("no sender", req.SetSender(nil))
	if req.Sender() != "" {
		t.Errorf("got sender %s after it was removed", req.Sender())
	}

	good("data", req.SetData([]any{1, nil}))
	bad("function as data", req.SetData(func() {}))
	bad("bad JSON as data", req.SetData(JSON("{")))
	if req.Data() != "[1,null]" {
		t.Errorf("got data %s", req.Data())
	}

	good("path", req.SetPath("/a"))
	bad("path without a slash", req.SetPath("a"))
	bad("empty path", req.SetPath(""))
	bad("path too long", req.SetPath("/"+strings.Repeat("x", 2048)))
	if req.Path() != "/a" {
		t.Errorf("got path %q", req.Path())
	}
}

func TestRequestBind(t *testing.T) {
	var v struct{ N int }
	if err := NewRequest("message", "/", JSON(`{"n":7}`)).Bind(&v); err != nil || v.N != 7 {
		t.Errorf("got %+v, %v", v, err)
	}
	for _, data := range []JSON{"", "[]", `{"n":"x"}`} {
		err := NewRequest("message", "/", data).Bind(&v)
		var status *StatusError
		if !errors.As(err, &status) || status.Status != 400 || !strings.HasPrefix(status.Reason, "invalid data: ") {
			t.Errorf("data %s: got %v", data, err)
		}
	}
}

func TestRequestContext(t *testing.T) {
	app := New(Options{GracePeriod: time.Hour})
	var requests []*Request
	app.Use("/", func(req *Request, _ Next) error {
		requests = append(requests, req)
		return nil
	})
	c := dial(t, app, "alice", "1")
	c.receive(ask("/", "1", ""))
	c.receive(ask("/", "2", ""))
	type key struct{}
	child, cancel := context.WithTimeout(context.WithValue(requests[0].Context(), key{}, "x"), time.Hour)
	defer cancel()
	if child.Value(key{}) != "x" {
		t.Error("the derived context has lost its value")
	}
	c.link.Closed(CloseAbnormal, "")
	dial(t, app, "alice", "1")
	for _, ctx := range []context.Context{requests[0].Context(), requests[1].Context(), child} {
		if ctx.Err() != nil {
			t.Error("the context ended with the connection, not with the peer")
		}
	}
	other, cancelOther := context.WithCancel(requests[1].Context())
	cancelOther()
	if other.Err() == nil || requests[1].Context().Err() != nil {
		t.Error("canceling a derived context is not the request's business")
	}
	if err := c.peer().Close(0, ""); err != nil {
		t.Fatal(err)
	}
	for _, ctx := range []context.Context{requests[0].Context(), requests[1].Context(), child} {
		if !errors.Is(ctx.Err(), context.Canceled) {
			t.Errorf("after the peer went offline: got %v", ctx.Err())
		}
	}
}
