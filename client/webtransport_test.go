package client_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/protoo-go/protoo/client"
	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/webtransport"
)

// startWebTransport starts a server with a self-made certificate on a port of its own, and returns its URL and the certificate's hash.
func startWebTransport(t *testing.T, app *core.App) (url string, hash [sha256.Size]byte) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := webtransport.New(app, func(r *core.ConnectRequest) (core.Identity, error) {
		if token := r.HeaderValue("Authorization"); token != "" && token != "Bearer good" {
			return core.Identity{}, core.Reject(401, "bad token")
		}
		return identify(r)
	}, webtransport.Options{})
	app.Attach(server)
	served := make(chan error, 1)
	go func() {
		served <- server.Serve(conn, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	}()
	t.Cleanup(func() {
		if err := app.Close(true); err != nil {
			t.Error(err)
		}
		if err := <-served; err != http.ErrServerClosed {
			t.Error(err)
		}
	})
	return "https://" + conn.LocalAddr().String() + "/protoo?username=alice", sha256.Sum256(der)
}

func TestWebTransport(t *testing.T) {
	app := newWebSocketApp()
	url, hash := startWebTransport(t, app)
	lost := make(chan error, 1)
	again := make(chan struct{}, 2)
	c, err := client.Dial(t.Context(), url, client.Options{
		Header:            http.Header{"Authorization": {"Bearer good"}},
		CertificateHashes: [][sha256.Size]byte{hash},
		Backoff:           client.Backoff{Base: time.Millisecond},
		OnConnect:         func(context.Context, *client.Client) { again <- struct{}{} },
		OnDisconnect:      func(_ *client.Client, err error) { lost <- err },
		Routes: func(app *core.App) {
			app.Message("/seen", func(req *core.Request, _ core.Next) error { return req.Reply(200, "seen") })
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	<-again
	if got := c.Peer().Conn().String(); !strings.HasPrefix(got, "wt/127.0.0.1:") {
		t.Errorf("connected to %q", got)
	}
	if res, err := request(t, c, "/echo", "one"); err != nil || res.Data() != `"one"` {
		t.Errorf("got %v, %v", res, err)
	}
	if err := app.Peer("alice", "1").Conn().Close(core.CloseRestart, "restart"); err != nil {
		t.Error(err)
	}
	var closed *client.CloseError
	if err := <-lost; !errors.As(err, &closed) || *closed != (client.CloseError{Code: core.CloseRestart, Reason: "restart"}) {
		t.Errorf("got %v, want 1012 restart", err)
	}
	if res, err := request(t, c, "/echo", "two"); err != nil || res.Data() != `"two"` {
		t.Errorf("got %v, %v", res, err)
	}
	<-again
	res, err := app.Peer("alice", "1").Send(core.NewRequest("message", "/seen", nil)).Wait(t.Context())
	if err != nil || res.Reason() != "seen" {
		t.Errorf("got %v, %v", res, err)
	}
	if err := c.Close(0, ""); err != nil {
		t.Error(err)
	}
	waitForEnd(t, c)
	if err := <-lost; !errors.Is(err, core.ErrClosed) || !errors.Is(c.Err(), core.ErrClosed) {
		t.Errorf("got %v and %v", err, c.Err())
	}
}

func TestWebTransportRefused(t *testing.T) {
	url, hash := startWebTransport(t, newWebSocketApp())
	if _, err := client.Dial(t.Context(), url, client.Options{}); err == nil {
		t.Error("a certificate that nobody knows was accepted")
	}
	_, err := client.Dial(t.Context(), url, client.Options{
		CertificateHashes: [][sha256.Size]byte{hash},
		Header:            http.Header{"Authorization": {"Bearer bad"}},
		WaitForServer:     true,
	})
	var refused *core.StatusError
	if !errors.As(err, &refused) || *refused != (core.StatusError{Status: 401, Reason: "bad token"}) {
		t.Errorf("got %v, want 401 bad token", err)
	}
}
