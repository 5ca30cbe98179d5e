package websocket

import (
	"net"
	"sync"
)

// A Preface reads what a connection begins with before HTTP, or before TLS: a header of the PROXY protocol. It returns whose connection
// it is, nil for who is at its other end, and what it has read that is not its own. An error closes the connection. It must not
// wait for ever: it sets a deadline, and takes it away again.
type Preface func(conn net.Conn) (client net.Addr, rest []byte, err error)

// WithPreface returns a listener whose connections begin with a preface. It goes below [NewListener]:
//
//	h.ServeTLS(websocket.NewListener(websocket.WithPreface(l, read), report), certFile, keyFile)
//
// The preface is read when the connection is read from, or asked for its RemoteAddr, for the first time. http.Server does both on
// a goroutine of the connection's own, so that one who is slow holds up nobody else; hooks that it calls before, such as ConnContext and
// ConnState, must not ask for the address. That of the other end, which may be a proxy's, is its NetConn's, below TLS as well.
func WithPreface(l net.Listener, read Preface) net.Listener { return &prefaceListener{l, read} }

type prefaceListener struct {
	net.Listener
	read Preface
}

func (l *prefaceListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &prefaced{Conn: conn, read: l.read}, nil
}

// prefaced is a connection that begins with a preface.
type prefaced struct {
	net.Conn
	read Preface

	once   sync.Once
	client net.Addr // nil for the connection's own
	rest   []byte   // what was read with the preface, of the goroutine that reads
	err    error
}

func (c *prefaced) begin() {
	c.once.Do(func() {
		if c.client, c.rest, c.err = c.read(c.Conn); c.err != nil {
			_ = c.Conn.Close()
		}
	})
}

// Read fails when the preface has.
func (c *prefaced) Read(b []byte) (int, error) {
	c.begin()
	switch {
	case c.err != nil:
		return 0, c.err
	case len(c.rest) > 0:
		n := copy(b, c.rest)
		c.rest = c.rest[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}

// RemoteAddr returns the client's address.
func (c *prefaced) RemoteAddr() net.Addr {
	c.begin()
	if c.client != nil {
		return c.client
	}
	return c.Conn.RemoteAddr()
}

// NetConn returns the connection below.
func (c *prefaced) NetConn() net.Conn { return c.Conn }

// CloseWrite shuts the sending side down where the connection below can.
func (c *prefaced) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
