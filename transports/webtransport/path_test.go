package webtransport_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/internal/udpproxy"
	"github.com/protoo-go/protoo/transports/webtransport"
)

// through returns a server as it is seen behind a path.
func (s *server) through(t *testing.T, o udpproxy.Options) (*server, *udpproxy.Proxy) {
	t.Helper()
	p, err := udpproxy.New(s.addr, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return &server{Server: s.Server, addr: p.Addr(), app: s.app}, p
}

// exchange has both sides send requests of all lengths to each other, many at a time, and checks that they come whole, in order and
// once. between is called now and then, on the test's goroutine.
func exchange(t *testing.T, s *server, total int, between func(i int)) {
	t.Helper()
	type numbered struct {
		Number int
		Text   string
	}
	text := func(i int) string { return strings.Repeat("x", i*i%3000) }
	var mu sync.Mutex
	next := make(map[string]int)
	receive := func(req *core.Request, _ core.Next) error {
		var n numbered
		if err := req.Bind(&n); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		side := req.Path()
		if n.Number != next[side] || n.Text != text(n.Number) {
			t.Errorf("%s got %d with %d bytes, want %d", side, n.Number, len(n.Text), next[side])
		}
		next[side]++
		return req.Reply(200, "ok", n.Number)
	}
	s.app.Message("/server", receive)
	c := s.joinOurs(t, "alice", func(app *core.App) { app.Message("/client", receive) })
	c.request(t, "/echo", "hello")
	peer := s.app.Peer("alice", "1")
	pending := make(chan *core.Transaction, 64)
	var sending sync.WaitGroup
	sending.Go(func() {
		defer close(pending)
		for i := range total {
			for path, to := range map[string]*core.Peer{"/server": c.peer, "/client": peer} {
				req := core.NewRequest("message", path, numbered{i, text(i)})
				req.SetTimeout(time.Minute)
				pending <- to.Send(req)
			}
		}
	})
	i := 0
	for tr := range pending {
		<-tr.Done()
		if res := tr.Final(); res.Status() != 200 || string(res.Data()) != fmt.Sprint(i/2) {
			t.Errorf("request %d: got %d %s %s", i/2, res.Status(), res.Reason(), res.Data())
		}
		if i++; between != nil {
			between(i)
		}
	}
	sending.Wait()
	if next["/server"] != total || next["/client"] != total {
		t.Errorf("got %v, want %d each", next, total)
	}
}

// TestLossyPath has packets get lost, and late.
func TestLossyPath(t *testing.T) {
	for _, loss := range []float64{0.01, 0.05} {
		t.Run(fmt.Sprint(loss), func(t *testing.T) {
			t.Parallel()
			s, p := start(t, echo(), byQuery, webtransport.Options{}).through(t, udpproxy.Options{Loss: loss, Delay: 20 * time.Millisecond})
			exchange(t, s, 600, nil)
			passed, lost := p.Counts()
			t.Logf("%d packets passed, %d were lost", passed, lost)
			if lost == 0 {
				t.Error("nothing was lost on the way")
			}
		})
	}
}

// TestMigration has the client's address change while there are messages on their way: twice, for the third time it is
// lost, because quic-go v0.64.1 has no connection ID left then that it could use for another path.
func TestMigration(t *testing.T) {
	behind := start(t, echo(), byQuery, webtransport.Options{CheckInterval: 50 * time.Millisecond})
	s, p := behind.through(t, udpproxy.Options{Delay: 5 * time.Millisecond})
	moves := 0
	exchange(t, s, 1000, func(i int) {
		if i%700 == 0 {
			if err := p.Rebind(); err != nil {
				t.Error(err)
			}
			moves++
		}
	})
	eventually(t, "the server's notice", func() bool { return behind.Stats().Migrations > 0 })
	if moves != 2 {
		t.Errorf("the client has moved %d times", moves)
	}
}

// TestRestart has a server go without a word, and another come in its place that has the same secret: the client need not wait until it
// has heard nothing for long.
func TestRestart(t *testing.T) {
	o := webtransport.Options{Secret: []byte("the same")}
	old := start(t, echo(), byQuery, o)
	s, p := old.through(t, udpproxy.Options{})
	c := s.connect(t, "alice", "1")
	c.exchange(t, "hello")
	if err := p.Redirect(start(t, echo(), byQuery, o).addr); err != nil {
		t.Fatal(err)
	}
	if err := c.write(text(echoRequest("lost"))); err != nil {
		t.Fatal(err)
	}
	wait(t, "the end", c.quic.Context().Done())
	if _, ok := errors.AsType[*quic.StatelessResetError](context.Cause(c.quic.Context())); !ok {
		t.Errorf("the connection ended with %v", context.Cause(c.quic.Context()))
	}
}

// TestMigrationLimit has clients move to an address that has no room for them.
func TestMigrationLimit(t *testing.T) {
	g := webtransport.NewGate(2)
	a, b := g.Enter("192.0.2.1:1000"), g.Enter("192.0.2.1:1001")
	c := g.Enter("192.0.2.2:1000")
	if a == nil || b == nil || c == nil || g.Enter("192.0.2.1:1002") != nil {
		t.Fatal("the limit is not two")
	}
	if c.Moved("192.0.2.1:1003") {
		t.Error("there was room for a third")
	}
	if !a.Moved("192.0.2.1:1004") {
		t.Error("another port is another address")
	}
	if !a.Moved("192.0.2.2:1004") || !c.Moved("192.0.2.1:1005") {
		t.Error("two could not change places")
	}
	for _, v := range []*webtransport.Visitor{a, b, c} {
		v.Leave()
	}
	if a.Moved("192.0.2.3:1"); g.Addresses() != 0 {
		t.Errorf("%d addresses are left", g.Addresses())
	}
}
