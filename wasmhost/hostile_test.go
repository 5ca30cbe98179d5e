package wasmhost

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/protoo-go/protoo/core"
)

// A hostile is a module that means harm, and what becomes of the request.
type hostile struct {
	name  string
	build func(g *guest)
	kind  Kind // "" if it gets away with it, because it does no harm
	why   string
}

var hostiles = []hostile{
	{"endless loop", func(g *guest) {
		g.on = seq(loop, again, end)
	}, KindFuel, "out of fuel"},
	{"endless loop with a body", func(g *guest) {
		g.on = seq(loop, local(2), num(1), add, assign(2), local(2), againIf, again, end)
	}, KindFuel, "out of fuel"},
	{"exponential calls", func(g *guest) {
		for i := range 40 {
			if i < 39 {
				g.helpers = append(g.helpers, seq(g.helper(i+1), g.helper(i+1)))
			} else {
				g.helpers = append(g.helpers, nil)
			}
		}
		g.on = g.helper(0)
	}, KindFuel, "out of fuel"},
	{"endless recursion", func(g *guest) {
		g.helpers = [][]byte{g.helper(0)}
		g.on = g.helper(0)
	}, "", ""}, // ends by fuel or by the end of the stack
	{"memory.fill", func(g *guest) {
		g.on = seq(loop, num(0), num(0), num(65536), memoryFill, again, end)
	}, KindFuel, "out of fuel"},
	{"memory.copy", func(g *guest) {
		g.on = seq(loop, num(0), num(0), num(65536), memoryCopy, again, end)
	}, KindFuel, "out of fuel"},
	{"memory.grow", func(g *guest) {
		g.on = seq(num(1), memoryGrow, num(-1), eq, ifThen, unreachable, end, loop, num(1), memoryGrow, num(-1), ne, againIf, end)
	}, "", ""}, // reaches the limit, and goes on
	{"memory.grow without end", func(g *guest) {
		g.on = seq(loop, num(1000), memoryGrow, drop, again, end)
	}, KindFuel, "out of fuel"},
	{"table.grow to all that there can be", func(g *guest) {
		g.table = true
		g.on = seq(nullFunc, num(-2), tableGrow, drop)
	}, KindFuel, "out of fuel"},
	{"table.grow", func(g *guest) {
		g.table = true
		g.on = seq(nullFunc, num(4_000_000), tableGrow, num(-1), ne, ifThen, unreachable, end, loop, nullFunc, num(10_000), tableGrow, num(-1), ne, againIf, end)
	}, "", ""}, // reaches the limit, and goes on
	{"table.grow without end", func(g *guest) {
		g.table = true
		g.on = seq(loop, nullFunc, num(1000), tableGrow, drop, again, end)
	}, KindFuel, "out of fuel"},
	{"trap", func(g *guest) { g.on = unreachable }, KindTrap, "unreachable"},
	{"load outside of the memory", func(g *guest) { g.on = seq(load(-4), drop) }, KindTrap, "out of bounds memory access"},
	{"store outside of the memory", func(g *guest) { g.on = store(1<<24, num(1)) }, KindTrap, "out of bounds memory access"},
	{"host calls", func(g *guest) {
		get := g.call("get")
		g.on = seq(loop, num(1), num(0), num(0), num(0), num(0), get, drop, again, end)
	}, KindFuel, "out of fuel"},
	{"host calls that copy", func(g *guest) {
		get := g.call("get")
		g.on = seq(loop, num(5), num(0), num(0), num(0), num(65536), get, drop, again, end)
	}, KindFuel, "out of fuel"},
	{"random bytes", func(g *guest) {
		random := g.call("random")
		g.on = seq(loop, num(0), num(65536), random, again, end)
	}, KindFuel, "out of fuel"},
	{"log storm", func(g *guest) {
		log := g.call("log")
		g.on = seq(loop, num(1), num(0), num(65536), log, again, end)
	}, KindFuel, "out of fuel"},
	{"kv storm", func(g *guest) {
		kv := g.call("kv_add")
		g.on = seq(loop, num(dataAt), num(4), num64(1), num64(0), num(0), kv, drop, store(dataAt, load(dataAt), num(1), add), again, end)
		g.pages = 2
	}, KindFuel, "out of fuel"},
	{"timer storm", func(g *guest) {
		timer := g.call("timer")
		g.on = seq(loop, num64(1), num64(0), num(0), num(4096), timer, drop, again, end)
	}, KindFuel, "out of fuel"},
	{"list of all peers, again and again", func(g *guest) {
		list := g.call("peer_list")
		g.on = seq(loop, num(0), num(0), num(0), num(65536), list, drop, again, end)
	}, KindFuel, "out of fuel"},
	{"message storm", func(g *guest) {
		at := g.put(frame(func(w *frameWriter) {
			w.add(fieldPeer, "bob", "1")
			w.add(fieldMethod, "", "message")
			w.add(fieldPath, "", "/")
		}))
		send := g.call("peer_send")
		g.on = seq(loop, num(at), num(frameHead+12+16+12), send, drop, again, end)
	}, KindFuel, "out of fuel"},
	{"large messages", func(g *guest) {
		f := frame(func(w *frameWriter) {
			w.add(fieldPeer, "alice", "1")
			w.add(fieldMethod, "", "message")
			w.add(fieldPath, "", "/")
			w.add(fieldData, "", "["+strings.Repeat("1,", 20_000)+"1]")
		})
		at := g.put(f)
		send := g.call("peer_send")
		g.pages = 2
		g.on = seq(loop, num(at), num(len(f)), send, drop, again, end)
	}, KindFuel, "out of fuel"},
	{"printing the whole memory in one call", func(g *guest) {
		// Many vectors that each are the whole memory.
		vectors := g.put([]byte(strings.Repeat("\x00\x00\x00\x00\x00\x00\x01\x00", 1024)))
		write := g.call(wasiPrefix + "fd_write")
		g.on = seq(loop, num(1), num(vectors), num(1024), num(0), write, drop, again, end)
	}, KindFuel, "out of fuel"},
	{"printing nothing in many parts", func(g *guest) {
		write := g.call(wasiPrefix + "fd_write")
		g.on = seq(loop, num(1), num(32768), num(1024), num(0), write, drop, again, end)
	}, KindFuel, "out of fuel"},
	{"printing empty lines", func(g *guest) {
		lines := g.put(bytes.Repeat([]byte("\n"), 4096))
		write := g.call(wasiPrefix + "fd_write")
		g.on = seq(store(8, num(lines)), store(12, num(4096)), loop, num(1), num(8), num(1), num(0), write, drop, again, end)
	}, KindFuel, "out of fuel"},
	{"the whole memory as a name", func(g *guest) {
		find := g.call("peer_find")
		g.on = seq(loop, num(0), num(65536), num(0), num(65536), find, drop, again, end)
	}, KindFuel, "out of fuel"},
	{"large values in the store", func(g *guest) {
		cas := g.call("kv_cas")
		g.on = seq(loop, num(dataAt), num(4), num(0), num(-1), num(0), num(4096), num64(0), cas, drop, store(dataAt, load(dataAt), num(1), add), again, end)
	}, KindFuel, "out of fuel"},
	{"the whole memory as a key", func(g *guest) {
		add, get := g.call("kv_add"), g.call("kv_get")
		g.on = seq(num(dataAt), num(4), num64(1), num64(0), num(0), add, drop, loop, num(0), num(65536), num(0), num(0), get, drop, again, end)
	}, KindFuel, "out of fuel"},
	{"host function with an address outside", func(g *guest) {
		g.on = seq(num(0), num(65530), num(7), g.call("log"))
	}, KindMemory, "outside of its memory"},
	{"host function with a length outside", func(g *guest) {
		g.on = seq(num(0), num(0), num(-1), g.call("log"))
	}, KindMemory, "outside of its memory"},
	{"host function that writes outside", func(g *guest) {
		g.on = seq(num(1), num(0), num(0), num(65535), num(100), g.call("get"), drop)
	}, KindMemory, "outside of its memory"},
	{"unknown action", func(g *guest) { g.on = g.give(numActions, 0, nil) }, KindFrame, "action 6 is not known"},
	{"unknown flags", func(g *guest) { g.on = g.give(actionNext, 8, nil) }, KindFrame, "flags 0x8 are not known"},
	{"length beyond the buffer", func(g *guest) { g.on = seq(num64((bufferCap+1)<<32), ret) }, KindFrame, "frame of 8193 bytes in a buffer of 8192"},
	{"length of 4 GiB", func(g *guest) { g.on = seq(num64(-1<<32), ret) }, KindFrame, "frame of 4294967295 bytes"},
	{"frame of rubbish", func(g *guest) {
		g.on = g.give(actionReply, 0, []byte(strings.Repeat("\xff", 100)))
	}, KindFrame, "frame says that it has 4294967295 bytes, it has 100"},
	{"frame with a field that is too long", func(g *guest) {
		f := frame(text(fieldReason, "x"))
		copy(f[20:], "\xff\xff\xff\x7f")
		g.on = g.give(actionReply, 0, f)
	}, KindFrame, "frame is cut off"},
	{"reply without a frame", func(g *guest) { g.on = g.give(actionReply, 0, nil) }, KindFrame, "the result has no frame"},
	{"exit", func(g *guest) {
		g.on = seq(num(3), g.call(wasiPrefix+"proc_exit"))
	}, KindExit, "exit_code(3)"},
	{"trap in init", func(g *guest) { onceOnly(g, unreachable); g.on = unreachable }, KindTrap, "unreachable"},
	{"endless loop in init", func(g *guest) { onceOnly(g, seq(loop, again, end)); g.on = seq(loop, again, end) }, KindFuel, "out of fuel"},
	{"messages without the grant", sendsAnyway, "", ""}, // it is told that there is nothing to be had, see TestNoGrantNoMessage
}

