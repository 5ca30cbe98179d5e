package wasmhost

import (
	"testing"

	"github.com/protoo-go/protoo/core"
)

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
