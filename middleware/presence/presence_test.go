package presence

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/middleware/internal/peertest"
)

// run tests a board mounted at /presence.
func run(t *testing.T, o core.Options, po Options, test func(*peertest.World)) {
	t.Helper()
	peertest.Run(t, o, func(w *peertest.World) {
		w.App.Use("/presence", New(w.App, po).Handle)
		test(w)
	})
}

// ask is a request to watch, and users the answer to it.
func ask(names string) string {
	return `{"method":"presence","path":"/presence","id":1,"data":{"usernames":` + names + `}}`
}

func users(list string) string {
	return `{"status":200,"reason":"OK","id":1,"data":{"users":[` + list + `]}}`
}

func told(username, uuid string, online bool) string {
	return fmt.Sprintf(`{"method":"presence","path":"/presence","id":"$_","data":{"username":%q,"uuid":%q,"online":%t}}`, username, uuid, online)
}

func TestWatch(t *testing.T) {
	run(t, core.Options{}, Options{}, func(w *peertest.World) {
		alice, bob := w.Connect("alice", "1"), w.Connect("bob", "1")
		alice.Send(ask(`["bob","carol","bob","__proto__"]`))
		alice.Expect(users(`{"username":"bob","uuids":["1"]},{"username":"carol","uuids":[]},{"username":"bob","uuids":["1"]},{"username":"__proto__","uuids":[]}`))

		carol := w.Connect("carol", "x/y")
		w.Connect("dave", "1")
		alice.Expect(told("carol", "x/y", true))
		w.Connect("bob", "2")
		alice.Expect(told("bob", "2", true))
		carol.Disconnect()
		bob.Disconnect()
		alice.Expect(told("carol", "x/y", false), told("bob", "1", false))

		// What alice answers is nothing to complain about.
		w.Connect("carol", "2")
		frame := alice.Received()[0]
		var push struct{ ID string }
		if err := json.Unmarshal([]byte(frame), &push); err != nil {
			t.Fatal(err)
		}
		alice.SendRaw(`{"status":404,"reason":"no handler","id":"` + push.ID + `"}`)
		if s := w.App.Stats(); s.StrayResponses != 0 || s.BadMessages != 0 {
			t.Errorf("stats are %+v", s)
		}

		// The next request replaces the names.
		alice.Send(ask(`["dave"]`))
		alice.Expect(users(`{"username":"dave","uuids":["1"]}`))
		w.Connect("carol", "3")
		alice.Expect()
		w.Connect("dave", "2")
		alice.Expect(told("dave", "2", true))
		alice.Send(ask(`[]`))
		alice.Expect(users(``))
		w.Connect("dave", "3")
		alice.Expect()
	})
}

func TestOneself(t *testing.T) {
	run(t, core.Options{}, Options{}, func(w *peertest.World) {
		phone := w.Connect("alice", "phone")
		phone.Send(ask(`["alice"]`))
		phone.Expect(users(`{"username":"alice","uuids":["phone"]}`))
		w.Connect("alice", "laptop").Disconnect()
		phone.Expect(told("alice", "laptop", true), told("alice", "laptop", false))
		phone.Disconnect()
		phone.Expect()
	})
}

// A reload, a take-over and a short loss of the network are nothing that others notice.
func TestGracePeriod(t *testing.T) {
	run(t, core.Options{GracePeriod: 5 * time.Second}, Options{}, func(w *peertest.World) {
		alice, bob := w.Connect("alice", "1"), w.Connect("bob", "1")
		alice.Send(ask(`["bob"]`))
		alice.Expect(users(`{"username":"bob","uuids":["1"]}`))
		bob.Disconnect()
		time.Sleep(4 * time.Second)
		alice.Send(ask(`["bob"]`))
		alice.Expect(users(`{"username":"bob","uuids":["1"]}`))
		bob = w.Connect("bob", "1")
		w.Connect("bob", "1")
		bob.Disconnect()
		time.Sleep(time.Minute)
		alice.Expect()

		// The watcher keeps watching, and is told what it has missed.
		alice.Disconnect()
		w.Connect("bob", "2")
		alice = w.Connect("alice", "1")
		alice.Expect(told("bob", "2", true))
		w.Connect("bob", "3")
		alice.Expect(told("bob", "3", true))

		alice.Disconnect()
		time.Sleep(6 * time.Second)
		alice = w.Connect("alice", "1")
		w.Connect("bob", "4")
		alice.Expect()
	})
}

