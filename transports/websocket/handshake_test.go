package websocket_test

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/websocket"
)

// TestRefusedHandshake has requests that cannot become a connection: nobody is asked about them.
func TestRefusedHandshake(t *testing.T) {
	valid := string(handshake("/"))
	without := func(line string) string {
		for l := range strings.SplitAfterSeq(valid, "\r\n") {
			if strings.HasPrefix(l, line+":") {
				return strings.Replace(valid, l, "", 1)
			}
		}
		panic("no line " + line)
	}
	with := func(line, value string) string {
		return strings.Replace(without(line), "\r\n\r\n", "\r\n"+line+": "+value+"\r\n\r\n", 1)
	}
	and := func(line string) string { return strings.Replace(valid, "\r\n\r\n", "\r\n"+line+"\r\n\r\n", 1) }
	tests := []struct {
		name    string
		request string
		status  int
		reason  string
	}{
		{"no upgrade", without("Upgrade"), 426, "this is a WebSocket endpoint"},
		{"other upgrade", with("Upgrade", "h2c"), 426, "this is a WebSocket endpoint"},
		{"POST", strings.Replace(valid, "GET", "POST", 1), 405, "a WebSocket handshake is a GET"},
		{"empty host", with("Host", ""), 400, "Invalid Host"},
		{"no connection", without("Connection"), 400, "Invalid Connection"},
		{"other connection", with("Connection", "keep-alive"), 400, "Invalid Connection"},
		{"no version", without("Sec-WebSocket-Version"), 426, "Invalid Sec-WebSocket-Version"},
		{"version 8", with("Sec-WebSocket-Version", "8"), 426, "Invalid Sec-WebSocket-Version"},
		{"version 14", with("Sec-WebSocket-Version", "14"), 426, "Invalid Sec-WebSocket-Version"},
		{"no key", without("Sec-WebSocket-Key"), 400, "Invalid Sec-WebSocket-Key"},
		{"empty key", with("Sec-WebSocket-Key", ""), 400, "Invalid Sec-WebSocket-Key"},
		{"key of 15 bytes", with("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25j"), 400, "Invalid Sec-WebSocket-Key"},
		{"key of 17 bytes", with("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZWU="), 400, "Invalid Sec-WebSocket-Key"},
		{"key that is not base64", with("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZ!=="), 400, "Invalid Sec-WebSocket-Key"},
		{"no subprotocol", without("Sec-WebSocket-Protocol"), 403, "Invalid Sec-WebSocket-Protocol"},
		{"other subprotocol", with("Sec-WebSocket-Protocol", "chat, superchat"), 403, "Invalid Sec-WebSocket-Protocol"},
		{"subprotocol in the wrong case", with("Sec-WebSocket-Protocol", "Protoo"), 403, "Invalid Sec-WebSocket-Protocol"},
		{"subprotocol as a part", with("Sec-WebSocket-Protocol", "protoo2"), 403, "Invalid Sec-WebSocket-Protocol"},
		{"foreign origin", and("Origin: https://evil.example"), 403, "Invalid Origin"},
		{"origin null", and("Origin: null"), 403, "Invalid Origin"},
		{"HTTP/1.0", strings.Replace(valid, "HTTP/1.1", "HTTP/1.0", 1), 505, "Invalid HTTP version"},
		{"refused by the application", strings.Replace(valid, "GET /", "GET /refused", 1), 401, "who are you?"},
	}
	s := start(t, paths[0], echo(), func(r *core.ConnectRequest) (core.Identity, error) {
		if r.Path == "/refused" {
			return core.Identity{}, core.Reject(401, "who are you?")
		}
		t.Errorf("asked about %v", r)
		return core.Identity{}, nil
	})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := s.dialRaw(t)
			if err := c.write([]byte(tt.request)); err != nil {
				t.Fatal(err)
			}
			res := c.response(t)
			body, err := io.ReadAll(res.Body)
			if got := strings.TrimSpace(string(body)); res.StatusCode != tt.status || got != tt.reason || err != nil {
				t.Errorf("got %s %q, error %v, want %d %q", res.Status, got, err, tt.status, tt.reason)
			}
			switch tt.status {
			case http.StatusUpgradeRequired:
				if v, u := res.Header.Get("Sec-Websocket-Version"), res.Header.Get("Upgrade"); v != "13" || u != "websocket" {
					t.Errorf("got version %q and upgrade %q, want 13 and websocket", v, u)
				}
			case http.StatusMethodNotAllowed:
				if allow := res.Header.Get("Allow"); allow != http.MethodGet {
					t.Errorf("got Allow %q", allow)
				}
			}
			if _, err := c.r.ReadByte(); err != io.EOF {
				t.Errorf("the connection was not closed: error %v", err)
			}
		})
	}
}

