package client_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/protoo-go/protoo/client"
	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/websocket"
)

// startWebSocket starts a server on a port of its own and returns its URL without the scheme's "http".
func startWebSocket(t *testing.T, app *core.App, start func(http.Handler) *httptest.Server) (*httptest.Server, string) {
	ws := websocket.New(app, func(r *core.ConnectRequest) (core.Identity, error) {
		if token := r.HeaderValue("Authorization"); token != "" && token != "Bearer good" {
			return core.Identity{}, core.Reject(401, "bad token")
		}
		return identify(r)
	}, websocket.Options{})
	app.Attach(ws)
	server := start(ws)
	t.Cleanup(func() {
		if err := app.Close(true); err != nil {
			t.Error(err)
		}
		server.Close()
	})
	return server, strings.TrimPrefix(server.URL, "http") + "/?username=alice"
}

// waitForEnd does not wait as long as the test might.
func waitForEnd(t *testing.T, c *client.Client) {
	t.Helper()
	select {
	case <-c.Done():
	case <-time.After(30 * time.Second):
		t.Fatal("the client does not end")
	}
}

func newWebSocketApp() *core.App {
	app := core.New(core.Options{GracePeriod: time.Minute})
	app.Use("/echo", func(req *core.Request, _ core.Next) error { return req.Reply(200, "OK", req.Data()) })
	return app
}

func TestWebSocket(t *testing.T) {
	app := newWebSocketApp()
	_, url := startWebSocket(t, app, httptest.NewServer)
	for _, scheme := range []string{"ws", "http"} {
		t.Run(scheme, func(t *testing.T) {
			lost := make(chan error, 1)
			again := make(chan struct{}, 2)
			c, err := client.Dial(t.Context(), scheme+url, client.Options{
				Header:       http.Header{"Authorization": {"Bearer good"}},
				Backoff:      client.Backoff{Base: time.Millisecond},
				OnConnect:    func(context.Context, *client.Client) { again <- struct{}{} },
				OnDisconnect: func(_ *client.Client, err error) { lost <- err },
				Routes: func(app *core.App) {
					app.Message("/seen", func(req *core.Request, _ core.Next) error { return req.Reply(200, "seen") })
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			<-again
			if got := c.Peer().Conn().String(); !strings.HasPrefix(got, "ws/127.0.0.1:") {
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
		})
	}
}

func TestWebSocketRefused(t *testing.T) {
	_, url := startWebSocket(t, newWebSocketApp(), httptest.NewServer)
	_, err := client.Dial(t.Context(), "ws"+url, client.Options{
		Header:        http.Header{"Authorization": {"Bearer bad"}},
		WaitForServer: true,
	})
	var refused *core.StatusError
	if !errors.As(err, &refused) || *refused != (core.StatusError{Status: 401, Reason: "bad token"}) {
		t.Errorf("got %v, want 401 bad token", err)
	}
}

func TestWebSocketTLS(t *testing.T) {
	server, url := startWebSocket(t, newWebSocketApp(), func(h http.Handler) *httptest.Server {
		s := httptest.NewUnstartedServer(h)
		s.Config.ErrorLog = log.New(io.Discard, "", 0) // it would report the client that is about to complain
		s.StartTLS()
		return s
	})
	if _, err := client.Dial(t.Context(), "ws"+url, client.Options{}); err == nil {
		t.Error("a certificate that nobody knows was accepted")
	}
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	c, err := client.Dial(t.Context(), "ws"+url, client.Options{TLS: &tls.Config{RootCAs: roots}})
	if err != nil {
		t.Fatal(err)
	}
	if res, err := request(t, c, "/echo", "safe"); err != nil || res.Data() != `"safe"` {
		t.Errorf("got %v, %v", res, err)
	}
	if got := c.Peer().Conn().String(); !strings.HasPrefix(got, "wss/") {
		t.Errorf("connected to %q", got)
	}
	_ = c.Close(0, "")
	waitForEnd(t, c)
}

func TestWebSocketReplaced(t *testing.T) {
	_, url := startWebSocket(t, newWebSocketApp(), httptest.NewServer)
	first, err := client.Dial(t.Context(), "ws"+url, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	// The handshake ends before the peer is online: without this the second could come first.
	if _, err := request(t, first, "/echo", 1); err != nil {
		t.Fatal(err)
	}
	second, err := client.Dial(t.Context(), "ws"+url, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	waitForEnd(t, first)
	if !errors.Is(first.Err(), client.ErrReplaced) {
		t.Errorf("the first has ended with %v", first.Err())
	}
	if _, err := request(t, second, "/echo", 1); err != nil {
		t.Error(err)
	}
	_ = second.Close(0, "")
	waitForEnd(t, second)
}
