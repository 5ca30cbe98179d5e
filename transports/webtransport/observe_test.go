package webtransport_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/core/coretest"
	"github.com/protoo-go/protoo/transports/webtransport"
)

// TestObserve lets sessions begin and end in all ways, and looks at what the observer is told.
func TestObserve(t *testing.T) {
	var watch coretest.Watch
	app := echo()
	s := start(t, app, func(r *core.ConnectRequest) (core.Identity, error) {
		if r.QueryValue("username") == "mallory" {
			return core.Identity{}, core.Reject(http.StatusForbidden, "no")
		}
		return byQuery(r)
	}, webtransport.Options{Observe: watch.Observer(), CheckInterval: 100 * time.Millisecond})
	want := func(what string, lines ...string) {
		t.Helper()
		eventually(t, what, func() bool { return watch.Saw(lines...) })
	}

	if _, err := s.dial(t.Context(), "/", url.Values{"username": {"mallory"}}); err == nil {
		t.Fatal("mallory is in")
	}
	want("refusal", "wt refused 403")
	// A page learns of it in a session, which is not a peer's.
	page, err := s.open(t.Context(), "/?username=mallory", http.Header{"Origin": {"https://" + s.addr}})
	if err != nil {
		t.Fatal(err)
	}
	want("refusal of a page", "wt refused 403")
	page.drop()
	get(t, s.addr, "/page") // is no handshake

	for _, end := range []struct {
		what string
		do   func(c *client) error
		line string
	}{
		{"the client closes", func(c *client) error { return c.write(closing(1000, "")) }, "wt closed 1000 ours=false"},
		{"the client breaks the rules", func(c *client) error { return c.write(encode(3, nil)) }, "wt closed 1002 ours=true"},
		{"the client ends the session", func(c *client) error { return c.CloseWithError(4321, "") }, "wt closed 4321 ours=false"},
		{"the application closes", func(*client) error { return app.Peer("alice", "1").Close(4001, "") }, "wt closed 4001 ours=true"},
	} {
		c := s.connect(t, "alice", "1")
		want(end.what, "wt opened")
		c.exchange(t, "1")
		if err := end.do(c); err != nil {
			t.Fatal(err)
		}
		eventually(t, end.what, func() bool { return app.Peer("alice", "1") == nil })
		c.drop()
		want(end.what, end.line)
	}

	c := s.joinOurs(t, "bob", nil)
	c.request(t, "/echo", 1)
	eventually(t, "a round trip", func() bool {
		trips, _ := watch.Times()
		return trips > 0
	})
	if conn, ok := app.Peer("bob", "1").Conn().(interface{ Queued() int }); !ok || conn.Queued() != 0 {
		t.Errorf("%T does not tell what is queued", app.Peer("bob", "1").Conn())
	}
	c.leave()
	want("the end", "wt opened", "wt closed 1000 ours=false")
}
