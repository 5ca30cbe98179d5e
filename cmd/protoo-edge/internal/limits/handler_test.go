package limits

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protoo-go/protoo/core"
)

// conn is a connection that keeps what it is sent.
type conn struct {
	link *core.Link
	loop *core.Loop

	mu     sync.Mutex
	sent   []string
	closed []string
}

func (c *conn) Send(msg []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, string(msg))
	return nil
}

func (c *conn) Close(code int, reason string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = append(c.closed, fmt.Sprint(code, " ", reason))
	return nil
}

func (c *conn) Resume()        {}
func (c *conn) String() string { return "test/192.0.2.1:1" }

// take returns what was sent since it was last called.
func (c *conn) take() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	sent := strings.Join(c.sent, "\n")
	c.sent = nil
	return sent
}

func (c *conn) wantClosed(t *testing.T, closes ...string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Equal(c.closed, closes) {
		t.Errorf("closed with %q, want %q", c.closed, closes)
	}
}

func (c *conn) receive(msg string) { c.link.Receive(c.loop, []byte(msg)) }

// edge is an application behind limits, with a transport that connects whoever is let in.
type edge struct {
	app     *core.App
	limits  *Limits
	handler http.Handler
	accept  core.Accept
	conn    *conn // the last
}

func newEdge(o Options) *edge {
	app := core.New(core.Options{})
	e := &edge{app: app, limits: New(app, o)}
	accept := e.limits.Accept(func(r *core.ConnectRequest) (core.Identity, error) {
		if r.QueryValue("username") == "nobody" {
			return core.Identity{}, core.Reject(401, "who?")
		}
		if e.accept != nil {
			return e.accept(r)
		}
		return core.Identity{Username: r.QueryValue("username"), UUID: r.QueryValue("uuid")}, nil
	})
	e.handler = e.limits.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, refused := app.Admit(accept, &core.ConnectRequest{Context: r.Context(), Query: r.URL.Query(), RemoteAddr: r.RemoteAddr, Raw: r})
		if refused != nil {
			http.Error(w, refused.Reason, refused.Status)
			return
		}
		c := &conn{loop: core.NewLoop(func() {})}
		var err error
		if c.link, err = app.Connect(id, c); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		e.conn = c
	}))
	return e
}

// connect returns the status, the reason and Retry-After, or "" when there is a connection.
func (e *edge) connect(from, username, uuid string) (*conn, string) {
	r := httptest.NewRequestWithContext(context.Background(), "GET", "/?"+url.Values{"username": {username}, "uuid": {uuid}}.Encode(), nil)
	r.RemoteAddr = from
	w := httptest.NewRecorder()
	e.handler.ServeHTTP(w, r)
	if w.Code == http.StatusOK {
		return e.conn, ""
	}
	return nil, strings.TrimSpace(fmt.Sprint(w.Code, " ", strings.TrimSpace(w.Body.String()), " ", w.Header().Get("Retry-After")))
}

func (e *edge) want(t *testing.T, from, username, uuid, refusal string) *conn {
	t.Helper()
	c, got := e.connect(from, username, uuid)
	if got != refusal {
		t.Errorf("%s/%s from %s: got %q, want %q", username, uuid, from, got, refusal)
	}
	return c
}

// wantRefused compares the counters that are not zero.
func (e *edge) wantRefused(t *testing.T, want map[Cause]uint64) {
	t.Helper()
	got := e.limits.Stats().Refused
	maps.DeleteFunc(got, func(_ Cause, n uint64) bool { return n == 0 })
	if !maps.Equal(got, want) {
		t.Errorf("refused %v, want %v", got, want)
	}
}

