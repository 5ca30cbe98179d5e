package websocket

import (
	"crypto/tls"
	"net"

	"github.com/protoo-go/protoo/core"
)

// stream is a socket on a net.Conn, with a goroutine that reads and, while
// there is something to write that the reading goroutine does not write itself, another that writes. It serves what
// events cannot: TLS, platforms without a poller, and clients.
type stream struct {
	*Conn
	conn    net.Conn
	buf     []byte
	input   []byte // what is left of what has been read
	wake    chan struct{}
	writer  func() // is write; as a value, because a go statement with a method would allocate one each time
	writing bool
	taken   int // bytes that are being written
}

// readSize is the reading goroutine's own memory. Longer messages are collected in borrowed memory.
const readSize = 2 << 10

// newStream gives c its socket. early is what has been read of it already.
func newStream(c *Conn, conn net.Conn, early []byte) *stream {
	s := &stream{Conn: c, conn: conn, buf: make([]byte, readSize), input: early}
	s.writer = s.write
	c.loop = core.NewLoop(s.run)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.socket = s
	if c.state == closed {
		s.drop()
	}
	return s
}

// run reads until the connection ends, or until another goroutine runs in this one's place.
func (s *stream) run() {
	s.Conn.uncork() // after the handshake, or a detached goroutine: both have left the connection corked
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

func (s *stream) pause() { s.wake = make(chan struct{}) }

func (s *stream) resume() { close(s.wake) }

func (s *stream) flush() {
	if s.out != nil && !s.writing {
		s.writing = true
		go s.writer()
	}
}

func (s *stream) uncork() {
	start := s.out != nil && !s.writing
	s.writing = s.writing || start
	s.mu.Unlock()
	if start {
		s.write()
	}
}

// write writes until nothing is left. The caller has set writing.
func (s *stream) write() {
	s.mu.Lock()
	for s.out != nil && s.state != closed {
		out := s.out
		s.out, s.taken = nil, len(out.B)
		s.mu.Unlock()
		_, err := s.conn.Write(out.B)
		out.Put()
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

func (s *stream) drop() {
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

func (s *stream) backlog() int { return s.taken }
