package coretest

import (
	"context"
	"testing"

	"github.com/protoo-go/protoo/core"
)

var introductionTests = []test{
	{"succeeds", testIntroduction},
	{"fails", testIntroductionFails},
	{"client gives up", testIntroductionGivenUp},
}

// byFirstRequest admits everybody under the name in the data of their first request. release, if it is not nil, makes that wait.
func byFirstRequest(release <-chan struct{}, ended func()) core.Accept {
	return func(*core.ConnectRequest) (core.Identity, error) {
		return core.Identity{Introduction: &core.Introduction{
			Timeout: patience,
			Ended:   ended,
			Accept: func(req *core.Request) (core.Identity, error) {
				if release != nil {
					<-release
				}
				var username string
				if err := req.Bind(&username); err != nil || username == "eve" {
					return core.Identity{}, core.Reject(401, "not you")
				}
				return core.Identity{Username: username, UUID: "1"}, nil
			},
		}}, nil
	}
}

// What follows the first request waits until that is decided about.
func testIntroduction(t *testing.T, start Start) {
	release := make(chan struct{})
	s := newServer(t, start, core.Options{}, byFirstRequest(release, nil))
	conn, err := s.dial(s.ctx, "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Drop)
	c := &client{conn, t, s.ctx}
	c.send(request("/token", "first", "alice"))
	const following = 200 // more than a peer's queue takes
	for i := range following {
		c.send(request("/echo", "echo", i))
	}
	close(release)
	if res := c.receive(); res.ID != "first" || res.Status != 200 || string(res.Data) != `{"username":"alice","uuid":"1"}` {
		t.Errorf("got %s", res.encode())
	}
	for i := range following {
		if res := c.receive(); res.Status != 200 || res.number() != i {
			t.Fatalf("request %d: got %s", i, res.encode())
		}
	}
	if s.app.Peer("alice", "1") == nil {
		t.Error("the peer is not online")
	}
	if err := conn.Close(core.CloseNormal, "bye"); err != nil {
		t.Fatal(err)
	}
	s.await("online alice/1", "disconnect alice/1 1000 bye", "offline alice/1")
}

func testIntroductionFails(t *testing.T, start Start) {
	ended := make(chan struct{})
	s := newServer(t, start, core.Options{}, byFirstRequest(nil, func() { close(ended) }))
	conn, err := s.dial(s.ctx, "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Drop)
	c := &client{conn, t, s.ctx}
	if res := c.call(request("/token", "first", "eve")); res.Status != 401 || res.Reason != "not you" {
		t.Errorf("got %s", res.encode())
	}
	c.wantClosed(4401, "not you")
	s.wait("Ended", ended)
	if n := s.app.Peers("", "", nil); n != 0 {
		t.Errorf("%d peers are online", n)
	}
}

func testIntroductionGivenUp(t *testing.T, start Start) {
	ended := make(chan struct{})
	s := newServer(t, start, core.Options{}, byFirstRequest(nil, func() { close(ended) }))
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	conn, err := s.dial(ctx, "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(core.CloseNormal, "bye"); err != nil {
		t.Fatal(err)
	}
	s.wait("Ended", ended)
	conn.Drop()
}
