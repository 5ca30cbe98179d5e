package websocket_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/core/coretest"
	"github.com/protoo-go/protoo/transports/websocket"
)

func TestMain(m *testing.M) { coretest.Main(m) }

// A path is a way in which a server can serve connections: all tests of its
// behaviour run over each.
type path struct {
	name    string
	options websocket.Options
	tls     bool
	ours    bool               // connections come from a NewListener
	http    func(*http.Server) // changes the server before it starts; nil for nothing

	listen func(net.Listener) net.Listener // changes the listener, below ours; nil for nothing
}

var paths = []path{
	{name: "events"},
	{name: "goroutines", options: websocket.Options{Goroutines: true}},
	{name: "tls", tls: true},
	{name: "tls events", tls: true, ours: true},
}

// server is a websocket.Server in an http.Server.
type server struct {
	url     string // ws://127.0.0.1:port
	handler *websocket.Server
	tls     *tls.Config // of clients; nil for plain connections

	requests atomic.Int64 // connections that http.Server has
}

// idle tells whether http.Server has no connection, but for those that are ours now.
func (s *server) idle() bool { return s.requests.Load() == 0 }

// certificate returns one for 127.0.0.1 whose key is a fast one: there are thousands of handshakes here.
var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		DNSNames:     []string{"example.com"}, // what httptest's clients ask for
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

func start(t testing.TB, p path, app *core.App, accept core.Accept) *server {
	handler := websocket.New(app, accept, p.options)
	h := httptest.NewUnstartedServer(handler)
	h.Config.ErrorLog = log.New(io.Discard, "", 0) // clients here break off many a TLS handshake
	if p.http != nil {
		p.http(h.Config)
	}
	if p.listen != nil {
		h.Listener = p.listen(h.Listener)
	}
	if p.ours {
		h.Listener = websocket.NewListener(h.Listener, nil)
	}
	s := &server{handler: handler}
	states := h.Config.ConnState
	h.Config.ConnState = func(conn net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			s.requests.Add(1)
		case http.StateClosed, http.StateHijacked:
			s.requests.Add(-1)
		}
		if states != nil {
			states(conn, state)
		}
	}
	if p.tls {
		h.TLS = &tls.Config{Certificates: []tls.Certificate{certificate()}}
		h.StartTLS()
		s.tls = h.Client().Transport.(*http.Transport).TLSClientConfig
	} else {
		h.Start()
	}
	s.url = "ws" + strings.TrimPrefix(h.URL, "http")
	t.Cleanup(func() {
		if err := handler.Close(); err != nil {
			t.Error(err)
		}
		h.Close()
	})
	return s
}

// client is the other end of a connection, as plain as can be: it reads and writes frames, and leaves it to
// the test which.
type client struct {
	net.Conn
	r *bufio.Reader

	mu sync.Mutex // of writing
}

func (s *server) dial(ctx context.Context, path string, query url.Values, header http.Header) (*client, error) {
	return s.dialWith(ctx, path+"?"+query.Encode(), ws.Dialer{Header: ws.HandshakeHeaderHTTP(header)})
}

func (s *server) dialWith(ctx context.Context, target string, dialer ws.Dialer) (*client, error) {
	dialer.Protocols = []string{websocket.Subprotocol}
	dialer.TLSConfig = s.tls
	var refused *core.StatusError
	dialer.OnStatusError = func(status int, _ []byte, r io.Reader) {
		refused = &core.StatusError{Status: status}
		if res, err := http.ReadResponse(bufio.NewReader(r), nil); err == nil {
			body, _ := io.ReadAll(res.Body)
			refused.Reason = strings.TrimSpace(string(body))
		}
	}
	conn, r, _, err := dialer.Dial(ctx, s.url+target)
	if refused != nil {
		err = refused
	}
	if err != nil {
		if conn != nil {
			_ = conn.Close()
		}
		return nil, err
	}
	if r == nil {
		r = bufio.NewReader(conn)
	}
	return &client{Conn: conn, r: r}, nil
}

// connect dials as a peer, and fails the test if it cannot.
func (s *server) connect(t testing.TB, username, uuid string) *client {
	t.Helper()
	c, err := s.dial(t.Context(), "/", url.Values{"username": {username}, "uuid": {uuid}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return c
}

// dialRaw connects without a handshake.
func (s *server) dialRaw(t testing.TB) *client {
	t.Helper()
	c, err := s.dialBare(s.tls)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	c.r = bufio.NewReaderSize(c, 256)
	return c
}

// dialBare connects without a handshake, over TCP if config is nil. The client has no reader, and is closed by the caller.
func (s *server) dialBare(config *tls.Config) (*client, error) {
	conn, err := net.Dial("tcp", strings.TrimPrefix(strings.TrimPrefix(s.url, "wss://"), "ws://"))
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if config != nil {
		config = config.Clone()
		config.ServerName = "127.0.0.1"
		secure := tls.Client(conn, config)
		if err := secure.Handshake(); err != nil {
			_ = conn.Close()
			return nil, err
		}
		conn = secure
	}
	return &client{Conn: conn}, nil
}

// handshake returns a request for a connection, with more header lines.
func handshake(target string, lines ...string) []byte {
	return []byte("GET " + target + " HTTP/1.1\r\nHost: example.com\r\n" +
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: protoo\r\n" +
		strings.Join(append(lines, "\r\n"), "\r\n"))
}

// response reads the answer to a handshake.
func (c *client) response(t testing.TB) *http.Response {
	t.Helper()
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// switched reads the answer to a handshake, which must be that there is a connection now.
func (c *client) switched(t testing.TB) http.Header {
	t.Helper()
	res := c.response(t)
	if res.StatusCode != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(res.Body)
		t.Fatalf("handshake: got %s, %s", res.Status, body)
	}
	return res.Header
}

// eventually waits for what is bound to come, and that nothing announces.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for wait := time.Millisecond; !done(); wait = min(2*wait, 100*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute", what)
		}
		time.Sleep(wait)
	}
}

