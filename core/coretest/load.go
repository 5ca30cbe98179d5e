package coretest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/protoo-go/protoo/core"
)

var loadTests = []test{
	{"many connections", testManyConnections},
}

// testManyConnections has clients come and go at random, some of them with the same identity.
func testManyConnections(t *testing.T, start Start) {
	const connections, identities = 200, 150
	s := newServer(t, start, core.Options{}, byQuery)
	s.app.Message("/bye", func(req *core.Request, _ core.Next) error {
		return req.Peer().Close(core.CloseNormal, "bye")
	})
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var running sync.WaitGroup
	var visits counter
	for i := range connections {
		running.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(i)))
			for range 1 + random.IntN(4) {
				if err := s.visit(random, visits.next(), strconv.Itoa(random.IntN(identities))); err != nil {
					t.Errorf("connection %d: %v", i, err)
				}
			}
		})
	}
	running.Wait()
	s.until("everybody is offline again", func(events []string) bool {
		online, offline := 0, 0
		for _, event := range events {
			switch {
			case strings.HasPrefix(event, "online"):
				online++
			case strings.HasPrefix(event, "offline"):
				offline++
			}
		}
		return online > 0 && online == offline
	})
}

// visit connects, sends some requests and leaves, unless another connection takes its place.
func (s *server) visit(random *rand.Rand, visit int, username string) error {
	conn, err := s.dial(s.ctx, "/", url.Values{"username": {username}, "uuid": {"1"}})
	if err != nil {
		return err
	}
	defer conn.Drop()
	c := &client{conn, s.t, s.ctx}
	for i := range random.IntN(20) {
		want := request("/echo", fmt.Sprintf("%d of %d", i, visit), i)
		_ = c.Send(want.encode()) // fails if the connection is closed; next says why
		m, err := c.next()
		for err == nil && !strings.HasSuffix(m.ID, fmt.Sprintf(" of %d", visit)) {
			m, err = c.next() // the answer to another connection, whose place this one has taken
		}
		if err != nil {
			return replaced(err)
		}
		if m.ID != want.ID || m.number() != i {
			return fmt.Errorf("got %s in answer to %s", m.encode(), want.encode())
		}
	}
	switch random.IntN(4) {
	case 0:
		_ = c.Close(core.CloseNormal, "done")
	case 1:
		_ = c.Send(request("/bye", "bye", nil).encode())
		for err == nil {
			_, err = c.next()
		}
		return replaced(err)
	case 2:
		_ = c.Send(request("/echo", "unread", nil).encode())
	}
	return nil
}

// replaced returns nil if err is the end of a connection that the server has closed in good order.
func replaced(err error) error {
	var end Closed
	if errors.As(err, &end) && (end == Closed{core.CloseOnlineElsewhere, "online elsewhere"} || end == Closed{core.CloseNormal, "bye"}) {
		return nil
	}
	return fmt.Errorf("got error %w", err)
}
