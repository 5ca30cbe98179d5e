package client

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/websocket"
	"github.com/protoo-go/protoo/transports/webtransport"
)

// A Conn is a connection that a transport has dialed.
type Conn interface {
	core.Conn
	// Run reads until the connection ends and gives what it reads to the link, the end included, which may
	// reach the link a little after Run has returned. It is called once.
	Run(*core.Link)
}

// Options say how to connect and what to do then. The zero value is what most
// clients want, but for Routes when the server sends requests.
type Options struct {
	// Routes registers the handlers of the server's requests. It is called once, before the
	// first connection. Requests that no handler takes are answered with 404.
	Routes func(*core.App)
	// App holds the limits of the client's application: MaxHeld, by default 256 KiB, for what waits while there is no
	// connection, MaxTransactions, Timeout and so on. TrustSender, DropWhenSlow and GracePeriod are set by Dial.
	App core.Options

	Header http.Header // for the handshake, such as Authorization
	TLS    *tls.Config // for wss and https
	// CertificateHashes are, for https, the certificates that the server may have: see webtransport.DialOptions.
	CertificateHashes [][sha256.Size]byte
	MaxMessage        int // bytes of the longest message that the server may send; default 64 KiB
	QueueSize         int // bytes that may wait to be written; default 1 MiB
	// Dial replaces the dialer that goes with the URL's scheme, for other transports and for
	// tokens that expire: it is called for every attempt. The context ends with the attempt, not
	// with the connection. The five options above are then its own business.
	Dial func(ctx context.Context, url string) (Conn, error)
	// Introduce returns the request that a connection begins with, for servers that learn from it who the client is: see core.Introduction. It is
	// called for every attempt to connect, so that tokens can be fresh, and an error makes the attempt fail. Nobody waits for the answer. A server
	// that refuses closes the connection, usually with 4401, which ends the client; one that closes it with 4401 after five seconds or more has seen a token
	// expire, and the client connects again with the next one.
	//
	// With protoo-edge it is core.NewRequest("authenticate", "/token", map[string]string{"token": token}). The same request, sent with
	// Request in time, replaces a token without a new connection.
	Introduce func(ctx context.Context) (*core.Request, error)
	// DialTimeout bounds each attempt to connect. Default 10 s.
	DialTimeout time.Duration
	// WaitForServer lets Dial try again when the first attempt fails, as long as its context
	// lasts, instead of failing as well.
	WaitForServer bool
	Backoff       Backoff

	// The hooks are called one at a time, in the order of events, on a goroutine of the client's that connects again
	// only when they have returned.

	// OnConnect is called with every connection, the first included. ctx ends with the connection.
	OnConnect func(ctx context.Context, c *Client)
	// OnDisconnect is called once for each OnConnect: with a [*CloseError] when the connection was lost or the server has closed
	// it, with core.ErrClosed after Close.
	OnDisconnect func(c *Client, err error)
	// OnRetry is called before the wait for the next attempt, with the reason for it.
	OnRetry func(err error, wait time.Duration)
}

// A Backoff says how long to wait before attempts to connect: a random time below a limit that begins at Base and doubles with
// each attempt, up to Max ("full jitter"). It begins anew after a connection that has lasted five seconds, unless the
// server ended it with 1012 or 1013. A server that does so can say when it wants the client back (core.ReconnectHint): that is then the wait before
// the first attempt or, after a shorter connection, the least it can be.
type Backoff struct {
	Base time.Duration // default 500 ms
	Max  time.Duration // default 30 s
	// Rand returns a number in [0, 1). Default rand.Float64.
	Rand func() float64
}

func (b *Backoff) delay(attempt int) time.Duration {
	limit, ceiling, random := b.Base, b.Max, b.Rand
	if limit <= 0 {
		limit = 500 * time.Millisecond
	}
	if ceiling <= 0 {
		ceiling = 30 * time.Second
	}
	if random == nil {
		random = rand.Float64
	}
	for range attempt {
		if limit >= ceiling/2 {
			limit = ceiling
			break
		}
		limit *= 2
	}
	return time.Duration(random() * float64(min(limit, ceiling)))
}

// dialer returns what connects to URLs like u, whose scheme it may change.
func dialer(u *url.URL, o Options) (func(context.Context, string) (Conn, error), error) {
	switch u.Scheme {
	case "https":
		return func(ctx context.Context, url string) (Conn, error) {
			return webtransport.Dial(ctx, url, webtransport.DialOptions{
				Header:            o.Header,
				TLS:               o.TLS,
				CertificateHashes: o.CertificateHashes,
				MaxMessage:        o.MaxMessage,
				QueueSize:         o.QueueSize,
			})
		}, nil
	case "ws", "wss":
	case "http":
		u.Scheme = "ws"
	default:
		return nil, fmt.Errorf("unknown scheme %q, want ws, wss or https", u.Scheme)
	}
	return func(ctx context.Context, url string) (Conn, error) {
		return websocket.Dial(ctx, url, websocket.DialOptions{
			Header:     o.Header,
			TLS:        o.TLS,
			MaxMessage: o.MaxMessage,
			QueueSize:  o.QueueSize,
		})
	}, nil
}
