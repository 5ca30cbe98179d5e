package wasmhost

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/protoo-go/protoo/core"
)

func TestValueOf(t *testing.T) {
	for _, tt := range []struct {
		text string
		want any
		err  string
	}{
		{`"a\n"`, "a\n", ""},
		{` 1.5 `, 1.5, ""},
		{`true`, true, ""},
		{`null`, nil, ""},
		{"\n[1, 2] ", core.JSON("[1, 2]"), ""},
		{`{"a":{}}`, core.JSON(`{"a":{}}`), ""},
		{`[1`, nil, "invalid JSON: unexpected end"},
		{`{"a"}`, nil, `expected ":"`},
		{strings.Repeat("[", 100) + strings.Repeat("]", 100), nil, "nested deeper"},
		{`x`, nil, "invalid character"},
		{` `, nil, "unexpected end"},
	} {
		got, err := valueOf(tt.text)
		if tt.err == "" && (err != nil || !reflect.DeepEqual(got, tt.want)) || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%.20s: got %#v, %v; want %#v, %q", tt.text, got, err, tt.want, tt.err)
		}
	}
}

// What a module returns is checked and stored for its fuel, and not at all if there is not enough.
func TestPriceOfResult(t *testing.T) {
	list := "[" + strings.Repeat("[],", 1000) + "1]"
	result := frame(func(w *frameWriter) { w.add(fieldProperty, "list", list) })
	r := newRig(t)
	g := &guest{manifest: manifest(EventRequest)}
	g.on = g.give(actionNext, flagChanges, result)
	m := r.load(g)
	seen := any(nil)
	look := func(req *core.Request, _ core.Next) error { seen = req.Get("list"); return req.Reply(200, "") }
	r.app.Use("/rich", m.Handle, look)
	poor := r.load(g, func(o *ModuleOptions) { o.Limits.Fuel = int64(len(result)) * costParsed })
	r.app.Use("/poor", poor.Handle, look)
	alice := r.dial("alice", "1")
	before := m.Stats().Fuel
	alice.ask("/rich", "1", "1")
	alice.want(t, `{"status":200,"reason":"","id":"1"}`)
	if used, want := m.Stats().Fuel-before, uint64(len(result)*costParsed); used < want || used > 2*want {
		t.Errorf("used %d, want a little more than %d", used, want)
	}
	if seen != core.JSON(list) {
		t.Errorf("the handler sees %.20v", seen)
	}
	alice.ask("/poor", "2", "1")
	alice.want(t, `{"status":500,"reason":"module test 1: fuel at event request: out of fuel","id":"2"}`)
}

// storer stores 1,000 bytes about the peer under a name that is that of the last event plus 1.
func storer(e Event, flags int) *guest {
	g := &guest{manifest: manifest(e)}
	result := frame(func(w *frameWriter) { w.add(fieldPeerData, "key0", `"`+strings.Repeat("x", 998)+`"`) })
	at := g.put(result)
	const key = frameHead + fieldHead
	g.on = seq(num(bufferAt), num(at), num(len(result)), memoryCopy, store(at+key, load(at+key), num(1<<24), add),
		num64(int64(len(result))<<32|int64(flags)<<8), ret)
	return g
}

