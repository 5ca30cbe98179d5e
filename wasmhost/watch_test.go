package wasmhost

import (
	"testing"

	"github.com/protoo-go/protoo/core"
)

// The carry of the event returned is not the next request's, which the same watcher may watch meanwhile.
func TestCarryOfReturned(t *testing.T) {
	r := newRig(t)
	g := &guest{manifest: manifest(EventRequest, EventReturned).push("path").can(Log)}
	log := g.call("log")
	carry := frame(func(w *frameWriter) { w.add(fieldCarry, "", "....") })
	g.on = seq(
		onEvent(EventRequest, store(8, load(bufferAt+24)), num(bufferAt), num(g.put(carry)), num(len(carry)), memoryCopy, store(bufferAt+24, load(8)),
			num64(int64(len(carry))<<32|int64(flagWatch|flagReturned)<<8), ret),
		onEvent(EventReturned, num(1), num(bufferAt+24+12), num(4), log), // behind the field ended
	)
	r.app.Use("/", r.load(g).Handle)
	alice, bob := r.dial("alice", "1"), r.dial("bob", "1")
	r.app.All("/aaa", func(req *core.Request, _ core.Next) error {
		err := req.Reply(200, "")
		bob.ask("/bbb", "1", "1")
		return err
	})
	r.app.All("/bbb", last)
	alice.ask("/aaa", "1", "1")
	r.log.want(t, "log 1 /bbb", "log 1 /aaa")
}

// A watcher that is used again has nothing to do with its former request, and one that may be busy with a provisional response
// is not used again.
func TestWatcherUsedAgain(t *testing.T) {
	r := newRig(t)
	m := r.load(watcherGuest())
	v := m.current.Load()
	var reqs []*core.Request
	r.app.Use("/", m.Handle)
	r.app.All("/", func(req *core.Request, _ core.Next) error {
		reqs = append(reqs, req)
		return nil
	})
	alice := r.dial("alice", "1")
	alice.ask("/", "1", "1")
	alice.ask("/", "2", "1")

	w := takeWatcher()
	w.version, w.req = v, reqs[1]
	v.hold()
	told := func() uint64 { return m.Stats().Events["response"] }
	provisional := &core.Response{}
	w.response(reqs[0], provisional)
	if n := told(); n != 0 {
		t.Errorf("the module was told of %d responses to a former request", n)
	}
	if w.shared {
		t.Error("the watcher has taken the response for one to its own request")
	}
	w.response(reqs[1], provisional)
	if n := told(); n != 1 || !w.shared {
		t.Errorf("the module was told of %d responses, want 1", n)
	}
	reqs[1].Watch(w.core)
	if err := reqs[1].Reply(200, ""); err != nil {
		t.Fatal(err)
	}
	if n := told(); n != 3 { // its own watcher and w
		t.Errorf("the module was told of %d responses, want 3", n)
	}
	if w.req != nil || w.version != nil {
		t.Error("the watcher keeps its request after the final response")
	}
	for range 3 {
		if takeWatcher() == w {
			t.Error("a watcher was used again that may be busy with a provisional response")
		}
	}
	w.response(reqs[1], provisional)
	if n := told(); n != 3 {
		t.Errorf("the module was told of %d responses, want 3", n)
	}
	if err := reqs[0].Reply(200, ""); err != nil {
		t.Fatal(err)
	}
	if n := v.refs.Load(); n != 1 {
		t.Errorf("%d holds on the version are left, want its own", n)
	}
}
