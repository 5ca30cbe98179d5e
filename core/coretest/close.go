package coretest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/protoo-go/protoo/core"
)

var closeTests = []test{
	{"by the server", testServerCloses},
	{"by the client", testClientCloses},
	{"lost", testLost},
	{"by the client while the server sends", testClientClosesWhileServerSends},
	{"by both", testBothClose},
	{"application", testApplicationCloses},
}

// testServerCloses also checks that nothing gets lost that was sent before.
func testServerCloses(t *testing.T, start Start) {
	tests := []struct {
		code   int
		reason string
		want   Closed
	}{
		{0, "", Closed{core.CloseNormal, "normal closure"}},
		{core.CloseGoingAway, "", Closed{core.CloseGoingAway, ""}},
		{core.ClosePolicy, "no", Closed{core.ClosePolicy, "no"}},
		{core.CloseInternalError, "日本", Closed{core.CloseInternalError, "日本"}},
		{3999, "bye", Closed{3999, "bye"}},
		{4999, strings.Repeat("ü", 100), Closed{4999, strings.Repeat("ü", 61)}}, // 123 bytes at most
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.code), func(t *testing.T) {
			s := newServer(t, start, core.Options{}, byQuery)
			const before = 1000
			s.app.Message("/bye", func(req *core.Request, _ core.Next) error {
				for i := range before {
					req.Peer().Send(core.NewRequest("message", "/", i))
				}
				if err := req.Reply(200, "bye"); err != nil {
					t.Error(err)
				}
				return req.Peer().Close(tt.code, tt.reason)
			})
			c := s.connect("alice", "1")
			c.send(request("/bye", "bye", nil))
			for i := range before {
				if m := c.receive(); m.number() != i {
					t.Fatalf("the client got %s, want request %d", m.encode(), i)
				}
			}
			if m := c.receive(); m.Status != 200 || m.ID != "bye" {
				t.Fatalf("the client got %s, want the response", m.encode())
			}
			c.wantClosed(tt.want.Code, tt.want.Reason)
			s.until("offline", func(got []string) bool { return got[len(got)-1] == "offline alice/1" })
		})
	}
}

// testClientCloses also checks that the server takes what was sent before.
func testClientCloses(t *testing.T, start Start) {
	for _, end := range []Closed{
		{core.CloseNormal, ""},
		{core.CloseGoingAway, "leaving"},
		{core.CloseNoStatus, ""},
		{4000, strings.Repeat("日", 41)},
	} {
		t.Run(fmt.Sprint(end.Code), func(t *testing.T) {
			s := newServer(t, start, core.Options{}, byQuery)
			const before = 300
			var handled counter
			all := make(chan struct{})
			s.app.Message("/note", func(req *core.Request, _ core.Next) error {
				n := handled.next()
				if got := string(req.Data()); got != strconv.Itoa(n) {
					t.Errorf("the server got request %s, want %d", got, n)
				}
				if n == before-1 {
					close(all)
				}
				return nil
			})
			c := s.connect("alice", "1")
			tr := s.app.Peer("alice", "1").Send(core.NewRequest("message", "/", nil))
			for i := range before {
				c.send(request("/note", strconv.Itoa(i), i))
			}
			if err := c.Close(end.Code, end.Reason); err != nil {
				t.Fatal(err)
			}
			s.wait("the last request", all)
			s.await("online alice/1", fmt.Sprintf("disconnect alice/1 %d %s", end.Code, end.Reason), "offline alice/1")
			s.final(tr, 410, "peer offline")
			if err := c.Close(core.CloseNormal, "again"); err != nil {
				t.Errorf("the second Close: %v", err)
			}
		})
	}
}

func testLost(t *testing.T, start Start) {
	s := newServer(t, start, core.Options{}, byQuery)
	c := s.connect("alice", "1")
	tr := s.app.Peer("alice", "1").Send(core.NewRequest("message", "/", nil))
	c.Drop()
	got := s.until("offline", func(got []string) bool { return len(got) >= 3 })
	if want := fmt.Sprintf("disconnect alice/1 %d", core.CloseAbnormal); !strings.HasPrefix(got[1], want) || got[2] != "offline alice/1" {
		t.Errorf("got events %q", got)
	}
	s.final(tr, 410, "peer offline")
	if end := c.closed(); end.Code != core.CloseAbnormal {
		t.Errorf("the client: got %v", end)
	}
	s.connect("alice", "1")
}

func testClientClosesWhileServerSends(t *testing.T, start Start) {
	s := newServer(t, start, core.Options{}, byQuery)
	c := s.connect("alice", "1")
	peer := s.app.Peer("alice", "1")
	var sender sync.WaitGroup
	t.Cleanup(sender.Wait)
	sender.Go(func() {
		pending := make(slots, window)
		for i := 0; pending.take(s.ctx); i++ {
			tr := peer.Send(core.NewRequest("message", "/", i)).OnResponse(func(*core.Response) { pending.free() })
			if res := tr.Final(); res != nil && res.Status() == 410 {
				return
			}
		}
	})
	for range 10 * window {
		c.answer(c.receive())
	}
	if err := c.Close(4001, "enough"); err != nil {
		t.Fatal(err)
	}
	s.await("online alice/1", "disconnect alice/1 4001 enough", "offline alice/1")
}

func testBothClose(t *testing.T, start Start) {
	s := newServer(t, start, core.Options{}, byQuery)
	for i := range 30 {
		c := s.connect("alice", strconv.Itoa(i))
		peer := s.app.Peer("alice", strconv.Itoa(i))
		var closers sync.WaitGroup
		closers.Go(func() { _ = c.Close(4001, "client") })
		closers.Go(func() { _ = peer.Close(4002, "server") })
		if end := c.closed(); end.Code != 4001 && end.Code != 4002 {
			t.Errorf("the client: got %v", end)
		}
		closers.Wait()
		want := fmt.Sprintf("offline alice/%d", i)
		s.until(want, func(got []string) bool { return got[len(got)-1] == want })
	}
}

func testApplicationCloses(t *testing.T, start Start) {
	s := newServer(t, start, core.Options{GracePeriod: patience}, byQuery)
	var clients []*client
	for i := range 5 {
		clients = append(clients, s.connect("alice", strconv.Itoa(i)))
	}
	if err := s.app.Close(false); err != nil {
		t.Fatal(err)
	}
	for _, c := range clients {
		c.wantClosed(core.CloseGoingAway, "shutting down")
	}
	if n := s.app.Peers("", "", nil); n != 0 {
		t.Errorf("%d peers are still online", n)
	}
	conn, err := s.dial(s.ctx, "/", nil)
	if err == nil {
		conn.Drop()
		t.Fatal("a connection was admitted after Close")
	}
	var refused *core.StatusError
	if want := (core.StatusError{Status: 503, Reason: "shutting down"}); !errors.As(err, &refused) || *refused != want {
		t.Errorf("got error %v, want %v", err, &want)
	}
}
