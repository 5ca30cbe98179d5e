package webtransport_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/core/coretest"
	"github.com/protoo-go/protoo/transports/webtransport"
)

// TestOwnServer has an HTTP/3 server of the application's own, with a listener and a handler of its own, in front of which there is another.
func TestOwnServer(t *testing.T) {
	app := echo()
	wt := webtransport.New(app, byQuery, webtransport.Options{MaxConnectionsPerAddress: 2})
	mux := http.NewServeMux()
	mux.Handle("/protoo", wt)
	mux.HandleFunc("/page", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "a page") })
	h := &http3.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { mux.ServeHTTP(wrapped{w}, r) })}
	conn := listen(t)
	defer conn.Close()
	l, err := quic.ListenEarly(conn, http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{certificate()}}), quicConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() { served <- wt.ServeListener(h, l) }()
	s := &server{Server: wt, addr: conn.LocalAddr().String(), app: app}

	c := s.joinOurs(t, "alice", nil)
	if got := c.request(t, "/echo", "hello"); got != `"hello"` {
		t.Errorf("got %s", got)
	}
	second := s.joinOurs(t, "bob", nil)
	second.request(t, "/echo", nil)
	_, err = webtransport.Dial(t.Context(), s.url("username=carol&uuid=1"), trusting())
	var refused *core.StatusError
	if want := (core.StatusError{Status: 429, Reason: "too many connections from your address"}); !errors.As(err, &refused) || *refused != want {
		t.Errorf("got %v, want %v", err, &want)
	}
	second.leave()
	eventually(t, "the end of the second", func() bool { return s.Stats().Connections == 1 })
	if got := get(t, s.addr, "/page"); got != "200 a page" {
		t.Errorf("got %q", got)
	}
	if err := wt.Close(); err != nil {
		t.Error(err)
	}
	if end := wait(t, "the end", c.closed); end != (coretest.Closed{Code: 1001, Reason: "shutting down"}) {
		t.Errorf("got %v", end)
	}
	if err := <-served; err != http.ErrServerClosed {
		t.Errorf("ServeListener: %v", err)
	}
	if err := wt.ServeListener(h, l); err != http.ErrServerClosed {
		t.Errorf("ServeListener after Close: %v", err)
	}
	if err := wt.ListenAndServe("127.0.0.1:0", &tls.Config{}); err != http.ErrServerClosed {
		t.Errorf("ListenAndServe after Close: %v", err)
	}
}

// wrapped is what a handler in front may make of a ResponseWriter.
type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// get returns the status and the body that there are at a path.
func get(t *testing.T, addr, path string) string {
	t.Helper()
	transport := &http3.Transport{TLSClientConfig: &tls.Config{RootCAs: roots()}}
	defer transport.Close()
	res, err := (&http.Client{Transport: transport}).Get("https://" + addr + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", res.StatusCode, strings.TrimSpace(string(body)))
}

// TestHandler has requests to the ready-made listener that are not for WebTransport.
func TestHandler(t *testing.T) {
	s := start(t, echo(), byQuery, webtransport.Options{})
	if got := get(t, s.addr, "/protoo"); got != "426 this is a WebTransport endpoint" {
		t.Errorf("got %q", got)
	}
	pages := start(t, echo(), byQuery, webtransport.Options{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "page "+r.URL.Path)
	})})
	if got := get(t, pages.addr, "/index"); got != "200 page /index" {
		t.Errorf("got %q", got)
	}
	if got := webtransport.AltSvc(8443); got != `h3=":8443"; ma=86400` {
		t.Errorf("got %q", got)
	}
	// Over TCP there is nothing to become a session.
	rec := newRecorder()
	r, _ := http.NewRequest(http.MethodConnect, "https://example.com/", nil)
	r.Proto = "webtransport"
	s.ServeHTTP(rec, r)
	if rec.status != 500 {
		t.Errorf("got %d", rec.status)
	}
}

type recorder struct {
	status int
	header http.Header
}

func newRecorder() *recorder { return &recorder{header: make(http.Header)} }

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) Write(b []byte) (int, error) { return len(b), nil }
func (r *recorder) WriteHeader(status int)      { r.status = status }

// connectRequest makes an extended CONNECT request (RFC 9220) with plain HTTP/3, and returns what it is answered with.
func (s *server) connectRequest(t *testing.T, conn *quic.Conn, protocol string, header http.Header) string {
	t.Helper()
	over := (&http3.Transport{EnableDatagrams: true}).NewClientConn(conn)
	return s.connectOver(t, over, protocol, header)
}