// There is so much that modules can store about a peer, and no more, whatever the event.
func TestPeerDataLimit(t *testing.T) {
	const limit, room = 5000, 4 // values of 1,000 bytes, each with what it takes besides
	options := func(o *ModuleOptions) { o.Limits.PeerData, o.Limits.Instances = limit, 1 }
	keys := func(p *core.Peer) int { return len(p.Data().Map()) }

	t.Run("request", func(t *testing.T) {
		r := newRig(t)
		m := r.load(storer(EventRequest, flagChanges), options)
		r.app.Use("/", m.Handle)
		r.app.All("/a", last)
		alice := r.dial("alice", "1")
		for i := range 10 {
			alice.ask("/a", "1", "1")
			want := `{"status":200,"reason":"/a","id":"1","data":1}`
			if i >= room {
				want = `{"status":503,"reason":"service unavailable","id":"1"}`
			}
			alice.want(t, want)
		}
		p := r.app.Peer("alice", "1")
		if s := m.Stats(); keys(p) != room || s.Failures[KindLimit] != 10-room || s.Broken {
			t.Errorf("%d keys, %v", keys(p), s.Failures)
		}
		p.Data().Delete("key1")
		alice.ask("/a", "1", "1")
		alice.want(t, `{"status":200,"reason":"/a","id":"1","data":1}`)
		if n := keys(p); n != room {
			t.Errorf("%d keys", n)
		}
	})
	t.Run("response", func(t *testing.T) {
		r := newRig(t)
		g := storer(EventResponse, flagChanges)
		g.manifest = manifest(EventRequest, EventResponse)
		g.on = seq(onEvent(EventRequest, g.give(actionNext, flagWatch, nil)), g.on)
		m := r.load(g, options)
		r.app.Use("/", m.Handle)
		r.app.All("/a", last)
		alice := r.dial("alice", "1")
		for i := range 10 {
			alice.ask("/a", "1", "1")
			want := `{"status":200,"reason":"/a","id":"1","data":1}`
			if i >= room {
				want = `{"status":200,"reason":"/a","id":"1"}`
			}
			alice.want(t, want)
		}
		if n := keys(r.app.Peer("alice", "1")); n != room {
			t.Errorf("%d keys", n)
		}
	})
	t.Run("online", func(t *testing.T) {
		r := newRig(t)
		m := r.load(storer(EventOnline, flagChanges), func(o *ModuleOptions) { o.Limits.PeerData = 1000 })
		r.dial("alice", "1")
		if n := keys(r.app.Peer("alice", "1")); n != 0 || m.Stats().Failures[KindLimit] != 1 {
			t.Errorf("%d keys, failures %v", n, m.Stats().Failures)
		}
	})
	t.Run("connect", func(t *testing.T) {
		r := newRig(t)
		g := &guest{manifest: manifest(EventConnect)}
		g.on = g.give(actionReply, 0, frame(func(w *frameWriter) {
			w.add(fieldPeer, "alice", "1")
			for i := range room + 1 {
				w.add(fieldPeerData, fmt.Sprint(i), `"`+strings.Repeat("x", 998)+`"`)
			}
		}))
		m := r.load(g, options)
		_, err := m.Accept(nil)(&core.ConnectRequest{})
		if kind(err) != KindLimit || m.Stats().Failures[KindLimit] != 1 {
			t.Errorf("got %v", err)
		}
	})
}

// What a module keeps, sends and waits for has so many bytes, together.
func TestHeldLimit(t *testing.T) {
	sim(t, func(t *testing.T, r *rig) {
		const limit, size = 5000, 1000
		g := &guest{manifest: manifest(EventRequest, EventNotification).can(Async, PeerSend, Log)}
		send, timer, log := g.call("peer_send"), g.call("timer"), g.call("log")
		message := frame(func(w *frameWriter) {
			w.add(fieldPeer, "bob", "1")
			w.add(fieldMethod, "", "message")
			w.add(fieldPath, "", "/")
			w.add(fieldData, "", `"`+strings.Repeat("x", size)+`"`)
		})
		// -2 is logged as level 3 for the least of unsigned numbers, 0 as level 0.
		g.on = seq(
			onEvent(EventRequest, g.give(actionPending, 0, nil)),
			num64(30_000), num64(0), num(0), num(size), timer, num(0), num(0), log,
			num(g.put(message)), num(len(message)), send, num(0), num(0), log,
		)
		m := r.load(g, func(o *ModuleOptions) { o.Limits.Held = limit })
		r.app.Use("/", m.Handle)
		alice := r.dial("alice", "1")
		r.dial("bob", "1")
		ask := func(want ...string) {
			t.Helper()
			alice.ask("/a", "1", `"`+strings.Repeat("x", size)+`"`)
			alice.want(t, want...)
		}
		const full = `{"status":503,"reason":"service unavailable","id":"1"}`
		ask()
		if err := m.Notify("a", ""); err != nil {
			t.Error(err)
		}
		r.log.want(t, "log 0 ", "log 0 ")
		if held := m.Stats().Held; held < 3*(size+perHeld) || held > limit {
			t.Errorf("%d bytes are held", held)
		}
		ask(full)
		if err := m.Notify("a", ""); err != nil {
			t.Error(err)
		}
		r.log.want(t, "fail request limit", "route module test 1: limit at event request: it keeps too many requests: 503 service unavailable", "log 3 ", "log 3 ")
		pause(30 * time.Second) // the message and the timer are over, and so is the patience with what is kept
		alice.take()
		if s := m.Stats(); s.Held != 0 || s.Pending != 0 || s.Timers != 0 {
			t.Errorf("%d bytes, %d pending, %d timers", s.Held, s.Pending, s.Timers)
		}
		ask()
	})
}

// Who a connection belongs to is checked where the module says it, which makes it the module's failure.
func TestBadIdentity(t *testing.T) {
	for _, name := range []peerName{{"", "1"}, {"alice", ""}, {strings.Repeat("x", 257), "1"}} {
		r := newRig(t)
		g := &guest{manifest: manifest(EventConnect)}
		g.on = g.give(actionReply, 0, frame(func(w *frameWriter) { w.add(fieldPeer, name.username, name.uuid) }))
		_, err := r.load(g).Accept(nil)(&core.ConnectRequest{})
		if kind(err) != KindFrame || !strings.Contains(err.Error(), "both names have 1 to 256 bytes") {
			t.Errorf("%.20q: got %v", name, err)
		}
		r.log.want(t, "fail connect frame")
	}
}