func TestConnections(t *testing.T) {
	e := newEdge(Options{Connections: 3})
	var conns []*conn
	for i := range 3 {
		conns = append(conns, e.want(t, "192.0.2.1:1", "alice", fmt.Sprint(i), ""))
	}
	for range 3 {
		e.want(t, "@", "alice", "3", "503 too many connections 10")
	}
	e.wantRefused(t, map[Cause]uint64{Connections: 3})
	conns[0].link.Closed(1000, "")
	conns = append(conns[1:], e.want(t, "@", "alice", "3", ""))
	e.want(t, "@", "nobody", "", "503 too many connections 10")

	// Options change for whoever comes next, and nobody has to leave.
	e.limits.Set(Options{Connections: 1})
	e.want(t, "@", "alice", "4", "503 too many connections 10")
	e.limits.Set(Options{})
	e.want(t, "@", "nobody", "", "401 who?")
	e.want(t, "@", "nameless", "", "500 internal error")
	if s := e.limits.Stats(); s.Connections != 3 || s.Addresses != 1 {
		t.Errorf("got %+v", s)
	}
	for _, c := range conns {
		c.link.Closed(1000, "")
	}
	if s := e.limits.Stats(); s.Connections != 0 || s.Addresses != 0 {
		t.Errorf("left is %+v", s)
	}
}

func TestConnectionsPerAddress(t *testing.T) {
	o := Options{ConnectionsPerAddress: 2, Exempt: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	const refused = "429 too many connections from your address 10"
	for _, tt := range []struct {
		prefix int
		froms  [4]string // the first three are one address
	}{
		{0, [4]string{"192.0.2.1:1", "192.0.2.1:2", "[::ffff:192.0.2.1]:3", "192.0.2.2:4"}},
		{0, [4]string{"[2001:db8:0:1::1]:1", "[2001:db8:0:1::2]:1", "[2001:db8:0:1:ffff::]:1", "[2001:db8:0:2::1]:1"}},
		{48, [4]string{"[2001:db8:0:1::1]:1", "[2001:db8:0:2::2]:1", "[2001:db8:0:3:ffff::]:1", "[2001:db8:1::1]:1"}},
		{128, [4]string{"[2001:db8::1]:1", "[2001:db8::1]:2", "[2001:db8::1]:3", "[2001:db8::2]:1"}},
	} {
		o.IPv6Prefix = tt.prefix
		e := newEdge(o)
		first := e.want(t, tt.froms[0], "a", "1", "")
		e.want(t, tt.froms[1], "a", "2", "")
		e.want(t, tt.froms[2], "a", "3", refused)
		e.want(t, tt.froms[3], "a", "3", "")
		first.link.Closed(1000, "")
		e.want(t, tt.froms[2], "a", "4", "")
		e.want(t, tt.froms[0], "a", "5", refused)
		e.wantRefused(t, map[Cause]uint64{ConnectionsPerAddress: 2})
	}
	e := newEdge(o)
	for i := range 5 {
		e.want(t, "127.0.0.1:1", "a", fmt.Sprint(i), "")
		e.want(t, "@", "b", fmt.Sprint(i), "")
	}
}

func TestConnectionsPerUser(t *testing.T) {
	e := newEdge(Options{ConnectionsPerUser: 2})
	const refused = "429 too many connections of this user 10"
	first := e.want(t, "@", "alice", "1", "")
	e.want(t, "@", "alice", "2", "")
	e.want(t, "@", "alice", "3", refused)
	e.want(t, "@", "alice", "2", "") // takes itself over
	e.want(t, "@", "bob", "3", "")
	first.link.Closed(1000, "")
	e.want(t, "@", "alice", "3", "")
	e.wantRefused(t, map[Cause]uint64{ConnectionsPerUser: 1})

	// Two that are decided about at the same time: both find room, and none has it.
	id := core.Identity{Username: "carol"}
	var conns []*conn
	for i := range 4 {
		id.UUID = fmt.Sprint(i)
		c := &conn{loop: core.NewLoop(func() {})}
		if _, err := e.app.Connect(id, c); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	conns[1].wantClosed(t)
	conns[2].wantClosed(t, "4429 too many connections of this user")
	conns[3].wantClosed(t, "4429 too many connections of this user")
}

// TestIntroduction has connections say later who they are.
func TestIntroduction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEdge(Options{ConnectionsPerUser: 1, Requests: Rate{PerSecond: 1, Burst: 2}})
		e.want(t, "@", "alice", "1", "")
		e.accept = func(*core.ConnectRequest) (core.Identity, error) {
			return core.Identity{Introduction: &core.Introduction{Accept: func(req *core.Request) (id core.Identity, err error) {
				if req.Method() == "nobody" {
					return id, core.Reject(401, "who?")
				}
				return core.Identity{Username: req.Method(), UUID: "2"}, nil
			}}}, nil
		}
		introduce := func(username string) *conn {
			c := e.want(t, "@", "", "", "")
			c.receive(`{"method":"` + username + `","path":"/","id":1}`)
			synctest.Wait()
			return c
		}
		introduce("nobody").wantClosed(t, "4401 who?")
		introduce("alice").wantClosed(t, "4429 too many connections of this user")

		bob := introduce("bob")
		bob.wantClosed(t)
		for range 3 {
			bob.receive(`{"method":"x","path":"/","id":2}`)
		}
		bob.take()
		bob.link.Closed(1000, "")
		synctest.Wait()
		bob = introduce("bob")
		bob.take()
		bob.receive(`{"method":"x","path":"/","id":3}`)
		if got := bob.take(); !strings.Contains(got, "429") {
			t.Errorf("with a new connection: got %s", got)
		}
	})
}

