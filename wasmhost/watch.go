package wasmhost

import (
	"errors"
	"sync"

	"github.com/protoo-go/protoo/core"
)

// A watcher shows the responses of one request to the module. Watchers are used again, so that
// watching allocates nothing of ours. Each in use has a hold on its version.
type watcher struct {
	version *version
	in      *instance
	req     *core.Request
	token   uint64
	carry   []byte
	saw     func(*core.Response) // w.response
}

// maxSpare bounds the watchers that wait to be used again.
const maxSpare = 1024

type watchers struct {
	mu    sync.Mutex
	spare []*watcher
}

func (ws *watchers) get(v *version) *watcher {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if n := len(ws.spare); n > 0 {
		w := ws.spare[n-1]
		ws.spare = ws.spare[:n-1]
		return w
	}
	w := &watcher{version: v}
	w.saw = w.response
	return w
}

func (ws *watchers) put(w *watcher) {
	w.in, w.req, w.carry = nil, nil, w.carry[:0]
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if len(ws.spare) < maxSpare {
		ws.spare = append(ws.spare, w)
	}
}

func (v *version) watch(t *turn, req *core.Request) {
	w := t.watcher
	if w == nil {
		w = v.watchers.get(v)
	}
	w.in, w.req, w.token = t.in, req, t.token
	if !v.hold() {
		return // the module is being closed
	}
	req.OnResponse(w.saw)
}

// response is called with every response before it is sent.
func (w *watcher) response(res *core.Response) {
	v := w.version
	final := !res.IsProvisional()
	var t turn
	err := v.dispatch(w.in, event{kind: EventResponse, token: w.token, carry: w.carry, req: w.req, res: res}, &t)
	if err == nil {
		err = w.apply(&t, res)
	}
	if err != nil && v.onError == Fail {
		_ = res.SetData(nil) // nil can be encoded
	}
	if final {
		v.watchers.put(w)
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
		w.carry = append(w.carry[:0], t.carry...)
	}
	if t.watcher != nil {
		v.watchers.put(t.watcher)
	}
	t.applyTo(res.Peer())
	v.flush(t, nil)
	return nil
}
