package coretest

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/protoo-go/protoo/core"
)

var slowTests = []test{
	{"closed", testSlowIsClosed},
	{"dropped", testSlowIsDropped},
}

// flood sends numbered requests to alice, who does not read, until there is no room for another, while
// bob is served. The first has the number from; it returns the one after the last that there was room for.
func (s *server) flood(bob *client, from int) int {
	s.t.Helper()
	const size = 32 << 10
	pad := strings.Repeat("x", size)
	for taken := from; taken < MaxUnread/size; taken++ {
		sent, err := s.app.Broadcast("alice", "1", core.NewRequest("message", "/", []any{taken, pad}))
		if err != nil {
			s.t.Fatal(err)
		}
		if sent == 0 {
			return taken
		}
		if taken%20 == 0 {
			bob.echo("others are served")
		}
	}
	s.t.Fatalf("%d bytes were taken for a client that does not read", MaxUnread)
	return 0
}

// receiveFlood receives the requests of a flood with the numbers from and up to the one before to: in order, and whole.
func (c *client) receiveFlood(from, to int) {
	c.t.Helper()
	for i := from; i < to; i++ {
		m := c.receive()
		number, pad := -1, ""
		if err := json.Unmarshal(m.Data, &[]any{&number, &pad}); err != nil || number != i || len(pad) != 32<<10 {
			c.t.Fatalf("the client got %.100s (error %v), want message %d", m.encode(), err, i)
		}
	}
}

func testSlowIsClosed(t *testing.T, start Start) {
	s := newServer(t, start, core.Options{}, byQuery)
	alice, bob := s.connect("alice", "1"), s.connect("bob", "1")
	taken := s.flood(bob, 0)
	if taken == 0 {
		t.Fatal("there was room for nothing")
	}
	if n := s.app.Stats().Slow; n == 0 {
		t.Error("the slow peer was not counted")
	}
	bob.echo("others are served")
	alice.receiveFlood(0, taken)
	alice.wantClosed(core.CloseTryAgainLater, "too slow")
	s.until("offline", func(got []string) bool { return got[len(got)-1] == "offline alice/1" })
}

func testSlowIsDropped(t *testing.T, start Start) {
	s := newServer(t, start, core.Options{DropWhenSlow: true}, byQuery)
	alice, bob := s.connect("alice", "1"), s.connect("bob", "1")
	peer := s.app.Peer("alice", "1")
	big := core.NewRequest("message", "/", strings.Repeat("x", 60<<10))
	ends := []int{s.flood(bob, 0)} // of floods, with what there was room for all the same between them
	var between []*core.Transaction
	for {
		tr := peer.Send(big)
		if res := tr.Final(); res != nil {
			s.final(tr, 503, "peer too slow")
			break
		}
		// The system has taken something from the queue in the meantime.
		between = append(between, tr)
		ends = append(ends, s.flood(bob, ends[len(ends)-1]))
	}

	from := 0
	for i, end := range ends {
		alice.receiveFlood(from, end)
		from = end
		if i < len(between) {
			alice.answer(alice.receive())
			s.final(between[i], 200, "ok")
		}
	}
	alice.echo("not closed")
	tr := peer.Send(big)
	alice.answer(alice.receive())
	s.final(tr, 200, "ok")
	s.await("online alice/1", "online bob/1")
}