// TestUnreadHandshake has a client that does not read the answer to its handshake. The connection ends all the same.
func TestUnreadHandshake(t *testing.T) {
	app := echo()
	handler := websocket.New(app, byQuery, websocket.Options{CloseTimeout: 50 * time.Millisecond})
	near, far := net.Pipe()
	defer near.Close()
	l := &oneConn{conn: far, end: make(chan struct{})}
	h := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- h.Serve(l) }()
	if _, err := near.Write(handshake("/?username=unread&uuid=1")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the connection", func() bool { n, _, _ := handler.Inside(); return n == 1 })
	eventually(t, "the end of the connection", func() bool { n, _, _ := handler.Inside(); return n == 0 })
	if app.Peer("unread", "1") != nil {
		t.Error("the peer is still online")
	}
	_ = h.Close()
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
	if err := handler.Close(); err != nil {
		t.Error(err)
	}
}

// oneConn is a listener with one connection.
type oneConn struct {
	conn net.Conn
	once sync.Once
	end  chan struct{}
}

func (l *oneConn) Accept() (conn net.Conn, err error) {
	if conn, l.conn = l.conn, nil; conn != nil {
		return conn, nil
	}
	<-l.end
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error {
	l.once.Do(func() { close(l.end) })
	return nil
}

func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

func TestHandshake(t *testing.T) {
	s := start(t, paths[0], echo(), byQuery)
	for i, lines := range [][2]string{
		{},
		{"Upgrade: websocket", "Upgrade: WebSocket"},
		{"Connection: Upgrade", "Connection: keep-alive, upgrade"},
		{"Connection: Upgrade", "Connection: keep-alive\r\nConnection: Upgrade"},
		{"Connection: Upgrade", "Connection: (, upgrade"},
		{"Upgrade: websocket", "Upgrade: h2c, websocket"},
		{"Sec-WebSocket-Protocol: protoo", "Sec-WebSocket-Protocol: (, protoo"},
		{"Sec-WebSocket-Protocol: protoo", "Sec-WebSocket-Protocol: chat, protoo"},
		{"Sec-WebSocket-Protocol: protoo", "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: protoo"},
		{"HTTP/1.1\r\n", "HTTP/1.1\r\nOrigin: http://example.com\r\n"},
		{"HTTP/1.1\r\n", "HTTP/1.1\r\nSec-WebSocket-Extensions: =nonsense;\r\n"},
	} {
		t.Run(lines[1], func(t *testing.T) {
			c := s.dialRaw(t)
			request := strings.Replace(string(handshake(fmt.Sprintf("/?username=h&uuid=%d", i))), lines[0], lines[1], 1)
			if err := c.write([]byte(request)); err != nil {
				t.Fatal(err)
			}
			h := c.switched(t)
			// The key and its answer are the RFC's own example (RFC 6455, section 1.3).
			if got := h.Get("Sec-Websocket-Accept"); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
				t.Errorf("got Sec-WebSocket-Accept %q", got)
			}
			if got := h.Get("Sec-Websocket-Protocol"); got != websocket.Subprotocol {
				t.Errorf("got Sec-WebSocket-Protocol %q", got)
			}
			newZipped(c, "").exchange(t, "hello")
		})
	}
}