// onceOnly lets a module's first instance be made, which is the one that loading it makes, and no other. What it asks the store
// keeps a failed instance from being put back, so that another one has to be made.
func onceOnly(g *guest, harm []byte) {
	key := g.put([]byte("made"))
	made := g.call("kv_add")
	g.init = seq(num(key), num(4), num64(1), num64(0), num(8), made, drop,
		load(8), num(1), ne, ifThen, harm, end, num64(bufferAt<<32|bufferCap))
}

// sendsAnyway tries whatever takes a frame or sends elsewhere to reach a peer, without peer.send. It traps if it is not refused.
func sendsAnyway(g *guest) {
	g.manifest.can(slices.DeleteFunc(Capabilities(), func(c Capability) bool { return c == PeerSend })...)
	message := frame(func(w *frameWriter) {
		w.add(fieldPeer, "bob", "1")
		w.add(fieldMethod, "", "message")
		w.add(fieldPath, "", "/")
		w.add(fieldData, "", `"from nobody"`)
		w.addUint32(fieldTimeout, 1000)
	})
	at := g.put(message)
	progress, complete, send := g.call("progress"), g.call("complete"), g.call(wasiPrefix+"sock_send")
	orTrap := func(want int) []byte { return seq(num(want), ne, ifThen, unreachable, end) }
	g.on = seq(
		num(at), num(len(message)), progress, orTrap(codeInvalid),
		load64(bufferAt+8), num(int(actionNext)), num(at), num(len(message)), complete, orTrap(codeInvalid),
		num(3), num(at), num(len(message)), num(0), num(0), send, orTrap(wasiNoSys),
		g.give(actionReply, flagChanges, message),
	)
}

