package websocket

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// listener is a net.Listener that outlives a want of file descriptors, and whose connections can be taken over from below
// TLS.
type listener struct {
	net.Listener
	report func(error)
	close  func() error
	closed chan struct{}

	mu   sync.Mutex
	last time.Time // of a failure
}

const (
	firstWait = 5 * time.Millisecond
	longWait  = time.Second
	episode   = time.Minute
)

// NewListener returns a listener whose Accept does not fail when the process, or the system, has run out of file
// descriptors or of memory for sockets. It tries again, at first after 5 ms, then at intervals that double
// up to a second; who wants to connect waits meanwhile in the kernel's queue. report, which may be nil, is called
// with the first such error, and again only when there has been none for a minute: a server
// at its limit succeeds and fails in turns. http.Server alone would log every attempt.
//
// On Linux, TLS connections that are made of its connections, by http.Server's ServeTLS or tls.NewListener, are served by
// events. For that its TCP connections are of a type of this package that embeds *net.TCPConn.
func NewListener(l net.Listener, report func(error)) net.Listener {
	closed := make(chan struct{})
	return &listener{
		Listener: l,
		report:   report,
		close:    sync.OnceValue(func() error { close(closed); return l.Close() }),
		closed:   closed,
	}
}

func (l *listener) Accept() (net.Conn, error) {
	for wait := firstWait; ; wait = min(2*wait, longWait) {
		conn, err := l.Listener.Accept()
		if err == nil {
			return carry(conn), nil
		}
		if !exhausted(err) {
			return nil, err
		}
		l.failed(err)
		select {
		case <-time.After(wait):
		case <-l.closed:
			return nil, net.ErrClosed
		}
	}
}

func exhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) ||
		errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.ENOMEM)
}

func (l *listener) failed(err error) {
	now := time.Now()
	l.mu.Lock()
	first := l.last.IsZero() || now.Sub(l.last) >= episode
	l.last = now
	l.mu.Unlock()
	if first && l.report != nil {
		l.report(err)
	}
}

// Close also ends an Accept that waits for file descriptors.
func (l *listener) Close() error { return l.close() }