func TestBounds(t *testing.T) {
	run(t, core.Options{}, Options{MaxNames: 2, MaxDevices: 2}, func(w *peertest.World) {
		alice := w.Connect("alice", "1")
		for _, uuid := range []string{"1", "2", "3"} {
			w.Connect("bob", uuid)
		}
		const form = `data must be {\"usernames\":[...]}`
		for _, tt := range []struct{ data, reason string }{
			{`,"data":{"usernames":["a","b","c"]}`, "3 usernames, at most 2 can be watched"},
			{`,"data":{"usernames":["a",""]}`, "a username has 1 to 256 bytes"},
			{`,"data":{"usernames":["` + strings.Repeat("ä", 129) + `"]}`, "a username has 1 to 256 bytes"},
			{`,"data":{"usernames":["a",1]}`, form},
			{`,"data":{"usernames":null}`, form},
			{`,"data":{}`, form},
			{`,"data":[]`, form},
			{`,"data":null`, form},
			{``, form},
		} {
			alice.SendRaw(`{"method":"presence","path":"/presence","id":1` + tt.data + `}`)
			alice.Expect(`{"status":400,"reason":"` + tt.reason + `","id":1}`)
		}
		w.Connect("a", "1")
		alice.Expect()
		alice.Send(ask(`["bob"]`))
		alice.Expect(users(`{"username":"bob","uuids":["1","2"],"more":true}`))
		w.Connect("bob", "4")
		alice.Expect(told("bob", "4", true))
		for _, other := range []string{`"method":"message","path":"/presence"`, `"method":"presence","path":"/presence/bob"`} {
			alice.Send(`{` + other + `,"id":1,"data":{"usernames":[]}}`)
			alice.Expect(`{"status":404,"reason":"no handler for $_","id":1}`)
		}
	})
}

func TestAllow(t *testing.T) {
	allow := func(watcher *core.Peer, username string) bool {
		return watcher.Username() == "alice" || username == "bob"
	}
	run(t, core.Options{}, Options{Allow: allow}, func(w *peertest.World) {
		alice, mallory := w.Connect("alice", "1"), w.Connect("mallory", "1")
		for _, c := range []*peertest.Client{alice, mallory} {
			c.Send(ask(`["bob","carol"]`))
			c.Expect(users(`{"username":"bob","uuids":[]},{"username":"carol","uuids":[]}`))
		}
		w.Connect("carol", "1")
		w.Connect("bob", "1")
		alice.Expect(told("carol", "1", true), told("bob", "1", true))
		mallory.Expect(told("bob", "1", true))
		mallory.Send(ask(`["carol"]`))
		mallory.Expect(users(`{"username":"carol","uuids":[]}`))
	})
}

// A device comes online, or goes, when the answer has been made and not been sent.
func TestChangeBeforeAnswer(t *testing.T) {
	peertest.Run(t, core.Options{}, func(w *peertest.World) {
		var meanwhile func()
		w.App.Use("/presence", func(req *core.Request, next core.Next) error {
			req.OnResponse(func(*core.Response) { meanwhile() })
			next()
			return nil
		}, New(w.App, Options{}).Handle)
		alice, bob := w.Connect("alice", "1"), w.Connect("bob", "1")
		meanwhile = func() {
			w.Connect("bob", "2")
			bob.Disconnect()
		}
		alice.Send(ask(`["bob"]`))
		alice.Expect(told("bob", "2", true), told("bob", "1", false),
			users(`{"username":"bob","uuids":["1"]}`),
			told("bob", "1", false), told("bob", "2", true))
	})
}

// A watcher goes offline while its request is handled.
func TestWatcherGone(t *testing.T) {
	for _, at := range []string{"before", "after"} {
		t.Run(at, func(t *testing.T) {
			peertest.Run(t, core.Options{}, func(w *peertest.World) {
				b := newBoard(w.App, Options{})
				var alice *peertest.Client
				w.App.Use("/presence", func(req *core.Request, next core.Next) error {
					if at == "before" {
						alice.Disconnect()
					} else {
						req.OnResponse(func(*core.Response) { alice.Disconnect() })
					}
					next()
					return nil
				}, b.router().Handle)
				alice = w.Connect("alice", "1")
				alice.Send(ask(`["bob","alice"]`))
				w.Connect("bob", "1")
				alice.Expect()
				if len(b.watchers) != 0 || len(b.watched) != 0 {
					t.Errorf("the board remembers %v, %v", b.watchers, b.watched)
				}
				if errs := w.RouteErrors(); len(errs) > 1 {
					t.Errorf("route errors: %v", errs)
				}
			})
		})
	}
}

