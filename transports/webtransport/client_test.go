package webtransport_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"
	library "github.com/quic-go/webtransport-go"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/core/coretest"
	"github.com/protoo-go/protoo/transports/webtransport"
)

func TestMain(m *testing.M) { coretest.Main(m) }

// certificate returns one for 127.0.0.1.
var certificate = sync.OnceValue(func() tls.Certificate {
	return newCertificate(time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour))
})

func newCertificate(from, until time.Time) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:    from,
		NotAfter:     until,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// roots is a client's trust in certificate.
func roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(certificate().Leaf)
	return pool
}

// server is a webtransport.Server on a port of its own.
type server struct {
	*webtransport.Server
	addr string // 127.0.0.1:port
	app  *core.App
}

func byQuery(r *core.ConnectRequest) (core.Identity, error) {
	return core.Identity{Username: r.QueryValue("username"), UUID: r.QueryValue("uuid")}, nil
}

// echo returns an application that answers with the request's data.
func echo() *core.App {
	app := core.New(core.Options{})
	app.Message("/echo", func(req *core.Request, _ core.Next) error { return req.Reply(200, "ok", req.Data()) })
	return app
}

func start(t testing.TB, app *core.App, accept core.Accept, o webtransport.Options) *server {
	t.Helper()
	s := &server{Server: webtransport.New(app, accept, o), app: app}
	s.serve(t)
	return s
}

func (s *server) serve(t testing.TB) {
	t.Helper()
	conn := listen(t)
	s.addr = conn.LocalAddr().String()
	served := make(chan error, 1)
	go func() {
		served <- s.Serve(conn, &tls.Config{Certificates: []tls.Certificate{certificate()}})
	}()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != http.ErrServerClosed {
			t.Errorf("Serve: %v", err)
		}
	})
}

func listen(t testing.TB) net.PacketConn {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return conn
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

// client is the other end of a session, as plain as can be: it reads and writes frames, and leaves it to
// the test which.
type client struct {
	*library.Session
	quic   *quic.Conn
	stream *library.Stream
	r      *bufio.Reader

	mu sync.Mutex // of writing
}

// quicConfig has windows that are small beside the server's queues: what a client does not read has to wait there.
var quicConfig = &quic.Config{
	HandshakeIdleTimeout:             time.Minute,
	InitialStreamReceiveWindow:       64 << 10,
	MaxStreamReceiveWindow:           64 << 10,
	InitialConnectionReceiveWindow:   128 << 10,
	MaxConnectionReceiveWindow:       128 << 10,
	EnableDatagrams:                  true,
	EnableStreamResetPartialDelivery: true,
}

// handshakes is how many are made at one time: on a slow machine, more would take longer than a server has patience.
var handshakes = make(chan struct{}, 8)

// dialQUIC connects, and no more.
func (s *server) dialQUIC(ctx context.Context) (*quic.Conn, error) {
	handshakes <- struct{}{}
	defer func() { <-handshakes }()
	config := &tls.Config{RootCAs: roots(), NextProtos: []string{http3.NextProtoH3}}
	// A burst of clients can overrun the queue of the server, which refuses them then.
	for {
		conn, err := quic.DialAddr(ctx, s.addr, config, quicConfig)
		if e, ok := err.(*quic.TransportError); ok && e.ErrorCode == quic.ConnectionRefused && s.Stats().Refused == 0 && ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		return conn, err
	}
}

// open makes a session, without a stream.
func (s *server) open(ctx context.Context, target string, header http.Header) (*client, error) {
	conn, err := s.dialQUIC(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.CloseWithError(0, "given up") })
	defer stop()
	transport := &library.Transport{ApplicationProtocols: []string{webtransport.Protocol}}
	over, err := transport.NewClientConn(conn)
	if err != nil {
		return nil, err
	}
	res, session, err := over.Dial(ctx, "https://"+s.addr+target, header)
	if err != nil {
		if res != nil {
			body, _ := io.ReadAll(res.Body)
			err = &core.StatusError{Status: res.StatusCode, Reason: strings.TrimSpace(string(body))}
		}
		_ = conn.CloseWithError(0, "")
		return nil, err
	}
	return &client{Session: session, quic: conn}, nil
}

// begin opens the stream.
func (c *client) begin() error {
	stream, err := c.OpenStream()
	if err != nil {
		return err
	}
	c.stream, c.r = stream, bufio.NewReader(stream)
	return c.write(encode(9, nil)) // or the server would not see it
}

func (s *server) dial(ctx context.Context, path string, query url.Values) (*client, error) {
	c, err := s.open(ctx, path+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	if err := c.begin(); err != nil {
		c.drop()
		return nil, err
	}
	return c, nil
}

// connect dials as a peer, and fails the test if it cannot.
func (s *server) connect(t testing.TB, username, uuid string) *client {
	t.Helper()
	c, err := s.dial(t.Context(), "/", url.Values{"username": {username}, "uuid": {uuid}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.drop)
	_ = c.stream.SetReadDeadline(time.Now().Add(time.Minute))
	return c
}

// drop ends the connection as something that fails does.
func (c *client) drop() {
	_ = c.quic.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeInternalError), "dropped")
}