func (c *client) write(b []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.Conn.Write(b)
	return err
}

// masked returns a client's frame. first is the byte with the opcode.
func masked(first byte, payload []byte) []byte {
	f := []byte{first}
	switch n := len(payload); {
	case n < 126:
		f = append(f, 0x80|byte(n))
	case n < 1<<16:
		f = binary.BigEndian.AppendUint16(append(f, 0x80|126), uint16(n))
	default:
		f = binary.BigEndian.AppendUint64(append(f, 0x80|127), uint64(n))
	}
	mask := [4]byte{0xa1, 0x02, 0x53, 0xff}
	f = append(f, mask[:]...)
	for i, b := range payload {
		f = append(f, b^mask[i%4])
	}
	return f
}

const final = 0x80

func text(s string) []byte { return masked(final|1, []byte(s)) }

func closing(code int, reason string) []byte {
	if code == core.CloseNoStatus {
		return masked(final|8, nil)
	}
	return masked(final|8, append([]byte{byte(code >> 8), byte(code)}, reason...))
}

// next reads a frame.
func (c *client) next() (first byte, payload []byte, err error) {
	var h [2]byte
	if _, err = io.ReadFull(c.r, h[:]); err != nil {
		return 0, nil, err
	}
	n := uint64(h[1])
	switch n {
	case 126:
		var b [2]byte
		_, err = io.ReadFull(c.r, b[:])
		n = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		_, err = io.ReadFull(c.r, b[:])
		n = binary.BigEndian.Uint64(b[:])
	}
	if err != nil {
		return 0, nil, err
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(c.r, payload)
	return h[0], payload, err
}

// message reads the next message and answers what control frames there are before it. At the end its error is a
// coretest.Closed.
func (c *client) message() ([]byte, error) {
	for {
		first, payload, err := c.next()
		if err != nil {
			return nil, coretest.Closed{Code: core.CloseAbnormal}
		}
		switch first & 0x0f {
		case 1:
			return payload, nil
		case 9:
			_ = c.write(masked(final|10, payload))
		case 8:
			end := coretest.Closed{Code: core.CloseNoStatus}
			if len(payload) >= 2 {
				end = coretest.Closed{Code: int(binary.BigEndian.Uint16(payload)), Reason: string(payload[2:])}
			}
			_ = c.write(masked(final|8, payload))
			_ = c.Conn.Close()
			return nil, end
		}
	}
}

// peer makes a client what the conformance suite wants.
type peer struct {
	*client
	messages chan []byte
	end      error
	done     chan struct{}
	closing  chan struct{}
	once     sync.Once
}

// newPeer reads ahead a little, so that Receive can be given up.
func newPeer(c *client) *peer {
	p := &peer{client: c, messages: make(chan []byte), done: make(chan struct{}), closing: make(chan struct{})}
	go func() {
		defer close(p.done)
		for {
			msg, err := c.message()
			if err != nil {
				p.end = err
				return
			}
			select {
			case p.messages <- msg:
			case <-p.closing:
				p.end = coretest.Closed{Code: core.CloseAbnormal}
				return
			}
		}
	}()
	return p
}

func (p *peer) Send(msg []byte) error { return p.write(masked(final|1, msg)) }

func (p *peer) Receive(ctx context.Context) ([]byte, error) {
	select {
	case msg := <-p.messages:
		return msg, nil
	case <-p.done:
		return nil, p.end
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *peer) Close(code int, reason string) error { return p.write(closing(code, reason)) }

func (p *peer) Drop() {
	p.once.Do(func() { close(p.closing) })
	_ = p.Conn.Close()
}

func TestConformance(t *testing.T) {
	for _, p := range paths {
		t.Run(p.name, func(t *testing.T) {
			coretest.TestTransport(t, func(t *testing.T, app *core.App, accept core.Accept) coretest.Dial {
				s := start(t, p, app, accept)
				return func(ctx context.Context, path string, query url.Values) (coretest.Client, error) {
					c, err := s.dial(ctx, path, query, nil)
					if err != nil {
						return nil, err
					}
					return newPeer(c), nil
				}
			})
		})
	}
}
