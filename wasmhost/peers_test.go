package wasmhost

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"weak"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/wasmhost/kv"
)

func TestPeerFunctions(t *testing.T) {
	sim(t, func(t *testing.T, r *rig) {
		g := &guest{manifest: manifest(EventNotification).can(PeerRead, PeerSend, Log)}
		find, list, send, closePeer, log := g.call("peer_find"), g.call("peer_list"), g.call("peer_send"), g.call("peer_close"), g.call("log")
		bob := g.put([]byte("bob1"))
		message := frame(func(w *frameWriter) {
			w.add(fieldPeer, "bob", "")
			w.add(fieldMethod, "", "message")
			w.add(fieldPath, "", "/hello")
			w.add(fieldData, "", "1")
			w.add(fieldSender, "", `{"username":"module"}`)
		})
		bad := frame(func(w *frameWriter) { w.add(fieldPeer, "bob", "1"); w.addUint32(fieldStatus, 1006) })
		nobody := frame(func(w *frameWriter) { w.add(fieldPeer, "carol", "1"); w.add(fieldPath, "", "/") })
		kick := frame(func(w *frameWriter) {
			w.add(fieldPeer, "bob", "1")
			w.addUint32(fieldStatus, 4000)
			w.add(fieldReason, "", "out")
		})
		// What the functions return is logged as the level; one that is negative as 3.
		level := func(call ...[]byte) []byte { return seq(append(call, num(0), num(0), log)...) }
		at := func(f []byte, fn []byte) []byte { return level(num(g.put(f)), num(len(f)), fn) }
		g.on = seq(
			level(num(bob), num(3), num(0), num(0), find),      // bob's devices: 2
			level(num(bob), num(3), num(bob+3), num(1), find),  // bob/1: 1
			level(num(bob), num(2), num(0), num(0), find),      // bo: 0
			level(num(bob), num(3), num(0), num(0), list),      // no room for a header: -3
			level(num(bob), num(3), num(32768), num(40), list), // 2, of which one fits
			num(1), num(32768+24), num(4), log, // the first of them
			at(message, send), at(nobody, send), at(bad, closePeer), at(kick, closePeer),
		)
		m := r.load(g)
		b1, b2 := r.dial("bob", "1"), r.dial("bob", "2")
		if err := m.Notify("go", ""); err != nil {
			t.Fatal(err)
		}
		r.log.want(t, "log 2 ", "log 1 ", "log 0 ", "log 3 ", "log 2 ", "log 1 bob1", "log 0 ", "log 3 ", "log 3 ", "log 0 ")
		got := strings.Join(append(b1.take(), b2.take()...), "; ")
		got = idPattern.ReplaceAllString(got, `"id":ID`)
		want := `{"method":"message","path":"/hello","id":ID,"data":1,"sender":{"username":"module"}}; close 4000 out`
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		pause(time.Minute)
	})
}

// A pinned instance that is lost takes with it what it keeps, and nothing else.
func TestPinnedInstanceLost(t *testing.T) {
	sim(t, func(t *testing.T, r *rig) {
		g := &guest{manifest: manifest(EventRequest).push("data").can(Async).on(Pinned)}
		g.on = seq(local(1), num(frameHead+12), ne, ifThen, unreachable, end, g.give(actionPending, 0, nil))
		m := r.load(g, func(o *ModuleOptions) { o.Limits.Instances = 1 })
		r.app.Use("/", m.Handle)
		alice := r.dial("alice", "1")
		alice.ask("/a", "1", "1")
		alice.ask("/a", "2", "1")
		alice.ask("/a", "3", `"traps"`)
		got := alice.take()
		if len(got) != 3 || !strings.Contains(got[2], `"status":500,`) || !strings.Contains(got[2], `"id":"3"`) ||
			!strings.Contains(got[0], `{"status":503,`) || !strings.Contains(got[1], `{"status":503,`) {
			t.Errorf("got %q", got)
		}
		alice.ask("/a", "4", "1")
		if s := m.Stats(); s.Pending != 1 {
			t.Errorf("%d pending, want the one of the new instance", s.Pending)
		}
	})
}

// While a provisional response is on its way, the module that sees it decides about the request: the decision waits its turn.
func TestDecisionDuringResponse(t *testing.T) {
	sim(t, func(t *testing.T, r *rig) {
		g := &guest{manifest: manifest(EventRequest, EventTimer, EventResponse).push("status").can(Async, Log).on(Single)}
		timer, progress, complete := g.call("timer"), g.call("progress"), g.call("complete")
		soon := frame(func(w *frameWriter) { w.addUint32(fieldStatus, 150) })
		done := frame(func(w *frameWriter) { w.addUint32(fieldStatus, 250) })
		soonAt, doneAt := g.put(soon), g.put(done)
		g.on = seq(
			onEvent(EventRequest, num64(100), num64(0), num(0), num(0), timer, drop, g.give(actionPending, flagWatch, nil)),
			onEvent(EventTimer, num(soonAt), num(len(soon)), progress, drop, g.give(actionPending, 0, nil)),
			// The status is at 24.
			onEvent(EventResponse, load(bufferAt+24), num(150), eq, ifThen,
				load64(bufferAt+8), num(int(actionReply)), num(doneAt), num(len(done)), complete, drop, end),
		)
		m := r.load(g)
		r.app.Use("/", m.Handle)
		alice := r.dial("alice", "1")
		alice.ask("/a", "1", "1")
		pause(time.Second)
		alice.want(t, `{"status":150,"reason":"","id":"1"}`, `{"status":250,"reason":"","id":"1"}`)
		if s := m.Stats(); s.Events["response"] != 2 || s.Pending != 0 {
			t.Errorf("%v, %d pending", s.Events, s.Pending)
		}
		if v := m.current.Load(); v.refs.Load() != 1 {
			t.Errorf("%d holds on the version are left", v.refs.Load())
		}
	})
}

