package webtransport

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"

	"github.com/protoo-go/protoo/core"
)

// ErrCertificate is what Dial fails with when the server's certificate is not one of DialOptions.CertificateHashes, or its
// time is not now.
var ErrCertificate = errors.New("webtransport: not the server's certificate")

// DialOptions are a client connection's options. The zero value works.
type DialOptions struct {
	Header http.Header // sent with the handshake
	TLS    *tls.Config // for everything but the protocol
	// CertificateHashes are the SHA-256 hashes of the certificates that the server may have, in DER. With them, nobody need have
	// signed the certificate, and it may be for any name: that is for self-made ones.
	CertificateHashes [][sha256.Size]byte
	MaxMessage        int  // as in Options
	QueueSize         int  // as in Options
	Datagrams         bool // as in Options
}

// Dial connects to a server at an https URL. ctx bounds the handshake only. When the server refuses,
// the error is a [*core.StatusError] with the HTTP status and what the server said; 503 also stands for a
// server that has no room for another connection. The caller must call Run.
//
// All connections of a process that exist at one time share one UDP socket. They survive a change of the client's own address.
func Dial(ctx context.Context, rawURL string, o DialOptions) (*Conn, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	conn, err := dialQUIC(ctx, u, o.tls())
	if err != nil {
		return nil, dialError(ctx, err)
	}
	// Some of what follows does not look at the context.
	stop := context.AfterFunc(ctx, func() { giveUp(conn) })
	c, err := o.dialSession(ctx, conn, u)
	if !stop() && err == nil {
		c.abort()
		err = context.Cause(ctx)
	}
	if err != nil {
		giveUp(conn)
		return nil, dialError(ctx, err)
	}
	return c, nil
}

func giveUp(conn *quic.Conn) {
	_ = conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeRequestCanceled), "")
}

func dialError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if e, ok := errors.AsType[*quic.TransportError](err); ok && e.Remote && e.ErrorCode == quic.ConnectionRefused {
		return &core.StatusError{Status: http.StatusServiceUnavailable, Reason: "too many connections"}
	}
	return err
}

// tls returns what the QUIC connection is encrypted with.
func (o *DialOptions) tls() *tls.Config {
	config := o.TLS.Clone()
	if config == nil {
		config = new(tls.Config)
	}
	config.NextProtos = []string{http3.NextProtoH3}
	if len(o.CertificateHashes) > 0 {
		config.InsecureSkipVerify = true // it is VerifyConnection that verifies
		config.VerifyConnection = func(state tls.ConnectionState) error {
			leaf := state.PeerCertificates[0] // a client always gets one
			now := time.Now()
			if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) || !slices.Contains(o.CertificateHashes, sha256.Sum256(leaf.Raw)) {
				return ErrCertificate
			}
			return nil
		}
	}
	return config
}

// dialSession makes a session of the connection's own, and the stream.
func (o *DialOptions) dialSession(ctx context.Context, conn *quic.Conn, u *url.URL) (*Conn, error) {
	transport := &webtransport.Transport{ApplicationProtocols: []string{Protocol}}
	over, err := transport.NewClientConn(conn)
	if err != nil {
		return nil, err
	}
	res, upgraded, err := over.Dial(ctx, u.String(), o.Header)
	if err != nil {
		if res != nil {
			err = &core.StatusError{Status: res.StatusCode, Reason: explanation(res)}
		}
		return nil, err
	}
	s, err := upgraded.OpenStream()
	if err != nil {
		return nil, err
	}
	c := newConn(&config{
		client:       true,
		maxMessage:   cmp.Or(o.MaxMessage, 64<<10),
		queueSize:    cmp.Or(o.QueueSize, 1<<20),
		writeTimeout: 10 * time.Second,
		closeTimeout: time.Second,
		datagrams:    o.Datagrams,
		counters:     new(counters),
	})
	c.session = &session{Session: upgraded, quic: conn}
	c.addr = addrPort(conn.RemoteAddr())
	c.done = make(chan struct{})
	c.attach(s)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c, c.send(opPing, nil) // or the server would not know of the stream until the first message
}

// explanation returns what a refusing server said: the first line of the body, or the reason phrase.
func explanation(res *http.Response) string {
	line, _ := bufio.NewReader(io.LimitReader(res.Body, 512)).ReadString('\n')
	return cmp.Or(strings.TrimSpace(line), http.StatusText(res.StatusCode))
}

// Run gives what comes to link, and returns when the connection has ended. It is for
// connections made by Dial, and called once.
func (c *Conn) Run(link *core.Link) {
	c.setLink(link)
	if c.config.datagrams {
		c.receiveDatagrams()
	}
	c.run()
	<-c.done // the reading may have gone on in another goroutine
}