// Devices come and go while others ask. In the end each watcher knows what is true.
func TestRace(t *testing.T) {
	peertest.Run(t, core.Options{}, func(w *peertest.World) {
		b := newBoard(w.App, Options{MaxDevices: -1})
		w.App.Use("/presence", b.router().Handle)
		var watchers []*peertest.Client
		for i := range 4 {
			watchers = append(watchers, w.Connect("watcher", fmt.Sprint(i)))
		}
		var all sync.WaitGroup
		for i, c := range watchers {
			all.Go(func() {
				for n := range 40 {
					c.SendRaw(ask([]string{`["bob","carol"]`, `["carol","bob"]`, `["bob"]`}[(i+n)%3]))
				}
				c.SendRaw(ask(`["bob","carol"]`))
			})
		}
		for i := range 4 {
			all.Go(func() {
				name := []string{"bob", "carol"}[i%2]
				for range 20 {
					w.Connect(name, fmt.Sprint(i)).Disconnect()
				}
				if i < 3 {
					w.Connect(name, fmt.Sprint(i))
				}
			})
		}
		all.Wait()
		synctest.Wait()
		want := map[string]bool{"bob/0": true, "carol/1": true, "bob/2": true}
		for i, c := range watchers {
			if got := view(t, c.Received()); !maps.Equal(got, want) {
				t.Errorf("watcher %d believes %v, want %v", i, got, want)
			}
			c.Disconnect()
		}
		w.App.Peers("", "", func(p *core.Peer) { _ = p.Close(0, "") })
		if len(b.watchers) != 0 || len(b.watched) != 0 {
			t.Errorf("the board remembers %v, %v", b.watchers, b.watched)
		}
	})
}

// view is what a client believes that has received these frames.
func view(t *testing.T, frames []string) map[string]bool {
	t.Helper()
	online := make(map[string]bool)
	for _, frame := range frames {
		var m struct {
			Status int
			Data   struct {
				Users []user
				change
			}
		}
		if err := json.Unmarshal([]byte(frame), &m); err != nil {
			t.Fatal(err)
		}
		set := func(username, uuid string, on bool) {
			delete(online, username+"/"+uuid)
			if on {
				online[username+"/"+uuid] = true
			}
		}
		for _, u := range m.Data.Users {
			maps.DeleteFunc(online, func(key string, _ bool) bool { return strings.HasPrefix(key, u.Username+"/") })
			for _, uuid := range u.UUIDs {
				set(u.Username, uuid, true)
			}
		}
		if m.Status == 0 {
			set(m.Data.Username, m.Data.UUID, m.Data.Online)
		}
	}
	return online
}

func FuzzWatch(f *testing.F) {
	for _, seed := range []string{`{"usernames":["a","b"]}`, `{"usernames":[]}`, `{"Usernames":["\ud800"]}`, `[]`, `null`, `{"usernames":["a","a","a"]}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data string) {
		app := core.New(core.Options{})
		b := newBoard(app, Options{MaxNames: 2})
		app.Use("/presence", b.router().Handle)
		var answers recorder
		link, err := app.Connect(core.Identity{Username: "a", UUID: "1"}, &answers)
		if err != nil {
			t.Fatal(err)
		}
		link.Receive(core.NewLoop(func() {}), []byte(`{"method":"presence","path":"/presence","id":1,"data":`+data+`}`))
		var names struct{ Usernames []string }
		good := json.Unmarshal([]byte(data), &names) == nil && names.Usernames != nil && len(names.Usernames) <= 2 &&
			!slices.ContainsFunc(names.Usernames, func(s string) bool { return s == "" || len(s) > 256 })
		if accepted := strings.HasPrefix(answers.last, `{"status":200`); accepted && !good {
			t.Errorf("%q was answered with %s", data, answers.last)
		}
		if len(b.watched) > 2 {
			t.Errorf("%d names are watched", len(b.watched))
		}
		link.Closed(core.CloseAbnormal, "")
		if len(b.watchers) != 0 || len(b.watched) != 0 {
			t.Errorf("the board remembers %v, %v", b.watchers, b.watched)
		}
	})
}

// recorder is a connection that keeps what was sent last.
type recorder struct{ last string }

func (r *recorder) Send(msg []byte) error   { r.last = string(msg); return nil }
func (r *recorder) Close(int, string) error { return nil }
func (r *recorder) Resume()                 {}
func (r *recorder) String() string          { return "test" }
