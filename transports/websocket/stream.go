package websocket

import (
	"crypto/tls"
	"net"

	"github.com/protoo-go/protoo/core"
)

// streamConn is a connection on a net.Conn, with a goroutine that reads and, while
// there is something to write that the reading goroutine does not write itself, another that writes. It serves what
// events cannot: TLS, platforms without a poller, and clients.
type streamConn struct {
	Conn
	conn    net.Conn
	buf     []byte
	input   []byte // what is left of what has been read
	wake    chan struct{}
	writing bool
	taken   int // bytes that are being written
}

// readSize is the reading goroutine's own memory. Longer messages are collected in borrowed memory.
const readSize = 2 << 10

func newStream(config *config, conn net.Conn) *streamConn {
	s := &streamConn{conn: conn, buf: make([]byte, readSize)}
	s.init(config, s)
	s.loop = core.NewLoop(s.run)
	return s
}

// run reads until the connection ends, or until another goroutine runs in this one's place.
func (s *streamConn) run() {
	s.Conn.uncork() // after a detached goroutine, which has left the connection corked
	for {
		if len(s.input) == 0 {
			n, err := s.conn.Read(s.buf)
			s.input = s.buf[:n]
			if n == 0 && err != nil {
				s.abort()
				s.gone()
				return
			}
		}
		switch s.consume(&s.input) {
		case detached:
			return
		case pause:
			s.mu.Lock()
			wake := s.wake
			s.mu.Unlock()
			<-wake
		}
	}
}

func (s *streamConn) pause() { s.wake = make(chan struct{}) }

func (s *streamConn) resume() { close(s.wake) }

func (s *streamConn) flush() {
	if s.out != nil && !s.writing {
		s.writing = true
		go s.write()
	}
}

func (s *streamConn) uncork() {
	start := s.out != nil && !s.writing
	s.writing = s.writing || start
	s.mu.Unlock()
	if start {
		s.write()
	}
}

// write writes until nothing is left. The caller has set writing.
func (s *streamConn) write() {
	s.mu.Lock()
	for s.out != nil && s.state != closed {
		out := s.out
		s.out, s.taken = nil, len(out.b)
		s.mu.Unlock()
		_, err := s.conn.Write(out.b)
		out.put()
		s.mu.Lock()
		s.taken = 0
		if err != nil {
			s.end()
		}
	}
	s.writing = false
	last := s.state == closing
	s.mu.Unlock()
	if half, ok := s.conn.(interface{ CloseWrite() error }); ok && last {
		_ = half.CloseWrite()
	}
}

func (s *streamConn) drop() {
	if s.paused {
		s.paused = false
		close(s.wake)
	}
	conn := s.conn
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn() // t.Close would wait to say goodbye
	}
	_ = conn.Close()
}

func (s *streamConn) backlog() int { return s.taken }

func (s *streamConn) remote() string { return s.conn.RemoteAddr().String() }