// TestHandshakes lets time pass until Retry-After.
func TestHandshakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEdge(Options{
			Handshakes:           Rate{PerSecond: 2, Burst: 6},
			HandshakesPerAddress: Rate{PerSecond: 0.5, Burst: 2},
			Exempt:               []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
		})
		const one, all = "429 too many handshakes from your address 2", "503 too many handshakes 1"
		for i := range 3 {
			from := fmt.Sprintf("192.0.2.%d:1", i)
			for range 2 { // those that are refused for another reason count as well
				e.want(t, from, "nobody", "", "401 who?")
			}
			e.want(t, from, "nobody", "", one)
		}
		e.want(t, "192.0.2.9:1", "nobody", "", all)
		e.want(t, "127.0.0.1:1", "nobody", "", "401 who?")
		e.want(t, "@", "nobody", "", "401 who?")
		time.Sleep(time.Second)
		e.want(t, "192.0.2.1:1", "nobody", "", "429 too many handshakes from your address 1")
		e.want(t, "192.0.2.9:1", "nobody", "", "401 who?")
		time.Sleep(time.Second)
		e.want(t, "192.0.2.1:1", "nobody", "", "401 who?")
		e.wantRefused(t, map[Cause]uint64{Handshakes: 1, HandshakesPerAddress: 4})
		if s := e.limits.Stats(); s.Connections != 0 || s.Addresses != 0 {
			t.Errorf("left is %+v", s)
		}
	})
}

// TestTogether has many come and go at once: no limit is ever passed, and nothing is left in the end.
func TestTogether(t *testing.T) {
	l := New(core.New(core.Options{}), Options{Connections: 20, ConnectionsPerAddress: 3})
	var running sync.WaitGroup
	for i := range 16 {
		running.Go(func() {
			for j := range 1000 {
				v, refused := l.enter(fmt.Sprintf("192.0.2.%d:1", (i+j)%9))
				if s := l.Stats(); s.Connections > 20 || s.Addresses > 9 {
					t.Errorf("got %+v", s)
				}
				if refused == nil {
					v.Closed()
					v.Closed() // the second time counts for nothing
				}
			}
		})
	}
	running.Wait()
	if s := l.Stats(); s.Connections != 0 || s.Addresses != 0 {
		t.Errorf("left is %+v", s)
	}
}