func TestSharedStore(t *testing.T) {
	r := newRig(t)
	store := kv.New(kv.Options{})
	g := &guest{manifest: manifest(EventNotification).can(KV)}
	g.on = seq(num(g.put([]byte("n"))), num(1), num64(1), num64(0), num(8), g.call("kv_add"), drop)
	with := func(o *ModuleOptions) { o.Store = store }
	for range 2 {
		m := r.load(g, with)
		for range 2 {
			if err := m.Notify("go", ""); err != nil {
				t.Fatal(err)
			}
			if err := m.Reload(t.Context(), g.bytes(), r.options(with)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n, err := store.Add([]byte("n"), 0, 0); n != 4 || err != nil {
		t.Errorf("%d, %v, want 4", n, err)
	}
}

func TestPrint(t *testing.T) {
	for _, granted := range []bool{true, false} {
		r := newRig(t)
		g := &guest{manifest: manifest(EventNotification)}
		if granted {
			g.manifest.can(Log)
		}
		words := g.put([]byte("one\ntwo\nthree"))
		vectors := g.put([]byte{byte(words), byte(words >> 8), 0, 0, 6, 0, 0, 0, byte(words + 6), byte(words >> 8), 0, 0, 7, 0, 0, 0})
		write := g.call(wasiPrefix + "fd_write")
		g.on = seq(
			num(1), num(vectors), num(2), num(8), write, drop,
			load(8), num(13), ne, ifThen, unreachable, end, // all of it is written
			num(2), num(vectors), num(1), num(8), write, drop,
			num(3), num(vectors), num(1), num(8), write, num(wasiBadFile), ne, ifThen, unreachable, end,
		)
		if err := r.load(g).Notify("go", ""); err != nil {
			t.Fatal(err)
		}
		if granted {
			r.log.want(t, "log 1 one", "log 1 two", "log 3 threeone")
		} else {
			r.log.want(t)
		}
	}
}

// Peers hear nothing of what a failing event has asked for.
func TestFailureDoesNothing(t *testing.T) {
	r := newRig(t)
	g := &guest{manifest: manifest(EventRequest).can(PeerSend)}
	message := frame(func(w *frameWriter) {
		w.add(fieldPeer, "bob", "1")
		w.add(fieldMethod, "", "message")
		w.add(fieldPath, "", "/")
	})
	g.on = seq(num(g.put(message)), num(len(message)), g.call("peer_send"), drop, unreachable)
	r.app.Use("/", r.load(g).Handle)
	alice, bob := r.dial("alice", "1"), r.dial("bob", "1")
	alice.ask("/a", "1", "1")
	if got := alice.take(); len(got) != 1 || !strings.Contains(got[0], "trap") {
		t.Errorf("got %q", got)
	}
	bob.want(t)
}

// A module that sets a timer, or sends a message, before it is in service is told that it cannot.
func TestNothingBeforeService(t *testing.T) {
	sim(t, func(t *testing.T, r *rig) {
		g := &guest{manifest: manifest(EventConfiguration, EventSelfTest, EventTimer).can(Async, PeerSend, Log)}
		timer, send, log := g.call("timer"), g.call("peer_send"), g.call("log")
		message := frame(func(w *frameWriter) {
			w.add(fieldPeer, "bob", "1")
			w.add(fieldPath, "", "/")
		})
		// -2 is logged as level 3 for the least of unsigned numbers, 0 as level 0.
		ask := seq(num64(1), num64(0), num(0), num(0), timer, num(0), num(0), log, num(g.put(message)), num(len(message)), send, num(0), num(0), log)
		g.init = seq(ask, num64(bufferAt<<32|bufferCap))
		g.on = seq(onEvent(EventTimer, unreachable), ask)
		bob := r.dial("bob", "1")
		m := r.load(g)
		pause(time.Second)
		r.log.want(t, slices.Repeat([]string{"log 3 "}, 3*2)...)
		bob.want(t)
		if s := m.Stats(); s.Timers != 0 || s.Sends != 0 {
			t.Errorf("%d timers, %d sends", s.Timers, s.Sends)
		}
	})
}

// How long a peer has for its answer is bounded, and a version that is closed does not wait for it.
func TestSlowAnswers(t *testing.T) {
	sim(t, func(t *testing.T, r *rig) {
		asker := func(timeout time.Duration) *guest {
			g := &guest{manifest: manifest(EventNotification, EventReply).can(PeerSend, Log)}
			message := frame(func(w *frameWriter) {
				w.add(fieldPeer, "bob", "1")
				w.add(fieldMethod, "", "message")
				w.add(fieldPath, "", "/")
				w.addUint32(fieldTimeout, uint32(timeout/time.Millisecond))
			})
			send, log := g.call("peer_send"), g.call("log")
			g.on = seq(onEvent(EventReply, unreachable), num(g.put(message)), num(len(message)), send, num(0), num(0), log)
			return g
		}
		r.dial("bob", "1")
		m := r.load(asker(2*time.Minute + time.Millisecond))
		_ = m.Notify("a", "")
		r.log.want(t, "log 3 ")
		if err := m.Reload(t.Context(), asker(2*time.Minute).bytes(), r.options()); err != nil {
			t.Fatal(err)
		}
		_ = m.Notify("a", "")
		r.log.want(t, "log 0 ")
		if err := m.Reload(t.Context(), replier("next").bytes(), r.options()); err != nil {
			t.Fatal(err)
		}
		pause(29 * time.Second)
		if s := m.Stats(); s.Versions != 2 || s.Sends != 1 {
			t.Errorf("%d versions, %d sends", s.Versions, s.Sends)
		}
		pause(time.Second)
		if s := m.Stats(); s.Versions != 1 || s.Sends != 0 {
			t.Errorf("%d versions, %d sends", s.Versions, s.Sends)
		}
		pause(2 * time.Minute)
		r.log.want(t)
	})
}

// A module that is closed hears of no more peers, and the application does not keep it.
func TestClosedModuleIsForgotten(t *testing.T) {
	r := newRig(t)
	word := func(text string) *guest {
		g := &guest{manifest: manifest(EventOnline).can(Log)}
		g.on = seq(num(1), num(g.put([]byte(text))), num(len(text)), g.call("log"))
		return g
	}
	forgotten := func() weak.Pointer[Module] {
		m := r.load(word("first"))
		r.load(word("second"))
		r.dial("alice", "1")
		r.log.want(t, "log 1 first", "log 1 second")
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		return weak.Make(m)
	}()
	r.dial("bob", "1")
	r.log.want(t, "log 1 second")
	for range 10 {
		if runtime.GC(); forgotten.Value() == nil {
			return
		}
	}
	t.Error("the module is still there")
}

func TestOnlineStoresData(t *testing.T) {
	r := newRig(t)
	g := &guest{manifest: manifest(EventOnline).push("peer")}
	g.on = g.give(actionNext, flagChanges, frame(func(w *frameWriter) { w.add(fieldPeerData, "level", "3"); w.add(fieldPeerData, "gone", "") }))
	r.load(g)
	r.app.OnOnline(func(p *core.Peer) { r.log.add("%v", fmt.Sprint(p.Data().Map())) })
	r.dial("alice", "1")
	r.log.want(t, "map[level:3]")
}

// What a module cannot pay for is not begun: it walks through all peers, or one user's, with fuel for some of them.
func TestPeersArePaidBefore(t *testing.T) {
	const devices, out, room = 100, 32768, 8192
	const field = fieldHead + 8 // "bob" and three digits
	for _, tt := range []struct {
		name  string
		call  func(g *guest) []byte
		fuel  int64
		bytes int // that are written at most
	}{
		{"list all", func(g *guest) []byte { return seq(num(0), num(0), num(out), num(room), g.call("peer_list")) }, devices * costPeer / 2, 0},
		{"list a user's", func(g *guest) []byte {
			return seq(num(g.put([]byte("bob"))), num(3), num(out), num(room), g.call("peer_list"))
		},
			devices * costPeer / 2, frameHead + devices/2*field},
		{"find by uuid", func(g *guest) []byte {
			return seq(num(0), num(0), num(g.put([]byte("100"))), num(3), g.call("peer_find"))
		}, devices * costPeer / 2, 0},
		{"find a user's", func(g *guest) []byte {
			return seq(num(g.put([]byte("bob"))), num(3), num(0), num(0), g.call("peer_find"))
		},
			devices * costPeer / 2, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			g := &guest{manifest: manifest(EventNotification).can(PeerRead)}
			g.on = seq(tt.call(g), drop)
			for i := range devices {
				r.dial("bob", fmt.Sprint(devices+i))
			}
			if err := r.load(g).Notify("go", ""); err != nil {
				t.Fatal(err)
			}
			m := r.load(g, func(o *ModuleOptions) { o.Limits.Fuel = tt.fuel })
			v := m.current.Load()
			in, err := v.pool.take(nil)
			if err != nil {
				t.Fatal(err)
			}
			in.event.kind = EventNotification
			if err := v.perform(in, &turn{}); kindOf(err) != KindFuel {
				t.Fatalf("got %v, want it to be out of fuel", err)
			}
			written, _ := in.memory.Read(out, room)
			if n := len(bytes.TrimRight(written, "\x00")); n > tt.bytes {
				t.Errorf("%d bytes are written, want at most %d", n, tt.bytes)
			}
			v.pool.discard(in, false)
		})
	}
}
