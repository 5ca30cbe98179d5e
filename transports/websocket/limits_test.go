package websocket_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/protoo-go/protoo/core"
)

// addressed is a path behind something that knows better where requests come from, and says so in a header.
func (p path) addressed() path {
	p.http = func(h *http.Server) {
		inner := h.Handler
		h.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if from := r.Header.Get("X-From"); from != "" {
				r.RemoteAddr = from
			}
			inner.ServeHTTP(w, r)
		})
	}
	return p
}

// try connects from an address, and returns the client, or the status and the reason of the refusal.
func (s *server) try(t *testing.T, from string) (c *client, refusal string) {
	t.Helper()
	c = s.dialRaw(t)
	target := "/?username=l&uuid=" + strconv.FormatInt(conversations.Add(1), 10)
	if err := c.write(handshake(target, "X-From: "+from)); err != nil {
		t.Fatal(err)
	}
	res := c.response(t)
	if res.StatusCode == http.StatusSwitchingProtocols {
		return c, ""
	}
	body, _ := io.ReadAll(res.Body)
	return nil, fmt.Sprint(res.StatusCode, " ", strings.TrimSpace(string(body)))
}

// leave ends a connection in one of the ways there are, and waits until the server has noticed.
func (s *server) leave(t *testing.T, c *client, way int) {
	t.Helper()
	before, _, _ := s.handler.Inside()
	switch way % 3 {
	case 0:
		_ = c.write(closing(core.CloseNormal, ""))
		_, _ = io.Copy(io.Discard, c.r)
	case 1:
		_ = c.write(text("not")[:3])
	case 2:
		_ = c.write([]byte{0xff, 0xff})
		_, _ = io.Copy(io.Discard, c.r)
	}
	_ = c.Close()
	eventually(t, "the end of a connection", func() bool {
		now, _, _ := s.handler.Inside()
		return now < before
	})
}

func TestMaxConnections(t *testing.T) {
	for _, p := range paths {
		t.Run(p.name, func(t *testing.T) {
			p.options.MaxConnections = 3
			s := start(t, p.addressed(), echo(), byQuery)
			var clients []*client
			for range 3 {
				c, refusal := s.try(t, "")
				if refusal != "" {
					t.Fatal(refusal)
				}
				clients = append(clients, c)
			}
			for i := range 20 {
				if _, refusal := s.try(t, ""); refusal != "503 too many connections" {
					t.Fatalf("got %q", refusal)
				}
				s.leave(t, clients[0], i)
				c, refusal := s.try(t, "")
				if refusal != "" {
					t.Fatalf("%q, although there is room", refusal)
				}
				clients = append(clients[1:], c)
			}
			newZipped(clients[0], "").exchange(t, "served")
		})
	}
}

func TestMaxConnectionsPerAddress(t *testing.T) {
	for _, p := range paths {
		t.Run(p.name, func(t *testing.T) {
			p.options.MaxConnectionsPerAddress = 2
			s := start(t, p.addressed(), echo(), byQuery)
			const refused = "429 too many connections from your address"
			// All but the last of each row are one address, or none that could be told.
			for _, row := range [][]string{
				{"192.0.2.1:1", "192.0.2.1:2", "[::ffff:192.0.2.1]:3", "192.0.2.2:4"},
				{"[2001:db8:0:1::1]:1", "[2001:db8:0:1::2]:1", "[2001:db8:0:1:ffff::]:1", "[2001:db8:0:2::1]:1"},
			} {
				first, refusal := s.try(t, row[0])
				if refusal != "" {
					t.Fatal(refusal)
				}
				if _, refusal = s.try(t, row[1]); refusal != "" {
					t.Fatal(refusal)
				}
				for _, from := range row[:3] {
					if _, refusal = s.try(t, from); refusal != refused {
						t.Errorf("%s: got %q, want %q", from, refusal, refused)
					}
				}
				if _, refusal = s.try(t, row[3]); refusal != "" {
					t.Errorf("%s: got %q, although it is another address", row[3], refusal)
				}
				s.leave(t, first, 0)
				if _, refusal = s.try(t, row[2]); refusal != "" {
					t.Errorf("%s: got %q, although there is room", row[2], refusal)
				}
				if _, refusal = s.try(t, row[0]); refusal != refused {
					t.Errorf("%s: got %q, want %q", row[0], refusal, refused)
				}
			}
			for range 5 {
				if _, refusal := s.try(t, "@"); refusal != "" {
					t.Errorf("without an address: got %q", refusal)
				}
			}
		})
	}
}

// TestMaxHandshakes has clients that the application takes its time over.
func TestMaxHandshakes(t *testing.T) {
	for _, p := range paths {
		t.Run(p.name, func(t *testing.T) {
			p.options.MaxHandshakes, p.options.MaxConnections = 2, 10
			release, asked := make(chan struct{}), make(chan string, 10)
			s := start(t, p.addressed(), echo(), func(r *core.ConnectRequest) (core.Identity, error) {
				asked <- r.QueryValue("uuid")
				select {
				case <-release:
				case <-r.Context.Done():
					return core.Identity{}, core.Reject(403, "gone")
				}
				return byQuery(r)
			})
			var waiting []*client
			for i := range 2 {
				c := s.dialRaw(t)
				if err := c.write(handshake("/?username=waiting&uuid=" + strconv.Itoa(i))); err != nil {
					t.Fatal(err)
				}
				<-asked
				waiting = append(waiting, c)
			}
			if _, refusal := s.try(t, ""); refusal != "503 too many handshakes" {
				t.Errorf("got %q", refusal)
			}
			close(release)
			for _, c := range waiting {
				c.switched(t)
			}

			// Whoever gives up makes room.
			release = make(chan struct{})
			for range 5 {
				c := s.dialRaw(t)
				if err := c.write(handshake("/?username=l&uuid=gone")); err != nil {
					t.Fatal(err)
				}
				<-asked
				_ = c.Close()
				eventually(t, "the end of a handshake", func() bool {
					_, handshakes, _ := s.handler.Inside()
					return handshakes == 0
				})
			}
			close(release)
			if _, refusal := s.try(t, ""); refusal != "" {
				t.Error(refusal)
			}
			<-asked
			if n, _, _ := s.handler.Inside(); n != 3 {
				t.Errorf("%d connections, want 3", n)
			}
		})
	}
}

// TestHandshakeWhileClosing lets a server be closed while the application is being asked.
func TestHandshakeWhileClosing(t *testing.T) {
	for _, p := range paths {
		t.Run(p.name, func(t *testing.T) {
			asked, release := make(chan struct{}), make(chan struct{})
			s := start(t, p, echo(), func(r *core.ConnectRequest) (core.Identity, error) {
				close(asked)
				<-release
				return byQuery(r)
			})
			end := make(chan error, 1)
			go func() {
				c, err := s.dial(t.Context(), "/", url.Values{"username": {"late"}, "uuid": {"1"}}, nil)
				if err == nil {
					_ = c.Close()
				}
				end <- err
			}()
			<-asked
			if err := s.handler.Close(); err != nil {
				t.Error(err)
			}
			close(release)
			if err, want := <-end, (core.StatusError{Status: 503, Reason: "shutting down"}); err == nil || err.Error() != want.Error() {
				t.Errorf("got %v, want %v", err, &want)
			}
			if n, _, _ := s.handler.Inside(); n != 0 {
				t.Errorf("%d connections are left", n)
			}
		})
	}
}