// Whatever a module does, the next one serves as before.
func TestHostile(t *testing.T) {
	for _, procs := range []int{1, 2} {
		for _, h := range hostiles {
			t.Run(fmt.Sprintf("%s/procs=%d", h.name, procs), func(t *testing.T) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
				r := newRig(t)
				g := &guest{manifest: manifest(EventRequest, EventReply).can(Capabilities()...)}
				h.build(g)
				m := r.load(g)
				good := r.load(replier("good"))
				var failure error
				r.app.OnRouteError(func(err error, _ *core.Request) { failure = err })
				r.app.Use("/bad", m.Handle)
				r.app.Use("/good", good.Handle)
				r.app.All("*", last)
				alice, bob := r.dial("alice", "1"), r.dial("bob", "1")
				for range 2 {
					failure = nil
					alice.ask("/bad", "1", "1")
					if h.kind != "" && (kind(failure) != h.kind || !strings.Contains(failure.Error(), h.why)) {
						t.Errorf("got %v, want %s: %s", failure, h.kind, h.why)
					}
					alice.take()
					alice.ask("/good", "2", "1")
					alice.want(t, `{"status":200,"reason":"good","id":"2"}`)
				}
				bob.want(t)
				if s := m.Stats(); s.Instances > 2 || s.Sends != 0 || s.Pending != 0 || s.Timers != 0 {
					t.Errorf("left over: %+v", s)
				}
			})
		}
	}
}

// A module that may not send reaches nobody but who has sent the request, and gets to know it.
func TestNoGrantNoMessage(t *testing.T) {
	r := newRig(t)
	g := &guest{manifest: manifest(EventRequest)}
	sendsAnyway(g)
	r.app.Use("/", r.load(g, func(o *ModuleOptions) { o.Grants = g.manifest.Capabilities }).Handle)
	alice, bob := r.dial("alice", "1"), r.dial("bob", "1")
	alice.ask("/a", "1", "1")
	alice.want(t, `{"status":200,"reason":"","id":"1","data":"from nobody"}`)
	bob.want(t)
	r.log.want(t)
}