// leave ends the connection as a client does that has nothing to ask any more.
func (c *client) leave() {
	_ = c.quic.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
}

// encode returns a frame.
func encode(op byte, payload []byte) []byte {
	return append(quicvarint.Append([]byte{op}, uint64(len(payload))), payload...)
}

func text(s string) []byte { return encode(1, []byte(s)) }

func closing(code int, reason string) []byte {
	if code == core.CloseNoStatus {
		return encode(8, nil)
	}
	return encode(8, append([]byte{byte(code >> 8), byte(code)}, reason...))
}

func (c *client) write(b []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.stream.Write(b)
	return err
}

// next reads a frame.
func (c *client) next() (op byte, payload []byte, err error) {
	if op, err = c.r.ReadByte(); err != nil {
		return 0, nil, err
	}
	n, err := quicvarint.Read(c.r)
	if err != nil {
		return 0, nil, err
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(c.r, payload)
	return op, payload, err
}

// echoRequest returns a request that is answered with its own data, a string that needs no escapes.
func echoRequest(data string) string {
	return `{"method":"message","path":"/echo","id":"1","data":"` + data + `"}`
}

func echoResponse(data string) string {
	return `{"status":200,"reason":"ok","id":"1","data":"` + data + `"}`
}

// exchange makes sure that the server answers.
func (c *client) exchange(t testing.TB, data string) {
	t.Helper()
	if err := c.write(text(echoRequest(data))); err != nil {
		t.Fatal(err)
	}
	c.want(t, 1, echoResponse(data))
}

// want reads the next frame, but for the answer to the ping that the client began with.
func (c *client) want(t testing.TB, op byte, payload string) {
	t.Helper()
	for {
		gotOp, got, err := c.next()
		if err != nil {
			t.Fatalf("got error %v, want frame %d %.100q", err, op, payload)
		}
		if gotOp == 10 && len(got) == 0 && op != 10 {
			continue
		}
		if gotOp != op || string(got) != payload {
			t.Fatalf("got frame %d %.100q, want %d %.100q", gotOp, got, op, payload)
		}
		return
	}
}

// wantClosed reads until a close frame, answers it, and wants the session's end to say the same.
func (c *client) wantClosed(t testing.TB, code int, reason string) {
	t.Helper()
	want := coretest.Closed{Code: code, Reason: reason}
	for {
		_, err := c.message()
		if err == nil {
			continue
		}
		if err != want {
			t.Fatalf("got %v, want %v", err, want)
		}
		return
	}
}

// sessionEnd waits for the session's end and returns what it says.
func (c *client) sessionEnd(t testing.TB) coretest.Closed {
	t.Helper()
	wait(t, "the session's end", c.Context().Done())
	_, err := c.AcceptStream(t.Context()) // the context does not know
	end, _ := c.verdict(err).(coretest.Closed)
	return end
}

// message reads the next message. At the end its error is a coretest.Closed, and the connection is closed.
func (c *client) message() ([]byte, error) {
	for {
		op, payload, err := c.next()
		if err != nil {
			return nil, c.verdict(err)
		}
		switch op {
		case 1:
			return payload, nil
		case 8:
			end := coretest.Closed{Code: core.CloseNoStatus}
			if len(payload) >= 2 {
				end = coretest.Closed{Code: int(binary.BigEndian.Uint16(payload)), Reason: string(payload[2:])}
			}
			_ = c.write(closing(end.Code, ""))
			_ = c.stream.Close()
			_, _ = io.Copy(io.Discard, c.r) // the end of the session, or of the stream
			c.leaveWhenDone()
			return nil, end
		}
	}
}

// leaveWhenDone waits for the server to end the session, so that nothing that is on its way to it gets lost.
func (c *client) leaveWhenDone() {
	select {
	case <-c.Context().Done():
	case <-time.After(time.Minute):
	}
	c.leave()
}

// verdict says how a stream has ended that has failed.
func (c *client) verdict(err error) error {
	if e, ok := errors.AsType[*library.SessionError](err); ok && e.Remote {
		return coretest.Closed{Code: int(e.ErrorCode), Reason: e.Message}
	}
	return coretest.Closed{Code: core.CloseAbnormal}
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

func (p *peer) Send(msg []byte) error { return p.write(encode(1, msg)) }

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

func (p *peer) Close(code int, reason string) error {
	err := p.write(closing(code, reason))
	_ = p.stream.Close()
	if e, ok := errors.AsType[*library.SessionError](err); ok && e.Remote || errors.Is(err, quic.ErrStreamClosed) {
		return nil // it is closed already
	}
	return err
}

func (p *peer) Drop() {
	p.once.Do(func() { close(p.closing) })
	p.drop()
}

func TestConformance(t *testing.T) {
	coretest.TestTransport(t, func(t *testing.T, app *core.App, accept core.Accept) coretest.Dial {
		// A client that reads nothing for a while is slow, but the test may be as well.
		s := start(t, app, accept, webtransport.Options{WriteTimeout: time.Minute})
		return func(ctx context.Context, path string, query url.Values) (coretest.Client, error) {
			c, err := s.dial(ctx, path, query)
			if err != nil {
				return nil, err
			}
			return newPeer(c), nil
		}
	})
}
