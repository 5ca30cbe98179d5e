package netpath

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/protoo-go/protoo/internal/udpproxy"
)

// newProxies leads through proxies: UDP packets are lost and delayed, TCP is delayed.
func newProxies(l Loss) (*Path, error) {
	p := &Path{Label: fmt.Sprintf("proxies on loopback: %s for UDP, TCP is delayed only", l)}
	p.Via = func(network, address string) (string, error) {
		if network == "udp" {
			proxy, err := udpproxy.New(address, udpproxy.Options{Loss: l.Part, Delay: l.Delay})
			if err != nil {
				return "", err
			}
			p.atClose(func() error { proxy.Close(); return nil })
			return proxy.Addr(), nil
		}
		r, err := newRelay(address, l.Delay)
		if err != nil {
			return "", err
		}
		p.atClose(r.close)
		return r.listener.Addr().String(), nil
	}
	return p, nil
}

// A relay passes TCP connections on, late.
type relay struct {
	listener net.Listener
	server   string
	delay    time.Duration
	running  sync.WaitGroup

	mu     sync.Mutex
	closed bool
	conns  []net.Conn
}

func newRelay(server string, delay time.Duration) (*relay, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &relay{listener: l, server: server, delay: delay}
	r.running.Go(r.accept)
	return r, nil
}

func (r *relay) accept() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", r.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		if !r.keep(client, server) {
			return
		}
		r.running.Go(func() { r.pass(client, server) })
		r.running.Go(func() { r.pass(server, client) })
	}
}

// keep remembers connections to close them.
func (r *relay) keep(conns ...net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		for _, c := range conns {
			_ = c.Close()
		}
		return false
	}
	r.conns = append(r.conns, conns...)
	return true
}

// pass copies from one to the other, each piece the delay after it came.
func (r *relay) pass(from, to net.Conn) {
	type piece struct {
		due  time.Time
		data []byte
	}
	pieces := make(chan piece, 1024) // then from has to wait, as it would with TCP's own windows
	r.running.Go(func() {
		var err error
		for p := range pieces {
			if err != nil {
				continue
			}
			time.Sleep(time.Until(p.due))
			_, err = to.Write(p.data)
		}
		_ = to.Close()
	})
	defer close(pieces)
	for {
		data := make([]byte, 16<<10)
		n, err := from.Read(data)
		if n > 0 {
			pieces <- piece{time.Now().Add(r.delay), data[:n]}
		}
		if err != nil {
			return
		}
	}
}

func (r *relay) close() error {
	r.mu.Lock()
	r.closed = true
	errs := []error{r.listener.Close()}
	for _, c := range r.conns {
		if err := c.Close(); !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.EOF) {
			errs = append(errs, err)
		}
	}
	r.mu.Unlock()
	r.running.Wait()
	return errors.Join(errs...)
}
