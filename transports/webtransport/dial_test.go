package webtransport_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/core/coretest"
	"github.com/protoo-go/protoo/transports/webtransport"
)

// ours is a client that Dial has made: an application of its own whose only peer is the server.
type ours struct {
	conn   *webtransport.Conn
	app    *core.App
	peer   *core.Peer
	closed chan coretest.Closed // how the connection has ended
	ran    chan struct{}        // closed when Run has returned
}

func (s *server) url(query string) string { return "https://" + s.addr + "/protoo?" + query }

func trusting() webtransport.DialOptions {
	return webtransport.DialOptions{TLS: &tls.Config{RootCAs: roots()}}
}

func dialOurs(ctx context.Context, url string, o webtransport.DialOptions, routes func(*core.App)) (*ours, error) {
	conn, err := webtransport.Dial(ctx, url, o)
	if err != nil {
		return nil, err
	}
	c := &ours{conn: conn, app: core.New(core.Options{TrustSender: true}), closed: make(chan coretest.Closed, 1), ran: make(chan struct{})}
	if routes != nil {
		routes(c.app)
	}
	c.app.OnOnline(func(p *core.Peer) {
		c.peer = p
		p.OnDisconnect(func(code int, reason string) { c.closed <- coretest.Closed{Code: code, Reason: reason} })
	})
	link, err := c.app.Connect(core.Identity{Username: "server", UUID: "1"}, conn)
	if err != nil {
		return nil, err
	}
	go func() {
		defer close(c.ran)
		conn.Run(link)
	}()
	return c, nil
}

// joinOurs connects, and closes the connection with the test.
func (s *server) joinOurs(t *testing.T, username string, routes func(*core.App)) *ours {
	t.Helper()
	c, err := dialOurs(t.Context(), s.url("uuid=1&username="+username), trusting(), routes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.leave() })
	return c
}

func (c *ours) leave() {
	_ = c.conn.Close(core.CloseNormal, "")
	<-c.ran
}

// request sends a request and returns the data of the answer.
func (c *ours) request(t *testing.T, path string, data any) core.JSON {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req := core.NewRequest("message", path, data)
	req.SetTimeout(time.Minute)
	res, err := c.peer.Send(req).Wait(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if res.Status() != 200 {
		t.Fatalf("got %d %s", res.Status(), res.Reason())
	}
	return res.Data()
}

func wait[T any](t testing.TB, what string, events <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-events:
	case <-time.After(time.Minute):
		t.Fatalf("%s: not within a minute", what)
	}
	return v
}

func TestDial(t *testing.T) {
	app := echo()
	ends := make(chan coretest.Closed, 1)
	app.OnOnline(func(p *core.Peer) {
		p.OnDisconnect(func(code int, reason string) { ends <- coretest.Closed{Code: code, Reason: reason} })
	})
	requests := make(chan *core.ConnectRequest, 1)
	s := start(t, app, func(r *core.ConnectRequest) (core.Identity, error) {
		requests <- r
		return byQuery(r)
	}, webtransport.Options{})
	o := trusting()
	o.Header = http.Header{"Authorization": {"Bearer good"}}
	c, err := dialOurs(t.Context(), s.url("username=alice&uuid=1"), o, func(app *core.App) {
		app.Message("/twice", func(req *core.Request, _ core.Next) error { return req.Reply(200, "ok", string(req.Data()+req.Data())) })
	})
	if err != nil {
		t.Fatal(err)
	}
	r := <-requests
	if r.Transport != "wt" || !r.Secure || r.Path != "/protoo" || r.HeaderValue("Authorization") != "Bearer good" || r.Raw == nil {
		t.Errorf("got %+v", r)
	}
	if got := c.conn.String(); got != "wt/"+s.addr {
		t.Errorf("connected to %q, want wt/%s", got, s.addr)
	}
	for _, size := range []int{0, 1, 1000, 60000} {
		text := strings.Repeat("x", size)
		if got := c.request(t, "/echo", text); string(got) != `"`+text+`"` {
			t.Errorf("got %.100s", got)
		}
	}
	res, err := app.Peer("alice", "1").Send(core.NewRequest("message", "/twice", 1)).Wait(t.Context())
	if err != nil || res.Data() != `"11"` {
		t.Errorf("got %v, %v", res, err)
	}
	c.leave()
	if end := wait(t, "the client's end", c.closed); end != (coretest.Closed{Code: core.CloseNormal}) {
		t.Errorf("the client ended with %v", end)
	}
	if end := wait(t, "the server's end", ends); end != (coretest.Closed{Code: core.CloseNormal}) {
		t.Errorf("the server ended with %v", end)
	}
	if err := c.conn.Send([]byte("late")); err != core.ErrClosed {
		t.Errorf("sending afterwards: %v", err)
	}
}

