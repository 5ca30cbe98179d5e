package core

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// visited returns the peers that Peers visits, sorted, and checks the count.
func visited(t *testing.T, app *App, username, uuid string) string {
	t.Helper()
	var names []string
	n := app.Peers(username, uuid, func(p *Peer) { names = append(names, p.String()) })
	if n != len(names) || n != app.Peers(username, uuid, nil) {
		t.Errorf("Peers(%q, %q): returned %d, visited %d", username, uuid, n, len(names))
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func TestPeers(t *testing.T) {
	app := New(Options{})
	conns := map[string]*fakeConn{}
	for _, name := range []string{"alice/1", "alice/2", "alice/3", "bob/1", "carol/2"} {
		username, uuid, _ := strings.Cut(name, "/")
		conns[name] = dial(t, app, username, uuid)
	}
	for _, tt := range []struct{ username, uuid, want string }{
		{"alice", "", "alice/1 alice/2 alice/3"},
		{"alice", "2", "alice/2"},
		{"bob", "", "bob/1"},
		{"", "1", "alice/1 bob/1"},
		{"", "", "alice/1 alice/2 alice/3 bob/1 carol/2"},
		{"bob", "2", ""},
		{"dave", "", ""},
		{"", "4", ""},
		{"Alice", "1", ""},
	} {
		if got := visited(t, app, tt.username, tt.uuid); got != tt.want {
			t.Errorf("Peers(%q, %q): got %q, want %q", tt.username, tt.uuid, got, tt.want)
		}
	}
	if app.Peer("alice", "2") != conns["alice/2"].peer() || app.Peer("alice", "") != nil || app.Peer("", "1") != nil {
		t.Error("Peer wants the whole identity")
	}
	if n := app.Stats().Peers; n != 5 {
		t.Errorf("Stats: got %d peers", n)
	}
}

// TestPeersComeAndGo compares the registry with a plain list.
func TestPeersComeAndGo(t *testing.T) {
	app := New(Options{})
	random := rand.New(rand.NewPCG(1, 2))
	online := map[string]*fakeConn{}
	for range 3000 {
		username, uuid := fmt.Sprint("user", random.IntN(4)), fmt.Sprint(random.IntN(6))
		name := username + "/" + uuid
		if c := online[name]; c != nil && random.IntN(2) == 0 {
			c.link.Closed(1000, "")
			delete(online, name)
		} else {
			online[name] = dial(t, app, username, uuid)
		}
		of := func(prefix, suffix string) string {
			var names []string
			for name := range online {
				if strings.HasPrefix(name, prefix) && strings.HasSuffix(name, suffix) {
					names = append(names, name)
				}
			}
			slices.Sort(names)
			return strings.Join(names, " ")
		}
		for _, q := range []struct{ username, uuid, want string }{
			{username, "", of(username+"/", "")}, {"", uuid, of("", "/"+uuid)}, {"", "", of("", "")},
		} {
			if got := visited(t, app, q.username, q.uuid); got != q.want {
				t.Fatalf("Peers(%q, %q): got %q, want %q", q.username, q.uuid, got, q.want)
			}
		}
	}
	for _, c := range online {
		c.link.Closed(1000, "")
	}
	if len(app.peers) != 0 || len(app.users) != 0 {
		t.Errorf("%d peers and %d users are left", len(app.peers), len(app.users))
	}
}

// TestPeersVisitsSnapshot: visit may do anything, peers come and go meanwhile.
func TestPeersVisitsSnapshot(t *testing.T) {
	app := New(Options{})
	for i := range 20 {
		dial(t, app, "alice", fmt.Sprint(i))
	}
	var e events
	app.OnOffline(func(p *Peer) { e.add("offline") })
	seen := map[*Peer]bool{}
	n := app.Peers("alice", "", func(p *Peer) {
		if seen[p] {
			t.Errorf("%v was visited twice", p)
		}
		seen[p] = true
		if len(seen) == 1 {
			app.Peers("", "", func(other *Peer) {
				if err := other.Close(0, ""); err != nil {
					t.Error(err)
				}
			})
		}
		dial(t, app, "alice", fmt.Sprint(len(seen)+100))
		dial(t, app, p.Username(), p.UUID())
	})
	if n != 20 || len(seen) != 20 {
		t.Errorf("%d peers were visited, Peers returned %d, want 20", len(seen), n)
	}
	if n := app.Peers("", "", nil); n != 40 {
		t.Errorf("%d peers are online, want 40", n)
	}
}

// TestIdentities: usernames and uuids are plain data.
func TestIdentities(t *testing.T) {
	app := New(Options{})
	good := []string{
		"__proto__", "constructor", "toString", "/", "a/b", ".", "..", "%2F", " ", "\x00", "\n", `"`, "日本", "\U0001f600",
		"alice", "Alice", strings.Repeat("x", 256),
	}
	for _, name := range good {
		dial(t, app, name, "1")
		dial(t, app, "1", name)
	}
	for _, name := range good {
		p, q := app.Peer(name, "1"), app.Peer("1", name)
		if p == nil || q == nil || p.Username() != name || q.UUID() != name {
			t.Errorf("%q: got %v and %v", name, p, q)
			continue
		}
		if app.Peers(name, "", nil) != 1 || app.Peers("1", name, nil) != 1 {
			t.Errorf("%q is not visited", name)
		}
	}
	// The slash that String puts between them does not make different peers equal.
	a, b := dial(t, app, "x/y", "z"), dial(t, app, "x", "y/z")
	if a.peer() == b.peer() {
		t.Error("x/y with z and x with y/z are one peer")
	}
	a.wantClosed(t)

	for _, id := range []Identity{
		{UUID: "1"}, {Username: "alice"}, {Username: "\xff", UUID: "1"}, {Username: "alice", UUID: "a\xc0\x80"},
		{Username: strings.Repeat("x", 257), UUID: "1"}, {Username: "alice", UUID: strings.Repeat("日", 86)},
	} {
		before := app.Stats().Peers
		if err := newFakeConn().connect(app, id); err == nil {
			t.Errorf("%.20q with %.20q is online", id.Username, id.UUID)
		}
		if app.Stats().Peers != before {
			t.Error("a refused identity is counted as a peer")
		}
	}
}

func TestBroadcast(t *testing.T) {
	app := New(Options{})
	var conns []*fakeConn
	for _, name := range []string{"alice/1", "alice/2", "bob/1"} {
		username, uuid, _ := strings.Cut(name, "/")
		conns = append(conns, dial(t, app, username, uuid))
	}
	req := NewRequest("news", "/a", map[string]int{"n": 1})
	if err := req.SetSender(map[string]string{"name": "server"}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		username, uuid string
		want           []int // how many messages each peer gets
	}{
		{"", "", []int{1, 1, 1}},
		{"alice", "", []int{1, 1, 0}},
		{"alice", "2", []int{0, 1, 0}},
		{"", "1", []int{1, 0, 1}},
		{"carol", "", []int{0, 0, 0}},
	} {
		sent, err := app.Broadcast(tt.username, tt.uuid, req)
		if err != nil {
			t.Error(err)
		}
		total := 0
		for i, c := range conns {
			got := c.take()
			total += len(got)
			if len(got) != tt.want[i] {
				t.Errorf("to %q, %q: peer %d got %q", tt.username, tt.uuid, i, got)
			}
			for _, text := range got {
				m, err := parse(text)
				if err != nil || m.method != "news" || m.path != "/a" || m.data != `{"n":1}` || m.sender != `{"name":"server"}` {
					t.Errorf("sent %s", text)
				}
			}
		}
		if sent != total {
			t.Errorf("to %q, %q: Broadcast returned %d, sent %d", tt.username, tt.uuid, sent, total)
		}
	}

	conns[0].room = 0
	conns[1].fail = ErrClosed
	if sent, err := app.Broadcast("", "", req); sent != 1 || err != nil {
		t.Errorf("with a slow and a closed connection: got %d, %v", sent, err)
	}
	conns[0].wantClosed(t, "1013 too slow")
	for _, c := range conns {
		if n := len(c.peer().pending); n != 0 {
			t.Errorf("a broadcast left %d transactions", n)
		}
	}
}

// A quietConn takes everything and keeps nothing.
type quietConn struct{}

func (quietConn) Send([]byte) error       { return nil }
func (quietConn) Close(int, string) error { return nil }
func (quietConn) Resume()                 {}
func (quietConn) String() string          { return "quiet" }

// TestBroadcastAllocations: the cost of one peer more is that of its connection.
func TestBroadcastAllocations(t *testing.T) {
	app := New(Options{})
	req := NewRequest("message", "/", "hello")
	measure := func() float64 {
		return testing.AllocsPerRun(20, func() {
			if _, err := app.Broadcast("", "", req); err != nil {
				t.Fatal(err)
			}
		})
	}
	connect := func(n int) {
		for i := range n {
			if _, err := app.Connect(Identity{Username: fmt.Sprint(len(app.peers)), UUID: fmt.Sprint(i)}, quietConn{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	connect(20)
	few := measure()
	connect(980)
	// The race detector has sync.Pool lose a buffer now and then.
	if many := measure(); many > few+2 {
		t.Errorf("a broadcast to 20 peers makes %v allocations, one to 1,000 makes %v", few, many)
	}
}
