package wasmhost

import (
	"errors"
	"sync"

	"github.com/protoo-go/protoo/core"
)

// A watcher shows the responses of one request to the module. It has a hold on its version until the final one.
type watcher struct {
	version *version
	in      *instance
	req     *core.Request
	token   uint64
	space   [24]byte // for the first carry, if it is small

	mu    sync.Mutex
	carry []byte // replaced and never changed
}

func (v *version) watch(t *turn, req *core.Request) {
	if !v.hold() {
		return // the module is being closed
	}
	w := t.watcher
	if w == nil {
		w = &watcher{}
	}
	w.version, w.in, w.req, w.token, w.carry = v, t.in, req, t.token, t.carry
	req.OnResponse(w.response)
}

// response is called with every response before it is sent.
func (w *watcher) response(res *core.Response) {
	v := w.version
	w.mu.Lock()
	carry := w.carry
	w.mu.Unlock()
	var t turn
	err := v.dispatch(w.in, &event{kind: EventResponse, token: w.token, carry: carry, req: w.req, res: res}, &t)
	if err == nil {
		err = w.apply(&t, res)
	}
	if err != nil && v.onError == Fail {
		_ = res.SetData(nil) // nil can be encoded
	}
	if !res.IsProvisional() { // there is one such response
		v.release()
	}
}

var errResponse = errors.New("a response can only be passed on, with its data changed or not")

func (w *watcher) apply(t *turn, res *core.Response) error {
	v := w.version
	err := errResponse
	if t.action == actionNext && !t.hasPath {
		err = nil
		if t.changes && t.hasData {
			err = res.SetData(t.data)
		}
	}
	if err != nil {
		v.module.breaker.failed()
		return v.fail(KindFrame, EventResponse.String(), err)
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