func (s *server) connectOver(t *testing.T, over *http3.ClientConn, protocol string, header http.Header) string {
	t.Helper()
	str, err := over.OpenRequestStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	u := &url.URL{Scheme: "https", Host: s.addr, Path: "/"}
	if err := str.SendRequestHeader(&http.Request{Method: http.MethodConnect, Proto: protocol, Host: s.addr, URL: u, Header: header}); err != nil {
		t.Fatal(err)
	}
	res, err := str.ReadResponse()
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode == http.StatusOK {
		return "200"
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", res.StatusCode, strings.TrimSpace(string(body)))
}

func TestRefusals(t *testing.T) {
	s := start(t, echo(), func(*core.ConnectRequest) (core.Identity, error) {
		return core.Identity{Username: "alice", UUID: "1"}, nil
	}, webtransport.Options{Origins: []string{"https://*.example.com"}})
	origin := func(o string) http.Header { return http.Header{"Origin": {o}} }
	for _, tt := range []struct {
		protocol string
		header   http.Header
		want     string
	}{
		{"websocket", http.Header{}, "426 WebSocket is served over HTTP/1.1 only"},
		{"connect-udp", http.Header{}, "426 this is a WebTransport endpoint"},
		{"webtransport", origin("https://evil.example"), "403 Invalid Origin"},
		{"webtransport", origin("https://sub.example.com"), "200"},
		{"webtransport", origin("http://" + s.addr), "200"},
		{"webtransport-h3", http.Header{}, "200"},
		{"webtransport", http.Header{"Wt-Available-Protocols": {`"other", "protoo"`}}, "200"},
	} {
		conn, err := s.dialQUIC(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := s.connectRequest(t, conn, tt.protocol, tt.header); got != tt.want {
			t.Errorf("%s %v: got %q, want %q", tt.protocol, tt.header, got, tt.want)
		}
		_ = conn.CloseWithError(0, "")
	}

	conn, err := s.dialQUIC(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseWithError(0, "") }()
	over := (&http3.Transport{EnableDatagrams: true}).NewClientConn(conn)
	for _, want := range []string{"200", "429 one session in a connection"} {
		if got := s.connectOver(t, over, "webtransport", http.Header{}); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestMalformedOrigin(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	webtransport.New(echo(), byQuery, webtransport.Options{Origins: []string{"["}})
}

// TestGoroutines counts those of ours: a session has one.
func TestGoroutines(t *testing.T) {
	for name, tt := range map[string]struct {
		datagrams bool
		want      int
	}{
		"plain":          {false, 1},
		"with datagrams": {true, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, echo(), byQuery, webtransport.Options{Datagrams: tt.datagrams})
			const sessions = 20
			for i := range sessions {
				s.connect(t, "alice", fmt.Sprint(i)).exchange(t, "hello")
			}
			eventually(t, "rest", func() bool { return ourGoroutines() == tt.want*sessions })
		})
	}
}

// ourGoroutines returns how many goroutines are in a method of Conn's.
func ourGoroutines() int {
	buf := make([]byte, 16<<20)
	n := 0
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(stack, "webtransport.(*Conn).") || strings.Contains(stack, "webtransport.(*inbox).") {
			n++
		}
	}
	return n
}

// TestDatagrams has datagrams go both ways.
func TestDatagrams(t *testing.T) {
	app := echo()
	got := make(chan string, 1)
	app.Message("/cursor", func(req *core.Request, _ core.Next) error {
		select {
		case got <- string(req.Data()):
		default:
		}
		return nil
	})
	s := start(t, app, byQuery, webtransport.Options{Datagrams: true})
	o := trusting()
	o.Datagrams = true
	seen := make(chan string, 1)
	c, err := dialOurs(t.Context(), s.url("username=alice&uuid=1"), o, func(app *core.App) {
		app.Message("/typing", func(req *core.Request, _ core.Next) error {
			select {
			case seen <- string(req.Data()):
			default:
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.leave()
	c.request(t, "/echo", nil)
	peer := app.Peer("alice", "1").Conn().(*webtransport.Conn)
	// They may get lost, so they are sent until they arrive.
	send := func(conn *webtransport.Conn, path, data string, arrived chan string) {
		t.Helper()
		eventually(t, "a datagram", func() bool {
			if err := conn.SendDatagram([]byte(`{"method":"message","path":"` + path + `","id":"d","data":"` + data + `"}`)); err != nil {
				t.Fatal(err)
			}
			select {
			case d := <-arrived:
				if d != `"`+data+`"` {
					t.Errorf("got %s, want %q", d, data)
				}
				return true
			case <-time.After(10 * time.Millisecond):
				return false
			}
		})
	}
	send(c.conn, "/cursor", "3,4", got)
	send(peer, "/typing", "...", seen)
	empty := len(`{"method":"message","path":"/cursor","id":"d","data":""}`)
	send(c.conn, "/cursor", strings.Repeat("x", webtransport.MaxDatagram-3-empty), got)
	if err := c.conn.SendDatagram(make([]byte, webtransport.MaxDatagram-2)); err != webtransport.ErrDatagramTooLarge {
		t.Errorf("got %v", err)
	}

	plain := s.joinOurs(t, "bob", nil)
	if err := plain.conn.SendDatagram([]byte("{}")); err != webtransport.ErrNoDatagrams {
		t.Errorf("got %v", err)
	}
	plain.leave()
	if err := plain.conn.SendDatagram([]byte("{}")); err != core.ErrClosed {
		t.Errorf("got %v", err)
	}
}
