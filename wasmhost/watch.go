package wasmhost

import (
	"errors"
	"sync"

	"github.com/protoo-go/protoo/core"
)

// A watcher shows the responses of one request to the module, and is used again for another one after the final response. It
// has a hold on its version until then.
type watcher struct {
	core  *core.ResponseWatcher // calls response
	space [24]byte              // for the first carry, if it is small

	mu      sync.Mutex
	version *version
	in      *instance
	req     *core.Request // nil before and afterwards
	token   uint64
	carry   []byte // replaced and never changed
	shared  bool   // somebody may be busy with a provisional response, so this must not be used again
}

var watchers sync.Pool

func takeWatcher() *watcher {
	if w, ok := watchers.Get().(*watcher); ok {
		return w
	}
	w := new(watcher)
	w.core = core.NewResponseWatcher(w.response)
	return w
}

func (v *version) watch(t *turn, req *core.Request) {
	if req.Ended() || !v.hold() {
		return // there will be no response, or the module is being closed
	}
	w := t.watcher
	if w == nil {
		w = takeWatcher()
	}
	w.mu.Lock()
	w.version, w.in, w.req, w.token, w.carry = v, t.in, req, t.token, t.carry
	w.mu.Unlock()
	req.Watch(w.core)
}

// response is called with every response before it is sent.
func (w *watcher) response(req *core.Request, res *core.Response) {
	w.mu.Lock()
	if w.req != req {
		w.mu.Unlock() // a final response has overtaken this provisional one
		return
	}
	v, in, token, carry := w.version, w.in, w.token, w.carry
	final, again := !res.IsProvisional(), false
	if final {
		again = !w.shared
		w.version, w.in, w.req, w.carry = nil, nil, nil, nil
	} else {
		w.shared = true
	}
	w.mu.Unlock()

	var t turn
	in, err := v.take(in, EventResponse)
	if err == nil {
		e := &in.event
		e.token, e.carry, e.req, e.res = token, carry, req, res
		if err = v.done(in, v.perform(in, &t)); err == nil {
			err = w.apply(v, &t, res)
		}
	}
	if err != nil && v.onError == Fail {
		_ = res.SetData(nil) // nil can be encoded
	}
	if final {
		v.release()
	}
	if again {
		watchers.Put(w)
	}
}

var errResponse = errors.New("a response can only be passed on, with its data changed or not")

func (w *watcher) apply(v *version, t *turn, res *core.Response) error {
	var err error
	switch {
	case t.action != actionNext || t.hasPath:
		err = errResponse
	case t.changes:
		if err = t.more.fits(res.Peer(), v.limits.PeerData); err == nil && t.hasData {
			err = res.SetData(t.data)
		}
	}
	if err != nil {
		return v.refuse(EventResponse, err)
	}
	if t.hasCarry {
		w.mu.Lock()
		w.carry = t.carry
		w.mu.Unlock()
	}
	t.applyTo(res.Peer())
	v.flush(t, nil)
	return nil
}
