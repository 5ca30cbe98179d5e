package load

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"
	"github.com/quic-go/webtransport-go"
)

// The frames of protoo over WebTransport have the opcodes of WebSocket.
const (
	frameText = 1
	framePing = 9
	framePong = 10
)

// WebTransport dials sessions that share some UDP sockets: one would be a bottleneck that the clients of a
// real server do not have, one for each session costs more than it tells.
type WebTransport struct {
	TLS       *tls.Config
	Datagrams bool // requests go as datagrams, and answers come on the stream

	mu      sync.Mutex
	sockets []*quic.Transport
	dialed  int
}

const (
	maxSockets       = 8
	handshakeTimeout = 20 * time.Second // the machine may be busy
)

func (t *WebTransport) socket() (*quic.Transport, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dialed++
	if len(t.sockets) < maxSockets {
		conn, err := net.ListenUDP("udp", nil)
		if err != nil {
			return nil, err
		}
		t.sockets = append(t.sockets, &quic.Transport{Conn: conn})
	}
	return t.sockets[t.dialed%len(t.sockets)], nil
}

// Close closes the sockets, and with them what there is of sessions.
func (t *WebTransport) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.sockets {
		_ = s.Close()
		_ = s.Conn.Close()
	}
	t.sockets = nil
}

// Dial connects to an https URL at an address, which can be a proxy's.
func (t *WebTransport) Dial(ctx context.Context, url, address string) (Conn, error) {
	socket, err := t.socket()
	if err != nil {
		return nil, err
	}
	addr, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return nil, err
	}
	config := t.TLS.Clone()
	config.NextProtos = []string{http3.NextProtoH3}
	conn, err := socket.Dial(ctx, addr, config, &quic.Config{
		HandshakeIdleTimeout:             handshakeTimeout,
		EnableDatagrams:                  true,
		EnableStreamResetPartialDelivery: true,
		InitialStreamReceiveWindow:       1 << 20,
		InitialConnectionReceiveWindow:   1 << 20,
	})
	if err != nil {
		return nil, err
	}
	w := &webTransport{conn: conn, datagrams: t.Datagrams}
	if err := w.begin(ctx, url); err != nil {
		_ = conn.CloseWithError(0, "")
		return nil, err
	}
	return w, nil
}

// webTransport is a session with the library alone between the load and the socket.
type webTransport struct {
	conn      *quic.Conn
	session   *webtransport.Session
	stream    *webtransport.Stream
	datagrams bool
	input     *bufio.Reader
	payload   []byte

	mu     sync.Mutex
	output []byte
}

func (w *webTransport) begin(ctx context.Context, url string) error {
	transport := &webtransport.Transport{ApplicationProtocols: []string{"protoo"}}
	over, err := transport.NewClientConn(w.conn)
	if err != nil {
		return err
	}
	res, session, err := over.Dial(ctx, url, nil)
	if err != nil {
		if res != nil {
			err = fmt.Errorf("refused with %s", res.Status)
		}
		return err
	}
	w.session = session
	if w.stream, err = session.OpenStream(); err != nil {
		return err
	}
	w.input = bufio.NewReader(w.stream)
	return w.write(framePing, nil) // or the server would not know of the stream
}

func (w *webTransport) Send(msg []byte) error {
	if !w.datagrams {
		return w.write(frameText, msg)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.output = appendFrame(w.output[:0], frameText, msg)
	return w.session.SendDatagram(w.output)
}

func (w *webTransport) write(op byte, payload []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.output = appendFrame(w.output[:0], op, payload)
	_, err := w.stream.Write(w.output)
	return err
}

func appendFrame(b []byte, op byte, payload []byte) []byte {
	return append(quicvarint.Append(append(b, op), uint64(len(payload))), payload...)
}

func (w *webTransport) Receive() ([]byte, error) {
	for {
		op, err := w.input.ReadByte()
		if err != nil {
			return nil, err
		}
		n, err := quicvarint.Read(w.input)
		if err != nil {
			return nil, err
		}
		if n > maxAnswer {
			return nil, fmt.Errorf("a frame of %d bytes, expected at most %d", n, maxAnswer)
		}
		if uint64(cap(w.payload)) < n {
			w.payload = make([]byte, n)
		}
		w.payload = w.payload[:n]
		if _, err := io.ReadFull(w.input, w.payload); err != nil {
			return nil, err
		}
		switch op {
		case frameText:
			return w.payload, nil
		case framePing:
			err = w.write(framePong, w.payload)
		case framePong:
		default:
			err = fmt.Errorf("a frame with opcode %d: %q", op, w.payload)
		}
		if err != nil {
			return nil, err
		}
	}
}

// Close ends the session at once.
func (w *webTransport) Close() error {
	_ = w.session.CloseWithError(0, "")
	return w.conn.CloseWithError(0, "")
}

func (w *webTransport) Traffic() Traffic {
	s := w.conn.ConnectionStats()
	return Traffic{Sent: int64(s.BytesSent), Received: int64(s.BytesReceived)}
}
