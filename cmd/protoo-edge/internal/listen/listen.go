// Package listen opens the sockets of a server, or takes over those that it was started with.
package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
)

// ErrReusePort says that addresses cannot be shared on this system.
var ErrReusePort = errors.New("listen: this system cannot share an address between processes")

// Sockets opens sockets. It is used by one goroutine at a time.
type Sockets struct {
	// ReusePort lets several processes of one user listen at the same TCP address; connections go to any of them.
	ReusePort bool

	listeners []net.Listener // inherited and not used yet
	packets   []net.PacketConn
}

// New returns what opens sockets. One for an address at which a socket listens that is among inherited, is that one.
func New(reusePort bool, inherited []*os.File) (*Sockets, error) {
	s := &Sockets{ReusePort: reusePort}
	for _, f := range inherited {
		defer f.Close() // of which there are copies then
		if l, err := net.FileListener(f); err == nil {
			s.listeners = append(s.listeners, l)
			continue
		}
		p, err := net.FilePacketConn(f)
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("socket %s, which the process was started with: %w", f.Name(), err)
		}
		s.packets = append(s.packets, p)
	}
	return s, nil
}

// Close closes what was inherited and not used.
func (s *Sockets) Close() {
	for _, l := range s.listeners {
		_ = l.Close()
	}
	for _, p := range s.packets {
		_ = p.Close()
	}
	s.listeners, s.packets = nil, nil
}

// Unused describes the inherited sockets that nobody has asked for.
func (s *Sockets) Unused() []string {
	var all []string
	for _, l := range s.listeners {
		all = append(all, l.Addr().Network()+" "+l.Addr().String())
	}
	for _, p := range s.packets {
		all = append(all, p.LocalAddr().Network()+" "+p.LocalAddr().String())
	}
	return all
}

// Listen listens at a TCP address. When the listener is closed, the connections that wait for Accept are still accepted.
func (s *Sockets) Listen(addr string) (net.Listener, error) {
	want, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Err: err}
	}
	for i, l := range s.listeners {
		if at, ok := l.Addr().(*net.TCPAddr); ok && same(want.IP, want.Port, at.IP, at.Port) {
			s.listeners = slices.Delete(s.listeners, i, i+1)
			return l, nil // who waits for it can go on doing so: the socket outlives the process
		}
	}
	config := net.ListenConfig{KeepAlive: -1} // the transports ping, and HTTP is not waited for that long
	if s.ReusePort {
		config.Control = reusePort
	}
	l, err := config.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &listener{TCPListener: l.(*net.TCPListener)}, nil
}

// ListenPacket listens at a UDP address.
func (s *Sockets) ListenPacket(addr string) (net.PacketConn, error) {
	want, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "udp", Err: err}
	}
	for i, p := range s.packets {
		if at, ok := p.LocalAddr().(*net.UDPAddr); ok && same(want.IP, want.Port, at.IP, at.Port) {
			s.packets = slices.Delete(s.packets, i, i+1)
			return p, nil
		}
	}
	return net.ListenPacket("udp", addr)
}

func same(ip net.IP, port int, other net.IP, otherPort int) bool {
	anywhere := len(ip) == 0 || ip.IsUnspecified()
	return port == otherPort && (ip.Equal(other) || anywhere && other.IsUnspecified())
}

// listener accepts what waits in the kernel's queue before it closes, where the kernel would reset it. It is not worth
// a reset to come a moment before a server ends.
type listener struct {
	*net.TCPListener
	once sync.Once
	err  error // of Close

	mu   sync.Mutex
	rest []net.Conn // that waited when it was closed
}

func (l *listener) Accept() (net.Conn, error) {
	conn, err := l.TCPListener.Accept()
	if err == nil {
		return conn, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.rest) == 0 {
		return nil, err
	}
	conn = l.rest[0]
	l.rest = l.rest[1:]
	return conn, nil
}

func (l *listener) Close() error {
	l.once.Do(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.rest = waiting(l.TCPListener)
		l.err = l.TCPListener.Close()
	})
	return l.err
}
