package websocket

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"github.com/protoo-go/protoo/core"
)

// DialOptions are a client connection's options. The zero value works.
type DialOptions struct {
	Header       http.Header   // sent with the handshake
	TLS          *tls.Config   // for wss
	MaxMessage   int           // as in Options
	QueueSize    int           // as in Options
	PingInterval time.Duration // as in Options
}

// Dial connects to a server at a ws or wss URL. ctx bounds the handshake only. When the server refuses,
// the error is a [*core.StatusError] with the HTTP status and what the server said. The caller must call Run.
func Dial(ctx context.Context, url string, o DialOptions) (*Conn, error) {
	var refused *core.StatusError
	dialer := ws.Dialer{
		Protocols: []string{Subprotocol},
		TLSConfig: o.TLS,
		Header:    ws.HandshakeHeaderHTTP(o.Header),
		OnStatusError: func(status int, reason []byte, response io.Reader) {
			refused = &core.StatusError{Status: status, Reason: explanation(string(reason), response)}
		},
	}
	conn, early, hs, err := dialer.Dial(ctx, url)
	if refused != nil {
		err = refused
	} else if err == nil && hs.Protocol != Subprotocol {
		err = errors.New("websocket: the server does not speak the subprotocol " + Subprotocol)
	}
	if err != nil {
		if conn != nil {
			_ = conn.Close()
		}
		return nil, err
	}
	scheme := "ws"
	if _, secure := conn.(*tls.Conn); secure {
		scheme = "wss"
	}
	c := newConn(&config{
		client:       true,
		scheme:       scheme,
		maxMessage:   cmp.Or(o.MaxMessage, 64<<10),
		queueSize:    cmp.Or(o.QueueSize, 1<<20),
		closeTimeout: 5 * time.Second,
		keeper:       newKeeper(o.PingInterval, 30*time.Second),
	})
	c.addr, _ = netip.ParseAddrPort(conn.RemoteAddr().String())
	var input []byte
	if early != nil {
		input, _ = early.Peek(early.Buffered())
	}
	newStream(c, conn, input)
	return c, nil
}

// explanation returns what a refusing server said: the first line of the body, or the reason phrase.
func explanation(phrase string, response io.Reader) string {
	r, err := http.ReadResponse(bufio.NewReader(response), nil)
	if err != nil {
		return phrase
	}
	defer r.Body.Close()
	line, _ := bufio.NewReader(io.LimitReader(r.Body, 512)).ReadString('\n')
	return cmp.Or(strings.TrimSpace(line), phrase)
}

// Run gives what comes to link, and returns when the connection has ended. It is for
// connections made by Dial, and called once.
func (c *Conn) Run(link *core.Link) {
	c.mu.Lock()
	c.link = link
	if c.state == closed {
		c.report(core.CloseAbnormal, "connection lost")
	}
	c.mu.Unlock()
	c.socket.(*stream).run()
	c.config.keeper.Wait() // the reading may have gone on in another goroutine
}
