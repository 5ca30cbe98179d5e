package webtransport

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
)

// A socket is shared by all client connections that there are. It is open as long as there is one.
type socket struct {
	mu        sync.Mutex
	users     int
	conn      net.PacketConn
	transport *quic.Transport
}

var shared socket

func (s *socket) borrow() (*quic.Transport, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users == 0 {
		conn, err := net.ListenUDP("udp", nil)
		if err != nil {
			return nil, err
		}
		s.conn, s.transport = conn, &quic.Transport{Conn: conn}
	}
	s.users++
	return s.transport, nil
}

func (s *socket) giveBack() {
	s.mu.Lock()
	s.users--
	last, conn, transport := s.users == 0, s.conn, s.transport
	s.mu.Unlock()
	if last {
		_ = transport.Close()
		_ = conn.Close()
	}
}

// clientConfig needs no keepalive while the server has one, which comes first or at the same time.
var clientConfig = &quic.Config{
	HandshakeIdleTimeout:             handshakeTimeout,
	MaxIdleTimeout:                   idleTimeout,
	KeepAlivePeriod:                  idleTimeout / 2,
	MaxStreamReceiveWindow:           1 << 20,
	MaxConnectionReceiveWindow:       2 << 20,
	MaxIncomingStreams:               -1,
	MaxIncomingUniStreams:            maxUniStreams,
	EnableDatagrams:                  true,
	EnableStreamResetPartialDelivery: true,
}

// headStart is how long one of a server's addresses is tried before the next is as well (RFC 8305, section 5): there is
// no answer from a port where nobody listens.
const headStart = 250 * time.Millisecond

// dialQUIC connects to the first of a server's addresses that answers.
func dialQUIC(ctx context.Context, u *url.URL, config *tls.Config) (*quic.Conn, error) {
	if u.Scheme != "https" {
		return nil, fmt.Errorf("webtransport: scheme %q, want https", u.Scheme)
	}
	addrs, err := lookUp(ctx, u)
	if err != nil {
		return nil, err
	}
	config.ServerName = cmp.Or(config.ServerName, u.Hostname())
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		conn *quic.Conn
		err  error
	}
	results := make(chan result, len(addrs))
	dial := func(addr netip.AddrPort) {
		conn, err := dialAddr(ctx, addr, config)
		results <- result{conn, err}
	}
	var first error
	for tried, failed := 0, 0; failed < len(addrs); {
		var next <-chan time.Time
		if tried < len(addrs) {
			go dial(addrs[tried])
			tried++
			next = time.After(headStart)
		}
		select {
		case <-next:
		case r := <-results:
			if r.err == nil {
				go func() { // those that come too late
					for range tried - failed - 1 {
						if late := <-results; late.err == nil {
							giveUp(late.conn)
						}
					}
				}()
				return r.conn, nil
			}
			failed++
			first = cmp.Or(first, r.err)
		}
	}
	return nil, first
}

// dialAddr connects over the shared socket, which it gives back when the connection has ended.
func dialAddr(ctx context.Context, addr netip.AddrPort, config *tls.Config) (*quic.Conn, error) {
	transport, err := shared.borrow()
	if err != nil {
		return nil, err
	}
	conn, err := transport.Dial(ctx, net.UDPAddrFromAddrPort(addr), config, clientConfig)
	if err != nil {
		shared.giveBack()
		return nil, err
	}
	context.AfterFunc(conn.Context(), shared.giveBack)
	return conn, nil
}

// lookUp returns a server's addresses, of both families in turn.
func lookUp(ctx context.Context, u *url.URL) ([]netip.AddrPort, error) {
	port, err := strconv.ParseUint(cmp.Or(u.Port(), "443"), 10, 16)
	if err != nil {
		return nil, fmt.Errorf("webtransport: port %q, want a number up to 65535", u.Port())
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return nil, err
	}
	var six, four []netip.AddrPort
	for _, ip := range ips {
		if ip = ip.Unmap(); ip.Is4() {
			four = append(four, netip.AddrPortFrom(ip, uint16(port)))
		} else {
			six = append(six, netip.AddrPortFrom(ip, uint16(port)))
		}
	}
	var addrs []netip.AddrPort
	for len(six) > 0 || len(four) > 0 {
		if len(six) > 0 {
			addrs, six = append(addrs, six[0]), six[1:]
		}
		if len(four) > 0 {
			addrs, four = append(addrs, four[0]), four[1:]
		}
	}
	return addrs, nil
}
