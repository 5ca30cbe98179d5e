package proxies

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/protoo-go/protoo/transports/websocket"
)

// prefaceSize is how much is read at a time. A header with one address and a few extensions fits; one of 4 KiB, which is the
// most that is taken, is read in several pieces.
const prefaceSize = 512

// Listener makes the connections of a listener begin with a PROXY header, as the protocol option says. It goes below
// websocket.NewListener, and below TLS.
func (p *Proxies) Listener(l net.Listener) net.Listener {
	if p.protocol != Accept && p.protocol != Require {
		return l
	}
	return websocket.WithPreface(l, p.preface)
}

var (
	errStranger = errors.New("not from a trusted address, and proxies.protocol requires that")
	errNone     = errors.New("no PROXY header")
)

// preface reads a PROXY header (version 1 and 2 of its specification), if there can be one.
func (p *Proxies) preface(conn net.Conn) (client net.Addr, rest []byte, err error) {
	from := conn.RemoteAddr()
	client, rest, err = p.read(conn, from)
	if err != nil {
		p.counts.refused.Add(1)
		if p.report != nil {
			p.report(from, err)
		}
	}
	return client, rest, err
}

func (p *Proxies) read(conn net.Conn, from net.Addr) (client net.Addr, rest []byte, err error) {
	o := p.options.Load()
	if addr, err := netip.ParseAddrPort(from.String()); err != nil || !o.trusts(addr.Addr()) {
		if p.protocol == Require {
			return nil, nil, errStranger
		}
		return nil, nil, nil
	}
	if err := conn.SetReadDeadline(time.Now().Add(o.Timeout)); err != nil {
		return nil, nil, err
	}
	r := bufio.NewReaderSize(conn, prefaceSize)
	header, err := proxyproto.Read(r)
	switch {
	case errors.Is(err, proxyproto.ErrNoProxyProtocol) && (p.protocol == Require || r.Buffered() == 0):
		return nil, nil, errNone
	case errors.Is(err, proxyproto.ErrNoProxyProtocol):
	case err != nil:
		return nil, nil, fmt.Errorf("PROXY header: %w", err)
	default:
		p.counts.headers.Add(1)
		// A connection of the proxy's own, such as its health check, says LOCAL, and UNKNOWN or a Unix socket says nothing.
		if source, ok := header.SourceAddr.(*net.TCPAddr); ok && !header.Command.IsLocal() {
			client = source
		}
	}
	if n := r.Buffered(); n > 0 {
		rest, _ = r.Peek(n)
	}
	return client, rest, conn.SetReadDeadline(time.Time{})
}
