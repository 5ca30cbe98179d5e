package load

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/gobwas/ws"
)

// webSocket is a connection with as little between the load and the socket as RFC 6455 allows: the figures are to be the
// server's. Each message is a write of its own, as those of different clients are.
type webSocket struct {
	conn    net.Conn
	counter *countingConn

	input      []byte
	begin, end int // of what has been read and not taken yet

	mu     sync.Mutex
	output []byte
}

// DialWebSocket connects to a ws or wss URL at an address, which can be a proxy's. protocol is the subprotocol, or "".
func DialWebSocket(ctx context.Context, url, address, protocol string, config *tls.Config) (Conn, error) {
	w := new(webSocket)
	dialer := ws.Dialer{
		TLSConfig: config,
		NetDial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			conn, err := d.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			w.counter = &countingConn{Conn: conn}
			return w.counter, nil
		},
	}
	if protocol != "" {
		dialer.Protocols = []string{protocol}
	}
	conn, early, hs, err := dialer.Dial(ctx, url)
	if err == nil && hs.Protocol != protocol {
		err = fmt.Errorf("the server chose the subprotocol %q, expected %q", hs.Protocol, protocol)
	}
	if err != nil {
		if conn != nil {
			_ = conn.Close()
		}
		return nil, err
	}
	w.conn = conn
	w.input = buffered(early)
	w.end = len(w.input)
	return w, nil
}

func buffered(r *bufio.Reader) []byte {
	if r == nil {
		return nil
	}
	b, _ := r.Peek(r.Buffered())
	return slices.Clone(b)
}

func (w *webSocket) Send(msg []byte) error { return w.write(ws.OpText, msg) }

func (w *webSocket) write(op ws.OpCode, payload []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var mask [4]byte
	binary.NativeEndian.PutUint32(mask[:], rand.Uint32())
	b := append(w.output[:0], 0x80|byte(op))
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	b = append(b, mask[:]...)
	header := len(b)
	b = append(b, payload...)
	ws.Cipher(b[header:], mask, 0)
	w.output = b
	_, err := w.conn.Write(b)
	return err
}

func (w *webSocket) Receive() ([]byte, error) {
	for {
		head, err := w.take(2)
		if err != nil {
			return nil, err
		}
		op, n := ws.OpCode(head[0]&0x0f), uint64(head[1])
		if head[0]&0xf0 != 0x80 || n > 127 {
			return nil, fmt.Errorf("a frame that begins with %x: fragmented, extended or masked", head)
		}
		switch n {
		case 126:
			head, err = w.take(2)
			if err == nil {
				n = uint64(binary.BigEndian.Uint16(head))
			}
		case 127:
			head, err = w.take(8)
			if err == nil {
				n = binary.BigEndian.Uint64(head)
			}
		}
		if err != nil {
			return nil, err
		}
		if n > maxAnswer {
			return nil, fmt.Errorf("a frame of %d bytes, expected at most %d", n, maxAnswer)
		}
		payload, err := w.take(int(n))
		if err != nil {
			return nil, err
		}
		switch op {
		case ws.OpText:
			return payload, nil
		case ws.OpPing:
			err = w.write(ws.OpPong, payload)
		case ws.OpPong:
		case ws.OpClose:
			err = fmt.Errorf("closed by the server: %q", payload)
		default:
			err = fmt.Errorf("a frame with opcode %d", op)
		}
		if err != nil {
			return nil, err
		}
	}
}

// maxAnswer bounds a message of the server's.
const maxAnswer = 1 << 20

// take returns the next n bytes, which are valid until the next call.
func (w *webSocket) take(n int) ([]byte, error) {
	for w.end-w.begin < n {
		if w.begin == w.end {
			w.begin, w.end = 0, 0
		}
		if w.begin+n > len(w.input) {
			room := w.input
			if n > len(room) {
				room = make([]byte, max(4096, 2*n))
			}
			w.begin, w.end, w.input = 0, copy(room, w.input[w.begin:w.end]), room
		}
		read, err := w.conn.Read(w.input[w.end:])
		w.end += read
		if err != nil && w.end-w.begin < n {
			return nil, err
		}
	}
	b := w.input[w.begin : w.begin+n]
	w.begin += n
	return b, nil
}

// Close ends the connection with 1000, without waiting for the server's answer.
func (w *webSocket) Close() error {
	return errors.Join(w.write(ws.OpClose, []byte{1000 >> 8, 1000 & 0xff}), w.conn.Close())
}

func (w *webSocket) Traffic() Traffic { return w.counter.traffic() }

// countingConn counts what passes.
type countingConn struct {
	net.Conn
	sent, received atomic.Int64
}

func (c *countingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.received.Add(int64(n))
	return n, err
}

func (c *countingConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.sent.Add(int64(n))
	return n, err
}

func (c *countingConn) traffic() Traffic {
	return Traffic{Sent: c.sent.Load(), Received: c.received.Load()}
}
