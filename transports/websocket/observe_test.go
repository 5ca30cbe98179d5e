package websocket_test

import (
	"net/http"
	"net/url"
	"runtime"
	"testing"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/core/coretest"
	"github.com/protoo-go/protoo/transports/websocket"
)

// TestObserve lets connections begin and end in all ways, and looks at what the observer is told.
func TestObserve(t *testing.T) {
	for _, p := range paths {
		t.Run(p.name, func(t *testing.T) {
			var watch coretest.Watch
			p.options.Observe = watch.Observer()
			app := core.New(core.Options{})
			s := start(t, p, app, func(r *core.ConnectRequest) (core.Identity, error) {
				if r.QueryValue("username") == "mallory" {
					return core.Identity{}, core.Reject(http.StatusForbidden, "no")
				}
				return core.Identity{Username: r.QueryValue("username"), UUID: "1"}, nil
			})
			name := "ws"
			if p.tls {
				name = "wss"
			}
			want := func(what string, lines ...string) {
				t.Helper()
				for i := range lines {
					lines[i] = name + " " + lines[i]
				}
				eventually(t, what, func() bool { return watch.Saw(lines...) })
			}

			if _, err := s.dial(t.Context(), "/", url.Values{"username": {"mallory"}}, nil); err == nil {
				t.Fatal("mallory is in")
			}
			want("refusal", "refused 403")
			pages := http.Client{Transport: &http.Transport{TLSClientConfig: s.tls}}
			page, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http"+s.url[2:], nil)
			if err != nil {
				t.Fatal(err)
			}
			if res, err := pages.Do(page); err != nil {
				t.Fatal(err)
			} else {
				_ = res.Body.Close()
			}
			pages.CloseIdleConnections()

			for _, end := range []struct {
				what string
				do   func(c *client) error
				line string
			}{
				{"the client closes", func(c *client) error { return c.write(closing(1000, "")) }, "closed 1000 ours=false"},
				{"without a code", func(c *client) error { return c.write(masked(final|8, nil)) }, "closed 1005 ours=false"},
				{"the client breaks the rules", func(c *client) error { return c.write(masked(final|3, nil)) }, "closed 1002 ours=true"},
				{"the connection breaks", func(c *client) error { return c.Close() }, "closed 1006 ours=false"},
				{"the application closes", func(*client) error { return app.Peer("alice", "1").Close(4001, "") }, "closed 4001 ours=true"},
			} {
				c := s.connect(t, "alice", "1")
				want(end.what, "opened")
				if err := end.do(c); err != nil {
					t.Fatal(err)
				}
				if _, _, err := c.next(); err == nil { // the close frame
					_ = c.Close()
				}
				want(end.what, end.line)
			}

			// Visits of the keeper: the first finds signs of life, the second asks for one.
			c, err := websocket.Dial(t.Context(), s.url+"/?username=bob", websocket.DialOptions{TLS: s.tls})
			if err != nil {
				t.Fatal(err)
			}
			link, err := core.New(core.Options{}).Connect(core.Identity{Username: "server", UUID: "1"}, c)
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				c.Run(link)
			}()
			eventually(t, "a round trip", func() bool {
				s.handler.Visit()
				trips, _ := watch.Times()
				return trips > 0
			})
			eventually(t, "delays of events", func() bool {
				_, delays := watch.Times()
				return delays > 1 || runtime.GOOS != "linux" || p.options.Goroutines || p.tls && !p.ours
			})
			if conn, ok := app.Peer("bob", "1").Conn().(interface{ Queued() int }); !ok || conn.Queued() != 0 {
				t.Errorf("%T does not tell what is queued", app.Peer("bob", "1").Conn())
			}
			_ = c.Close(1000, "")
			<-ended
			want("the end", "opened", "closed 1000 ours=false")
		})
	}
}