// TestCloseCodes has codes and reasons go both ways, also when much is on its way at the same time.
func TestCloseCodes(t *testing.T) {
	for _, end := range []coretest.Closed{
		{Code: core.CloseNormal, Reason: "normal closure"},
		{Code: core.CloseGoingAway, Reason: ""},
		{Code: core.CloseOnlineElsewhere, Reason: "日本"},
		{Code: 4403, Reason: strings.Repeat("ü", 61)},
	} {
		for _, busy := range []bool{false, true} {
			app := echo()
			ends := make(chan coretest.Closed, 1)
			app.OnOnline(func(p *core.Peer) {
				p.OnDisconnect(func(code int, reason string) { ends <- coretest.Closed{Code: code, Reason: reason} })
			})
			s := start(t, app, byQuery, webtransport.Options{})
			talk := func(conn core.Conn) {
				for i := range 200 * boolInt(busy) {
					_ = conn.Send([]byte(`{"status":200,"reason":"` + strings.Repeat("x", i) + `","id":"none"}`))
				}
			}

			c := s.joinOurs(t, "alice", nil)
			c.request(t, "/echo", nil)
			peer := app.Peer("alice", "1")
			talk(peer.Conn())
			if err := peer.Conn().Close(end.Code, end.Reason); err != nil {
				t.Fatal(err)
			}
			if got := wait(t, "the client's end", c.closed); got != end {
				t.Errorf("the client got %v, want %v", got, end)
			}
			wait(t, "the end of Run", c.ran)
			if got := wait(t, "the server's end", ends); got != end {
				t.Errorf("the server got %v, want %v", got, end)
			}

			c = s.joinOurs(t, "bob", nil)
			c.request(t, "/echo", nil)
			talk(c.conn)
			if err := c.conn.Close(end.Code, end.Reason); err != nil {
				t.Fatal(err)
			}
			if got := wait(t, "the server's end", ends); got != end {
				t.Errorf("the server got %v, want %v", got, end)
			}
			wait(t, "the end of Run", c.ran)
		}
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestDialRefused(t *testing.T) {
	s := start(t, echo(), func(*core.ConnectRequest) (core.Identity, error) {
		return core.Identity{}, core.Reject(401, "who are you?")
	}, webtransport.Options{})
	_, err := webtransport.Dial(t.Context(), s.url(""), trusting())
	var refused *core.StatusError
	if !errors.As(err, &refused) || *refused != (core.StatusError{Status: 401, Reason: "who are you?"}) {
		t.Errorf("got %v", err)
	}
}

// TestCertificateHash has servers with certificates that nobody has signed.
func TestCertificateHash(t *testing.T) {
	now := time.Now()
	good := newCertificate(now.Add(-time.Hour), now.Add(time.Hour))
	other := newCertificate(now.Add(-time.Hour), now.Add(time.Hour))
	hash := func(c tls.Certificate) [sha256.Size]byte { return sha256.Sum256(c.Certificate[0]) }
	tests := []struct {
		name   string
		server tls.Certificate
		hashes [][sha256.Size]byte
		ok     bool
	}{
		{"pinned", good, [][sha256.Size]byte{hash(good)}, true},
		{"one of two", good, [][sha256.Size]byte{hash(other), hash(good)}, true},
		{"another", other, [][sha256.Size]byte{hash(good)}, false},
		{"expired", newCertificate(now.Add(-2*time.Hour), now.Add(-time.Minute)), nil, false},
		{"not yet", newCertificate(now.Add(time.Hour), now.Add(2*time.Hour)), nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.hashes == nil {
				tt.hashes = [][sha256.Size]byte{hash(tt.server)}
			}
			s := &server{Server: webtransport.New(echo(), byQuery, webtransport.Options{})}
			conn := listen(t)
			s.addr = conn.LocalAddr().String()
			served := make(chan error, 1)
			go func() { served <- s.Serve(conn, &tls.Config{Certificates: []tls.Certificate{tt.server}}) }()
			t.Cleanup(func() {
				_ = s.Close()
				if err := <-served; err != http.ErrServerClosed {
					t.Error(err)
				}
			})
			c, err := dialOurs(t.Context(), s.url("username=alice&uuid=1"), webtransport.DialOptions{CertificateHashes: tt.hashes}, nil)
			if tt.ok {
				if err != nil {
					t.Fatal(err)
				}
				c.request(t, "/echo", nil)
				c.leave()
				return
			}
			if err == nil {
				c.leave()
			}
			if !errors.Is(err, webtransport.ErrCertificate) {
				t.Errorf("got %v, want %v", err, webtransport.ErrCertificate)
			}
		})
	}
	t.Run("without hashes", func(t *testing.T) {
		s := start(t, echo(), byQuery, webtransport.Options{})
		_, err := webtransport.Dial(t.Context(), s.url(""), webtransport.DialOptions{})
		if _, ok := errors.AsType[x509.UnknownAuthorityError](err); !ok {
			t.Errorf("got %v", err)
		}
	})
}

// TestDialGivesUp makes sure that a context ends what it is given to.
func TestDialGivesUp(t *testing.T) {
	s := start(t, echo(), func(r *core.ConnectRequest) (core.Identity, error) {
		<-r.Context.Done()
		return core.Identity{}, core.Reject(403, "too late")
	}, webtransport.Options{})
	silent := listen(t)
	defer silent.Close()
	for _, addr := range []string{s.addr, silent.LocalAddr().String()} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err := webtransport.Dial(ctx, "https://"+addr+"/", trusting())
		if err != context.DeadlineExceeded {
			t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
		}
		cancel()
	}
	for _, bad := range []string{"http://" + s.addr, "https://127.0.0.1:port/", "https://127.0.0.1:70000/", "https://[::1/", "https:///"} {
		if _, err := webtransport.Dial(t.Context(), bad, trusting()); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}

// TestSharedSocket has many connections at one time, from one port.
func TestSharedSocket(t *testing.T) {
	var mu sync.Mutex
	from := make(map[string]int)
	s := start(t, echo(), func(r *core.ConnectRequest) (core.Identity, error) {
		mu.Lock()
		defer mu.Unlock()
		from[r.RemoteAddr]++
		return byQuery(r)
	}, webtransport.Options{})
	var clients []*ours
	for name := range strings.SplitSeq("abcdefgh", "") {
		clients = append(clients, s.joinOurs(t, name, nil))
	}
	for _, c := range clients {
		c.request(t, "/echo", nil)
	}
	if len(from) != 1 {
		t.Errorf("connections came from %v, want one address", from)
	}
}

// TestNames has a server that one of a name's addresses does not lead to, as for "localhost" it often is.
func TestNames(t *testing.T) {
	s := start(t, echo(), byQuery, webtransport.Options{})
	o := trusting()
	o.TLS.ServerName = "127.0.0.1" // what the certificate is for
	u, err := url.Parse(s.url("username=alice&uuid=1"))
	if err != nil {
		t.Fatal(err)
	}
	u.Host = "localhost:" + u.Port()
	c, err := dialOurs(t.Context(), u.String(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.request(t, "/echo", nil)
	c.leave()
}