// Tokens of others are of no use, and neither is a token that has been used.
func TestForeignTokens(t *testing.T) {
	sim(t, func(t *testing.T, r *rig) {
		// One module keeps the request. Another, told of a notification, completes a token that it has made up, and says
		// what came of it in its log.
		keeper := &guest{manifest: manifest(EventRequest).can(Async)}
		keeper.on = keeper.give(actionPending, 0, nil)
		m := r.load(keeper)
		r.app.Use("/", m.Handle)
		alice := r.dial("alice", "1")
		alice.ask("/a", "1", "1")
		var token uint64
		v := m.current.Load()
		for token = range m.pending.all {
		}

		thief := &guest{manifest: manifest(EventNotification).can(Async, Log)}
		complete, log := thief.call("complete"), thief.call("log")
		out := thief.put(frame(text(fieldReason, "stolen")))
		thief.on = seq(
			// -1 is logged as level 3 for the least of unsigned numbers, 0 as level 0.
			num64(int64(token)), num(int(actionReply)), num(out), num(frameHead+16), complete, num(0), num(0), log,
		)
		if err := r.load(thief).Notify("go", ""); err != nil {
			t.Error(err)
		}
		r.log.want(t, "log 3 ")
		alice.want(t)

		// The owner can, once.
		owner := turn{token: token}
		owner.action, owner.status = actionReply, 200
		for range 2 {
			k := m.pending.take(token)
			if k != nil {
				k.act(v, &owner)
			}
		}
		alice.want(t, `{"status":200,"reason":"","id":"1"}`)
	})
}

// A module completes a pending request twice in one event, and then once more.
func TestCompleteTwice(t *testing.T) {
	sim(t, func(t *testing.T, r *rig) {
		g := &guest{manifest: manifest(EventRequest, EventNotification).can(Async, Log)}
		complete, log := g.call("complete"), g.call("log")
		out := g.put(frame(text(fieldReason, "done")))
		twice := seq(load64(8), num(int(actionReply)), num(out), num(frameHead+12), complete, num(0), num(0), log)
		g.on = seq(
			onEvent(EventRequest, store64(8, load64(bufferAt+8)), g.give(actionPending, 0, nil)),
			onEvent(EventNotification, twice, twice),
		)
		g.manifest.on(Single)
		m := r.load(g)
		r.app.Use("/", m.Handle)
		alice := r.dial("alice", "1")
		alice.ask("/a", "1", "1")
		for range 2 {
			if err := m.Notify("go", ""); err != nil {
				t.Error(err)
			}
		}
		alice.want(t, `{"status":200,"reason":"done","id":"1"}`)
		r.log.want(t, "log 0 ", "log 0 ", "log 3 ", "log 3 ")
		if s := m.Stats(); s.Pending != 0 {
			t.Errorf("%d pending", s.Pending)
		}
	})
}

// An instance that has failed is not used again: its memory may be anything.
func TestNoCorruptState(t *testing.T) {
	r := newRig(t)
	g := &guest{manifest: manifest(EventRequest).push("data").on(Single)}
	// It writes 1 to address 8 and traps; the next request sees whether the 1 is still there.
	g.on = seq(load(8), ifThen, g.give(actionReply, 0, frame(text(fieldReason, "corrupt"))), end,
		local(1), num(frameHead+12), eq, ifThen, store(8, num(1)), unreachable, end,
		g.give(actionReply, 0, frame(text(fieldReason, "clean"))))
	r.app.Use("/", r.load(g).Handle)
	alice := r.dial("alice", "1")
	for range 3 {
		alice.ask("/a", "1", "1")
		alice.take()
		alice.ask("/a", "2", `"longer"`)
		alice.want(t, `{"status":200,"reason":"clean","id":"2"}`)
	}
}

// In a fresh instance nothing is left of the event before.
func TestFresh(t *testing.T) {
	r := newRig(t)
	g := &guest{manifest: manifest(EventRequest).on(Fresh)}
	g.on = seq(load(8), ifThen, g.give(actionReply, 0, frame(text(fieldReason, "used"))), end,
		store(8, num(1)), g.give(actionReply, 0, frame(text(fieldReason, "fresh"))))
	m := r.load(g)
	r.app.Use("/", m.Handle)
	alice := r.dial("alice", "1")
	for range 5 {
		alice.ask("/a", "1", "1")
		alice.want(t, `{"status":200,"reason":"fresh","id":"1"}`)
	}
	if s := m.Stats(); s.Instances != 1 || s.Made != 7 {
		t.Errorf("%d instances, %d made, want one that has seen nothing after each event", s.Instances, s.Made)
	}
}
