package webhook

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/core/coretest"
	"github.com/protoo-go/protoo/transports/memory"
)

func TestMain(m *testing.M) { coretest.Main(m) }

// secret is the one of the examples of Standard Webhooks.
const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func newSigner(t *testing.T) *Signer {
	t.Helper()
	s, err := NewSigner([]string{secret})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// roundTrip is a server without a network, for simulated time.
type roundTrip func(req *http.Request, body []byte) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	return f(req, body)
}

func respond(status int, body string, header ...string) (*http.Response, error) {
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}, nil
}

// server is an application with clients in the same process.
type server struct {
	app *core.App
	net *memory.Transport
}

func newServer(t *testing.T, app *core.App) *server {
	t.Helper()
	s := &server{app, memory.New(app, func(r *core.ConnectRequest) (core.Identity, error) {
		return core.Identity{Username: r.QueryValue("username"), UUID: r.QueryValue("uuid")}, nil
	}, memory.Options{})}
	app.Attach(s.net)
	t.Cleanup(func() { _ = app.Close(true) })
	return s
}

func (s *server) dial(t *testing.T, username, uuid string) *memory.Conn {
	t.Helper()
	c, err := s.net.Dial(t.Context(), core.ConnectRequest{Query: map[string][]string{"username": {username}, "uuid": {uuid}}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// request sends a message and returns the answer as it is on the wire.
func request(t *testing.T, c *memory.Conn, text string) string {
	t.Helper()
	if err := c.Send([]byte(text)); err != nil {
		t.Fatal(err)
	}
	got, err := c.Receive(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSpace(got))
}