func TestOrigin(t *testing.T) {
	tests := []struct {
		origins []string
		origin  string
		allowed bool
	}{
		{nil, "", true},
		{nil, "http://example.com", true},
		{nil, "https://EXAMPLE.com", true},
		{nil, "http://example.com:8080", false},
		{nil, "http://sub.example.com", false},
		{nil, "null", false},
		{nil, "http://[", false},
		{[]string{"*"}, "null", true},
		{[]string{"*"}, "https://evil.example", true},
		{[]string{"https://a.example"}, "https://a.example", true},
		{[]string{"https://a.example"}, "https://A.example", true},
		{[]string{"https://a.example"}, "http://a.example", false},
		{[]string{"https://a.example"}, "https://b.a.example", false},
		{[]string{"https://a.example"}, "https://a.example.evil.example", false},
		{[]string{"https://*.a.example"}, "https://b.a.example", true},
		{[]string{"https://*.a.example"}, "https://b.c.a.example", true},
		{[]string{"https://*.a.example"}, "https://a.example", false},
		{[]string{"https://*.a.example"}, "https://evila.example", false},
		{[]string{"https://*.a.example"}, "https://evil.example/.a.example", false},
		{[]string{"https://*.a.example"}, "https://evil.example?.a.example", false},
		{[]string{"https://*.a.example"}, "https://b.a.example?", true},
		{[]string{"*.a.example"}, "http://b.a.example", true},
		{[]string{"*.a.example"}, "http://evil.example/.a.example", false},
		{[]string{"*.a.example"}, "http://evil.example?.a.example", false},
		{[]string{"b.example", "*.a.example:*"}, "http://b.a.example:8080", true},
		{[]string{"b.example"}, "http://example.com", true},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%v %s", tt.origins, tt.origin), func(t *testing.T) {
			p := paths[0]
			p.options.Origins = tt.origins
			s := start(t, p, echo(), byQuery)
			c := s.dialRaw(t)
			var lines []string
			if tt.origin != "" {
				lines = []string{"Origin: " + tt.origin}
			}
			if err := c.write(handshake("/?username=o&uuid=1", lines...)); err != nil {
				t.Fatal(err)
			}
			want := http.StatusSwitchingProtocols
			if !tt.allowed {
				want = http.StatusForbidden
			}
			if res := c.response(t); res.StatusCode != want {
				t.Errorf("got %s, want %d", res.Status, want)
			}
		})
	}
}

// recommended is what the documentation tells to set in an http.Server. The times are shorter than there.
func recommended(h *http.Server) {
	h.ReadHeaderTimeout = 200 * time.Millisecond
	h.IdleTimeout = 200 * time.Millisecond
	h.MaxHeaderBytes = 16 << 10
}

// TestSlowHandshake has clients that never get to the point. The http.Server ends it.
func TestSlowHandshake(t *testing.T) {
	for _, p := range paths {
		p.http = recommended
		t.Run(p.name, func(t *testing.T) {
			s := start(t, p, echo(), byQuery)
			whole := string(handshake("/?username=s&uuid=1"))
			var clients []*client
			for _, sent := range []string{"", "G", whole[:20], whole[:len(whole)/2], whole[:len(whole)-2]} {
				c := s.dialRaw(t)
				if err := c.write([]byte(sent)); err != nil {
					t.Fatal(err)
				}
				clients = append(clients, c)
			}
			for i, c := range clients {
				// What the server says, if anything, does not matter, but that it ends before a minute is over.
				if _, err := io.Copy(io.Discard, c.r); err != nil {
					t.Errorf("client %d: %v", i, err)
				}
			}
			newZipped(s.join(t), "").exchange(t, "still works")
		})
	}
}

// TestEndlessHeader has clients whose header does not end.
func TestEndlessHeader(t *testing.T) {
	start := func(t *testing.T, p path) *server {
		p.http = func(h *http.Server) {
			recommended(h)
			h.ReadHeaderTimeout = time.Minute // it is not for slowness that they fail
		}
		return start(t, p, echo(), byQuery)
	}
	first, _, _ := strings.Cut(string(handshake("/")), "\r\n\r\n")
	for _, p := range paths {
		for name, more := range map[string]string{
			"lines":       "\r\nX-Line: another",
			"long lines":  "\r\nX-Line: " + strings.Repeat("x", 4000),
			"empty names": "\r\n: x",
			"one line":    strings.Repeat("x", 1000),
		} {
			t.Run(p.name+", "+name, func(t *testing.T) {
				t.Parallel() // the server waits a little before it closes
				c := start(t, p).dialRaw(t)
				go func() {
					b := []byte(first)
					for c.write(b) == nil { // until the server has had enough
						b = []byte(more)
					}
				}()
				status, err := bufio.NewReader(c.r).ReadString('\n')
				if !strings.Contains(status, " 431 ") && !strings.Contains(status, " 400 ") {
					t.Errorf("got %q, error %v, want a refusal", cmp.Or(status, "nothing"), err)
				}
			})
		}
	}
}
