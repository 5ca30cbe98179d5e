package wasmhost

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protoo-go/protoo/core"
)

// sim runs a test with simulated time.
func sim(t *testing.T, fn func(t *testing.T, r *rig)) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.app.OnRouteError(func(err error, _ *core.Request) { r.log.add("route %v", err) })
		fn(t, r)
	})
}

// pause lets time pass and everything happen.
func pause(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// echoData is a module's code that returns an action with a frame which has one field: the data that it was
// told. It works for frames with a single field.
func echoData(a action, flags int) []byte {
	// total is at 0: the result is total<<32 | flags<<8 | action, the buffer already has the frame.
	return seq(load(bufferAt), extend, num64(32), []byte{0x86}, num64(int64(flags)<<8|int64(a)), or64, ret)
}

// What an event asks for is done before its action, also when that is a provisional reply.
func TestOrder(t *testing.T) {
	for _, action := range []action{actionReply, actionPending} {
		r := newRig(t)
		g := &guest{manifest: manifest(EventRequest, EventTimer).can(Async)}
		provisional := func(status uint32) []byte {
			return frame(func(w *frameWriter) { w.addUint32(fieldStatus, status) })
		}
		first := provisional(101)
		g.on = seq(num(g.put(first)), num(len(first)), g.call("progress"), drop, g.give(action, 0, provisional(102)))
		r.app.Use("/", r.load(g).Handle)
		alice := r.dial("alice", "1")
		alice.ask("/a", "1", "1")
		want := []string{`{"status":101,"reason":"","id":"1"}`, `{"status":102,"reason":"","id":"1"}`}
		if action == actionPending {
			want = want[:1]
		}
		alice.want(t, want...)
	}
}

// A provisional reply that cannot be sent fails its request.
func TestBadProvisionalReply(t *testing.T) {
	r := newRig(t)
	g := &guest{manifest: manifest(EventRequest).can(Async)}
	g.on = g.give(actionReply, 0, frame(func(w *frameWriter) { w.addUint32(fieldStatus, 102); w.add(fieldData, "", "{") }))
	m := r.load(g)
	r.app.Use("/", m.Handle)
	alice := r.dial("alice", "1")
	alice.ask("/a", "1", "1")
	alice.want(t, `{"status":500,"reason":"module test 1: frame at event request: invalid JSON: unexpected end (at byte 1)","id":"1"}`)
	if n := m.Stats().Pending; n != 0 {
		t.Errorf("%d pending", n)
	}
}

// A module that keeps as many requests as it may is not left alone for it.
func TestPendingLimit(t *testing.T) {
	r := newRig(t)
	g := &guest{manifest: manifest(EventRequest).can(Async).push("path")}
	g.on = seq(load(bufferAt+24), num(0x65656b2f), eq, ifThen, g.give(actionPending, 0, nil), end, // "/kee"
		g.give(actionReply, 0, frame(text(fieldReason, "good"))))
	m := r.load(g, func(o *ModuleOptions) { o.Limits.Pending = 1 })
	r.app.Use("/", m.Handle)
	alice := r.dial("alice", "1")
	alice.ask("/keep", "1", "1")
	for range 2 * breakAfter {
		alice.ask("/keep", "2", "1")
		alice.want(t, `{"status":503,"reason":"service unavailable","id":"2"}`)
	}
	alice.ask("/good", "3", "1")
	alice.want(t, `{"status":200,"reason":"good","id":"3"}`)
	if s := m.Stats(); s.Failures[KindLimit] != 2*breakAfter || s.Broken {
		t.Errorf("failures %v, broken %v", s.Failures, s.Broken)
	}
}

// What follows from an event goes to the instance that has seen it, or fails with that, if the module is pinned. A single
// instance that is made again hears of what its predecessor has begun.
func TestLostInstance(t *testing.T) {
	for affinity, want := range map[Affinity]string{
		Shared: `,"data":"changed"}`,
		Single: `,"data":"changed"}`,
		Pinned: `}`,
	} {
		t.Run(string(affinity), func(t *testing.T) {
			r := newRig(t)
			g := &guest{manifest: manifest(EventRequest, EventResponse).push("path").on(affinity)}
			g.on = seq(
				onEvent(EventRequest, load(bufferAt+24), num(0x6461622f), eq, ifThen, unreachable, end, g.give(actionNext, flagWatch, nil)), // "/bad"
				onEvent(EventResponse, g.give(actionNext, flagChanges, frame(text(fieldData, `"changed"`)))),
			)
			r.app.Use("/", r.load(g, func(o *ModuleOptions) { o.Limits.Instances = 1 }).Handle)
			var held *core.Request
			r.app.All("/a", func(req *core.Request, _ core.Next) error { held = req; return nil })
			alice := r.dial("alice", "1")
			alice.ask("/a", "1", "1")
			alice.ask("/bad", "2", "1")
			alice.take()
			if err := held.Reply(200, "", core.JSON(`"data"`)); err != nil {
				t.Error(err)
			}
			alice.want(t, `{"status":200,"reason":"","id":"1"`+want)
		})
	}
}

func TestWatch(t *testing.T) {
	for _, affinity := range []Affinity{Shared, Pinned, Single, Fresh} {
		t.Run(string(affinity), func(t *testing.T) {
			r := newRig(t)
			g := &guest{manifest: manifest(EventRequest, EventResponse).push("status").on(affinity).can(Log)}
			carry := frame(func(w *frameWriter) { w.addBytes(fieldCarry, []byte("my carry")) })
			changed := frame(text(fieldData, `"watched"`))
			log := g.call("log")
			g.on = seq(
				onEvent(EventRequest, g.give(actionNext, flagWatch, carry)),
				// The frame is: header, status (8+4 bytes), carry (8+8 bytes).
				onEvent(EventResponse, num(1), num(bufferAt+16+12+8), num(8), log, g.give(actionNext, flagChanges, changed)),
			)
			m := r.load(g)
			r.app.Use("/", m.Handle)
			r.app.All("/a", func(req *core.Request, _ core.Next) error {
				_ = req.Reply(100, "soon", 1)
				return req.Reply(200, "now", 2)
			})
			alice := r.dial("alice", "1")
			for range 3 {
				alice.ask("/a", "1", "null")
				alice.want(t, `{"status":100,"reason":"soon","id":"1","data":"watched"}`, `{"status":200,"reason":"now","id":"1","data":"watched"}`)
				r.log.want(t, "log 1 my carry", "log 1 my carry")
			}
			if s := m.Stats(); s.Events["response"] != 6 || s.Events["request"] != 3 {
				t.Errorf("events %v", s.Events)
			}
			if v := m.current.Load(); v.refs.Load() != 1 {
				t.Errorf("%d holds on the version are left, want its own", v.refs.Load())
			}
		})
	}
}

func TestWatchFails(t *testing.T) {
	for policy, want := range map[OnError]string{
		Fail: `{"status":200,"reason":"/a","id":"1"}`,
		Skip: `{"status":200,"reason":"/a","id":"1","data":1}`,
	} {
		t.Run(string(policy), func(t *testing.T) {
			r := newRig(t)
			g := &guest{manifest: manifest(EventRequest, EventResponse)}
			g.on = seq(onEvent(EventRequest, g.give(actionNext, flagWatch, nil)), unreachable)
			m := r.load(g, func(o *ModuleOptions) { o.OnError = policy })
			r.app.Use("/", m.Handle)
			r.app.All("/a", last)
			alice := r.dial("alice", "1")
			alice.ask("/a", "1", "1")
			alice.want(t, want)
			r.log.want(t, "fail response trap")
		})
	}
}

func TestPending(t *testing.T) {
	keeper := func(then action, flags int, frame []byte) *guest {
		g := &guest{manifest: manifest(EventRequest, EventTimer).can(Async)}
		timer := g.call("timer")
		g.on = seq(
			onEvent(EventRequest, num64(1000), num64(7), num(bufferAt), num(0), timer, drop, g.give(actionPending, 0, nil)),
			onEvent(EventTimer, g.give(then, flags, frame)),
		)
		return g
	}
	t.Run("reply", func(t *testing.T) {
		sim(t, func(t *testing.T, r *rig) {
			m := r.load(keeper(actionReply, 0, frame(text(fieldReason, "later"))))
			r.app.Use("/", m.Handle)
			alice := r.dial("alice", "1")
			alice.ask("/a", "1", "1")
			if s := m.Stats(); s.Pending != 1 || s.Timers != 1 {
				t.Errorf("%d pending, %d timers, want one each", s.Pending, s.Timers)
			}
			alice.want(t)
			pause(time.Second)
			alice.want(t, `{"status":200,"reason":"later","id":"1"}`)
			if s := m.Stats(); s.Pending != 0 || s.Timers != 0 {
				t.Errorf("%d pending, %d timers, want none", s.Pending, s.Timers)
			}
		})
	})
	t.Run("next", func(t *testing.T) {
		sim(t, func(t *testing.T, r *rig) {
			m := r.load(keeper(actionNext, flagChanges, frame(text(fieldPath, "/b"))))
			r.app.Use("/", m.Handle)
			r.app.All("/b", last)
			alice := r.dial("alice", "1")
			alice.ask("/a", "1", "1")
			pause(time.Second)
			alice.want(t, `{"status":200,"reason":"/b","id":"1","data":1}`)
		})
	})
	t.Run("error", func(t *testing.T) {
		sim(t, func(t *testing.T, r *rig) {
			m := r.load(keeper(actionError, 0, frame(text(fieldError, "no"))))
			r.app.Use("/", m.Handle)
			alice := r.dial("alice", "1")
			alice.ask("/a", "1", "1")
			pause(time.Second)
			alice.want(t, `{"status":500,"reason":"no","id":"1"}`)
			r.log.want(t, "route no")
		})
	})
	t.Run("never", func(t *testing.T) {
		sim(t, func(t *testing.T, r *rig) {
			m := r.load(keeper(actionPending, 0, nil))
			r.app.Use("/", m.Handle)
			alice := r.dial("alice", "1")
			alice.ask("/a", "1", "1")
			pause(29 * time.Second)
			alice.want(t)
			pause(time.Second)
			alice.want(t, `{"status":500,"reason":"module test 1: timeout at event request: it has kept the request for too long","id":"1"}`)
		})
	})
	t.Run("too many", func(t *testing.T) {
		sim(t, func(t *testing.T, r *rig) {
			m := r.load(keeper(actionReply, 0, frame(text(fieldReason, "later"))), func(o *ModuleOptions) { o.Limits.Pending = 2 })
			r.app.Use("/", m.Handle)
			alice := r.dial("alice", "1")
			for i := range 3 {
				alice.ask("/a", fmt.Sprint(i), "1")
			}
			alice.want(t, `{"status":503,"reason":"service unavailable","id":"2"}`)
			pause(time.Second)
			got := alice.take()
			slices.Sort(got) // timers that end at the same time do so in any order
			if want := []string{`{"status":200,"reason":"later","id":"0"}`, `{"status":200,"reason":"later","id":"1"}`}; !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	})
	t.Run("closed", func(t *testing.T) {
		sim(t, func(t *testing.T, r *rig) {
			m := r.load(keeper(actionReply, 0, frame(text(fieldReason, "later"))))
			r.app.Use("/", m.Handle)
			alice := r.dial("alice", "1")
			alice.ask("/a", "1", "1")
			if err := m.Close(); err != nil {
				t.Error(err)
			}
			alice.want(t, `{"status":503,"reason":"service unavailable","id":"1"}`)
			alice.ask("/a", "2", "1")
			alice.want(t, `{"status":503,"reason":"service unavailable","id":"2"}`)
			if s := m.Stats(); s.Instances != 0 || s.Pending != 0 || s.Timers != 0 || s.Versions != 0 {
				t.Errorf("left over: %+v", s)
			}
			if err := m.Close(); !errors.Is(err, ErrClosed) {
				t.Errorf("a second Close: %v", err)
			}
		})
	})
	t.Run("without the capability", func(t *testing.T) {
		sim(t, func(t *testing.T, r *rig) {
			g := &guest{manifest: manifest(EventRequest)}
			g.on = g.give(actionPending, 0, nil)
			r.app.Use("/", r.load(g).Handle)
			alice := r.dial("alice", "1")
			alice.ask("/a", "1", "1")
			alice.want(t, `{"status":500,"reason":"module test 1: frame at event request: it keeps a request without the capability async","id":"1"}`)
		})
	})
}

// questioner asks bob about every request and answers with what bob says.
func questioner(affinity Affinity) *guest {
	g := &guest{manifest: manifest(EventRequest, EventReply).push("data").can(PeerSend, Async).on(affinity)}
	question := g.put(frame(func(w *frameWriter) {
		w.add(fieldPeer, "bob", "1")
		w.add(fieldMethod, "", "message")
		w.add(fieldPath, "", "/question")
		w.add(fieldData, "", "42")
	}))
	send := g.call("peer_send")
	size := int(frameHead + 8 + 4 + 8 + 8 + 8 + 12 + 8 + 4)
	g.on = seq(
		onEvent(EventRequest,
			num(question), num(size), send, ifThen, g.give(actionReply, 0, frame(text(fieldReason, "nobody"))), end,
			g.give(actionPending, 0, nil)),
		onEvent(EventReply, echoData(actionReply, 0)),
	)
	return g
}

func TestAsk(t *testing.T) {
	for _, affinity := range []Affinity{Shared, Pinned, Single, Fresh} {
		t.Run(string(affinity), func(t *testing.T) {
			sim(t, func(t *testing.T, r *rig) {
				m := r.load(questioner(affinity))
				r.app.Use("/", m.Handle)
				alice := r.dial("alice", "1")
				alice.ask("/a", "1", "1")
				alice.want(t, `{"status":200,"reason":"nobody","id":"1"}`)
				bob := r.dial("bob", "1")
				alice.ask("/a", "2", "1")
				var q struct{ ID string }
				got := bob.take()
				if len(got) != 1 {
					t.Fatalf("bob got %q", got)
				}
				if err := core.JSON(got[0]).Bind(&q); err != nil {
					t.Fatal(err)
				}
				bob.tell(`{"status":200,"reason":"","id":%q,"data":{"answer":1}}`, q.ID)
				alice.want(t, `{"status":200,"reason":"","id":"2","data":{"answer":1}}`)

				alice.ask("/a", "3", "1")
				if s := m.Stats(); s.Sends != 1 {
					t.Errorf("%d sends, want 1", s.Sends)
				}
				pause(10 * time.Second) // bob does not answer: the response has no data
				alice.want(t, `{"status":200,"reason":"","id":"3"}`)
				if s := m.Stats(); s.Sends != 0 || s.Pending != 0 {
					t.Errorf("%d sends, %d pending, want none", s.Sends, s.Pending)
				}
				if v := m.current.Load(); v.refs.Load() != 1 {
					t.Errorf("%d holds on the version are left", v.refs.Load())
				}
			})
		})
	}
}

func TestReturned(t *testing.T) {
	r := newRig(t)
	g := &guest{manifest: manifest(EventRequest, EventReturned).can(Log)}
	log := g.call("log")
	word := g.put([]byte("afterbefore"))
	g.on = seq(
		onEvent(EventRequest, num(1), num(word+5), num(6), log, g.give(actionNext, flagReturned, nil)),
		onEvent(EventReturned, num(1), num(word), num(5), log, g.give(actionReply, 0, frame(text(fieldReason, "after all")))),
	)
	r.app.Use("/", r.load(g).Handle)
	r.app.All("/a", last)
	r.app.All("/b", func(*core.Request, core.Next) error { r.log.add("b"); return nil })
	alice := r.dial("alice", "1")
	alice.ask("/a", "1", "1")
	alice.want(t, `{"status":200,"reason":"/a","id":"1","data":1}`)
	r.log.want(t, "log 1 before", "log 1 after")
	alice.ask("/b", "2", "1")
	alice.want(t, `{"status":200,"reason":"after all","id":"2"}`)
	r.log.want(t, "log 1 before", "b", "log 1 after")
}

func TestConnect(t *testing.T) {
	accepted := frame(func(w *frameWriter) {
		w.add(fieldPeer, "alice", "phone")
		w.add(fieldPeerData, "role", `"admin"`)
	})
	cases := []struct {
		name string
		give func(g *guest) []byte
		want string
	}{
		{"accept", func(g *guest) []byte { return g.give(actionReply, 0, accepted) }, "alice/phone map[role:admin] <nil>"},
		{"reject", func(g *guest) []byte {
			return g.give(actionError, 0, frame(func(w *frameWriter) { w.addUint32(fieldStatus, 401); w.add(fieldReason, "", "no token") }))
		}, "/ map[] 401 no token"},
		{"reject without a word", func(g *guest) []byte { return g.give(actionError, 0, nil) }, "/ map[] 403 Rejected"},
		{"pass", func(g *guest) []byte { return g.give(actionNext, 0, nil) }, "behind/1 map[] <nil>"},
		{"nobody", func(g *guest) []byte { return g.give(actionReply, 0, frame(func(*frameWriter) {})) }, "/ map[] module test 1: frame at event connect: a connection is accepted without a peer"},
		{"skip", func(g *guest) []byte { return g.give(actionSkipRoute, 0, nil) }, "/ map[] module test 1: frame at event connect: action 1 is not for connections"},
		{"trap", func(*guest) []byte { return unreachable }, "/ map[] module test 1: trap at event connect: wasm error: unreachable"},
		{"later", func(g *guest) []byte {
			return seq(
				onEvent(EventConnect, num64(500), num64(0), num(0), num(0), g.call("timer"), drop, g.give(actionPending, 0, nil)),
				onEvent(EventTimer, g.give(actionReply, 0, accepted)))
		}, "alice/phone map[role:admin] <nil>"},
		{"never", func(g *guest) []byte { return g.give(actionPending, 0, nil) }, "/ map[] module test 1: timeout at event request: it has kept the request for too long"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			sim(t, func(t *testing.T, r *rig) {
				g := &guest{manifest: manifest(EventConnect, EventTimer).can(Async)}
				g.on = c.give(g)
				accept := r.load(g).Accept(func(*core.ConnectRequest) (core.Identity, error) {
					return core.Identity{Username: "behind", UUID: "1"}, nil
				})
				id, err := accept(&core.ConnectRequest{Context: t.Context()})
				if got := fmt.Sprintf("%s/%s %v %v", id.Username, id.UUID, id.Data, err); got != c.want {
					t.Errorf("got  %s\nwant %s", got, c.want)
				}
			})
		})
	}
}

func TestConnectGivenUp(t *testing.T) {
	sim(t, func(t *testing.T, r *rig) {
		g := &guest{manifest: manifest(EventConnect).can(Async)}
		g.on = g.give(actionPending, 0, nil)
		m := r.load(g)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := m.Accept(nil)(&core.ConnectRequest{Context: ctx}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if s := m.Stats(); s.Pending != 0 {
			t.Errorf("%d pending", s.Pending)
		}
	})
}

// What a module is told: every field comes to it as the manifest asks for it. The module answers with its own frame
// as text.
func TestFields(t *testing.T) {
	r := newRig(t)
	g := &guest{manifest: manifest(EventRequest, EventOnline, EventOffline, EventConnect, EventConfiguration, EventNotification).can(Log)}
	g.manifest.push("method", "path", "base", "param:room", "param:none", "data", "sender", "peer", "peer.data:role", "property", "id",
		"query", "header:X-Token", "origin", "remote", "transport", "secure")
	g.on = seq(num(0), num(bufferAt), local(1), g.call("log"))
	var frames []string
	r.host.options.OnLog = func(e LogEntry) { frames = append(frames, e.Text) }
	m := r.load(g, func(o *ModuleOptions) { o.Settings = `{"a":1}` })
	r.app.Use("/rooms/:room", func(req *core.Request, next core.Next) error {
		req.Set("n", 1.5)
		req.Set("list", []string{"<"})
		req.Set("bad", make(chan int))
		next()
		return nil
	}, func(req *core.Request, next core.Next) error {
		req.Peer().Data().Set("role", "admin")
		next()
		return nil
	}, m.Handle)
	alice := r.dial("alice", "1")
	alice.ask("/rooms/42/x", "7", "[true]")
	_ = alice.link.Peer().Close(0, "")
	if err := m.Notify("tick", `"tock"`); err != nil {
		t.Error(err)
	}
	_, err := m.Accept(nil)(&core.ConnectRequest{
		Transport: "wss", Path: "/p", Query: map[string][]string{"b": {"1", "2"}, "a": {""}}, Header: map[string][]string{"X-Token": {"t"}, "Other": {"o"}},
		Origin: "https://example.org", RemoteAddr: "1.2.3.4:5", Secure: true,
	})
	if err == nil {
		t.Error("accepted without a listener behind")
	}
	want := []string{
		`data={"a":1}`,
		`peer(alice)=1`,
		`method=message path=/x base=/rooms/42 param(room)=42 data=[true] sender={"username":"alice","uuid":"1"} peer(alice)=1 peer.data(role)="admin" property(list)=["<"] property(n)=1.5 id=7`,
		`peer(alice)=1 peer.data(role)="admin"`,
		`method=tick data="tock"`,
		`path=/p query(a)= query(b)=1 query(b)=2 header(X-Token)=t origin=https://example.org remote=1.2.3.4:5 transport=wss secure=[1 0 0 0]`,
	}
	// The log has replaced what is not text, so look at the memory's copy through the hook's text: fields are separated
	// by their headers. It is enough that each value is there, in order.
	if len(frames) != len(want) {
		t.Fatalf("told of %d events, want %d: %q", len(frames), len(want), frames)
	}
	for i, line := range want {
		at := 0
		for f := range strings.FieldsSeq(line) {
			name, value, _ := strings.Cut(f, "=")
			_, key, _ := strings.Cut(strings.TrimSuffix(name, ")"), "(")
			if strings.HasPrefix(name, "secure") {
				key, value = "", "\x01"
				value = strings.Map(func(rune) rune { return ' ' }, value)
			}
			n := strings.Index(frames[i][at:], key+value)
			if n < 0 {
				t.Errorf("event %d: %s is not in %q", i, f, frames[i][at:])
				break
			}
			at += n + len(key+value)
		}
	}
}
