package websocket

import (
	"crypto/tls"
	"net"
	"slices"

	"github.com/protoo-go/protoo/transports/internal/wire"
)

// A carrier is a TCP connection that TLS can be driven by events over. Until it is taken over it is what it embeds. From then
// on crypto/tls reads what the poller has read, and is told with a temporary error, which leaves its state as it is,
// that there is no more; what it writes is collected. The event-driven connection's lock is held whenever crypto/tls is
// called, because its reading writes, too: alerts, and answers to key updates.
type carrier struct {
	*net.TCPConn
	before  *prefaced // nil without a preface
	records           // where the next byte to be read stands

	tls     *tls.Conn    // nil until the connection is taken over
	in      []byte       // ciphertext for crypto/tls to read
	out     *wire.Buffer // ciphertext for the network, nil when there is none
	written int          // bytes at the front of out that have been
	err     error        // the end of the reading
}

func carry(conn net.Conn) net.Conn {
	switch c := conn.(type) {
	case *net.TCPConn:
		return &carrier{TCPConn: c}
	case *prefaced:
		if tcp, ok := c.Conn.(*net.TCPConn); ok {
			return &carrier{TCPConn: tcp, before: c}
		}
	}
	return conn
}

// below returns what is read from until the connection is taken over.
func (c *carrier) below() net.Conn {
	if c.before != nil {
		return c.before
	}
	return c.TCPConn
}

// RemoteAddr returns the client's address.
func (c *carrier) RemoteAddr() net.Addr { return c.below().RemoteAddr() }

// NetConn returns the TCP connection below.
func (c *carrier) NetConn() net.Conn { return c.TCPConn }

// unread takes what was read with the preface and is not of it.
func (c *carrier) unread() []byte {
	if c.before == nil {
		return nil
	}
	rest := c.before.rest
	c.before.rest = nil
	return rest
}

// Read gives out the bytes of one record at most, so that crypto/tls never has any left when it
// has returned what a record says.
func (c *carrier) Read(b []byte) (int, error) {
	if c.tls == nil {
		n, err := c.below().Read(b)
		for rest := b[:n]; len(rest) > 0; {
			rest = rest[c.next(rest):]
		}
		return n, err
	}
	n := c.next(c.in[:min(len(c.in), len(b))])
	if n == 0 {
		return 0, errDry
	}
	copy(b, c.in[:n])
	c.in = c.in[n:]
	return n, nil
}

// Write does not fail: to crypto/tls every error of writing is permanent.
func (c *carrier) Write(b []byte) (int, error) {
	if c.tls == nil {
		return c.TCPConn.Write(b)
	}
	if c.out == nil {
		c.out, c.written = wire.GetBuffer(), 0
	}
	return c.out.Write(b)
}

// errDry tells crypto/tls that there is nothing to read at this time.
var errDry net.Error = dry{}

type dry struct{}

func (dry) Error() string   { return "nothing to read" }
func (dry) Timeout() bool   { return true }
func (dry) Temporary() bool { return true }

// maxPlaintext is what a record can hold (RFC 8446, section 5.1).
const maxPlaintext = 16 << 10

// open appends to dst what data, which the poller has read, says. Without data it is what crypto/tls had read before it
// was taken over, of which epoll cannot tell.
func (c *eventSocket) open(dst, data []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.secure
	s.in = data
	for s.err == nil && c.state != closed {
		dst = slices.Grow(dst, maxPlaintext)
		n, err := s.tls.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if err == errDry { //nolint:errorlint // crypto/tls must not wrap it, or its state would be lost
			break
		}
		s.err = err
		if n > 0 && len(data) > 0 && len(s.in) == 0 {
			break // another Read could only find nothing, and would allocate memory for that
		}
	}
	s.in = nil
	if s.out != nil {
		c.flush()
	}
	// What crypto/tls has to say for itself is a few bytes for each record that a client sends.
	if c.backlog() > max(c.config.queueSize, corkSize) {
		c.end()
	}
	return dst
}

// sealSize is how much is encrypted at a time. The rest waits, until the network has taken that.
const sealSize = 32 << 10

// flushSecure encrypts and writes, and reports whether all is written.
func (c *eventSocket) flushSecure() bool {
	s := c.secure
	for c.out != nil || s.out != nil {
		if s.out == nil {
			if err := c.seal(); err != nil {
				c.end()
				return false
			}
		}
		if !c.push(s.out, &s.written) {
			return false
		}
		s.out = nil
	}
	return true
}

// seal encrypts the front of what there is to send. The last is followed by TLS's own
// goodbye (RFC 8446, section 6.1).
func (c *eventSocket) seal() error {
	n := min(len(c.out.B)-c.written, sealSize)
	_, err := c.secure.tls.Write(c.out.B[c.written:][:n])
	c.written += n
	if c.written < len(c.out.B) {
		c.written = c.out.Compact(c.written)
		return err
	}
	c.out.Put()
	c.out = nil
	if c.state == closing {
		_ = c.secure.tls.CloseWrite() // fails only if Write has
	}
	return err
}

// records tells where TLS's records end (RFC 8446, section 5.1).
type records struct {
	header [5]byte
	have   int // bytes of header, of a record that has just begun
	left   int // bytes of the record that are to come
}

// next returns how many of the bytes in b, which follow those it has been given before, belong to one record.
func (r *records) next(b []byte) int {
	n := 0
	if r.left == 0 {
		n = copy(r.header[r.have:], b)
		r.have += n
		if r.have < len(r.header) {
			return n
		}
		r.have = 0
		r.left = int(r.header[3])<<8 | int(r.header[4])
	}
	body := min(r.left, len(b)-n)
	r.left -= body
	return n + body
}
