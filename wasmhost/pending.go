package wasmhost

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/protoo-go/protoo/core"
)

// kept is a request or connection that a module has taken over, to say later what happens to it. It has
// a hold on the version that it came to, which may be replaced meanwhile: then another one can say what happens.
type kept struct {
	version *version
	token   uint64
	in      *instance // whose loss is the loss of what is kept; nil for any
	timer   *time.Timer
	size    int64 // that it counts for

	req    *core.Request
	next   core.Next
	decide func(*turn, error) // for a connection

	mu   sync.Mutex
	busy bool
	todo []func()
	over bool // what is to happen has been decided; for what do calls
}

// do calls fn, or leaves it to the goroutine that is calling another for the same request: a request belongs to one
// goroutine at a time, and what one event asks for may make another.
func (k *kept) do(fn func()) {
	k.mu.Lock()
	if k.busy {
		k.todo = append(k.todo, fn)
		k.mu.Unlock()
		return
	}
	k.busy = true
	for fn != nil {
		k.mu.Unlock()
		fn()
		k.mu.Lock()
		if len(k.todo) == 0 {
			break
		}
		fn, k.todo = k.todo[0], k.todo[1:]
	}
	k.busy = false
	k.mu.Unlock()
}

// pendings are what a module keeps, by token. Whoever takes something out decides what happens to it.
type pendings struct {
	mu     sync.Mutex
	all    map[uint64]*kept
	closed bool
}

var (
	errPending = fmt.Errorf("it keeps too many requests: %w", errUnavailable)
	errNoAsync = errors.New("it keeps a request without the capability " + string(Async))
	errTooLate = errors.New("it has kept the request for too long")
)

// keep keeps a request. The caller's hold on the version passes to it.
func (v *version) keep(t *turn, req *core.Request, next core.Next) error {
	if t.provisional() && t.hasData {
		if err := checkJSON(t.data); err != nil {
			return v.reject(t, next, err)
		}
	}
	if t.watch {
		v.watch(t, req)
	}
	k := &kept{token: t.token, in: t.in, req: req, next: next, size: sizeOf(req, t.carry)}
	if err := v.enter(k); err != nil {
		return v.reject(t, next, err)
	}
	v.flush(t, req) // an answer to what is sent here finds the request among those that are kept
	if t.provisional() {
		reply := *t // the one in t need not be on the heap for all that are not kept
		k.progress(&reply)
	}
	return nil
}

// perHeld is what something takes that the module waits for, besides what is in it.
const perHeld = 512

// sizeOf is about what a request takes of the memory, with the carry for it.
func sizeOf(req *core.Request, carry []byte) int64 {
	n := perHeld + len(req.OriginalPath()) + len(req.Data()) + len(req.Sender()) + weight(req.Values()) + len(carry)
	return int64(n)
}

// mayHold reports whether the module may make the host hold so many bytes more.
func (in *instance) mayHold(size int64) bool {
	return in.version.module.stats.held.Load()+size <= int64(in.version.limits.Held)
}

func (v *version) enter(k *kept) error {
	if !v.plan.capabilities.has(Async) {
		return errNoAsync
	}
	k.version = v
	p := &v.module.pending
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return v.unavailable(EventRequest, "it is closed")
	}
	stats := &v.module.stats
	if len(p.all) >= v.limits.Pending || stats.held.Load()+k.size > int64(v.limits.Held) {
		return errPending
	}
	if p.all == nil {
		p.all = make(map[uint64]*kept)
	}
	p.all[k.token] = k
	stats.pending.Add(1)
	stats.held.Add(k.size)
	k.timer = time.AfterFunc(v.limits.PendingTimeout, func() {
		if k := p.take(k.token); k != nil {
			k.fail(v.fail(KindTimeout, EventRequest.String(), errTooLate))
		}
	})
	return nil
}

// take takes out what has a token, nil if there is nothing.
func (p *pendings) take(token uint64) *kept {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.all[token]
	if k == nil {
		return nil
	}
	delete(p.all, token)
	k.timer.Stop()
	stats := &k.version.module.stats
	stats.pending.Add(-1)
	stats.held.Add(-k.size)
	return k
}

// get returns what has a token and leaves it there; nil if there is nothing.
func (p *pendings) get(token uint64) *kept {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all[token]
}

// lose fails what depends on an instance that is lost.
func (p *pendings) lose(in *instance) {
	if !in.version.sticky() {
		return
	}
	p.mu.Lock()
	var lost []uint64
	for token, k := range p.all {
		if k.in == in {
			lost = append(lost, token)
		}
	}
	p.mu.Unlock()
	for _, token := range lost {
		if k := p.take(token); k != nil {
			k.fail(k.version.unavailable(EventRequest, errInstance.Error()))
		}
	}
}

// close fails everything and takes nothing more.
func (p *pendings) close() {
	p.mu.Lock()
	p.closed = true
	all := make([]*kept, 0, len(p.all))
	for _, k := range p.all {
		all = append(all, k)
	}
	p.mu.Unlock()
	for _, k := range all {
		if k := p.take(k.token); k != nil {
			k.fail(k.version.unavailable(EventRequest, "it is closed"))
		}
	}
}

// fail ends what was kept without the module's word.
func (k *kept) fail(err *Error) {
	k.do(func() {
		k.over = true
		k.end(err)
	})
}

func (k *kept) end(err *Error) {
	v := k.version
	defer v.release()
	switch {
	case k.decide != nil:
		k.decide(nil, err)
	case k.next == nil: // the handlers behind the module have decided about it
	case v.onError == Skip:
		k.next()
	default:
		k.next(err)
	}
}

// progress sends a provisional response to what is kept, if it still is.
func (k *kept) progress(t *turn) {
	k.do(func() {
		if k.over || k.req == nil {
			return
		}
		if err := respond(k.req, t.status, t); err != nil {
			_ = k.version.fail(KindFrame, "progress", err) // for the hook
		}
	})
}

// act does with what was kept, and has been taken out, what a version of the module has said now.
func (k *kept) act(v *version, t *turn) {
	if v.hold() {
		k.version.release()
	} else {
		v = k.version // the other one is told of its end
	}
	k.do(func() {
		k.over = true
		k.decided(v, t)
	})
}

func (k *kept) decided(v *version, t *turn) {
	t.token = k.token
	if k.decide != nil {
		v.flush(t, nil)
		k.decide(t, nil)
		v.release()
		return
	}
	onward, err := v.act(t, k.req, k.next)
	if onward {
		k.next(t.skips()...)
		err = v.returned(t, k.req)
	}
	switch {
	case err == nil:
	case k.next != nil:
		k.next(err) // reported as a second call if act has called it
	default:
		v.report(err)
	}
}

// report tells the hook of an error that a module has failed a request with which is out of its hands.
func (v *version) report(err error) {
	if _, known := errors.AsType[*Error](err); known {
		return // told already
	}
	_ = v.fail(KindFrame, EventReturned.String(), err)
}

// follow tells an instance of something that follows from an earlier event, and lets it decide about the
// request or connection that is kept, if there still is one.
func (v *version) follow(in *instance, e *event) {
	var t turn
	token := e.token
	to, err := v.take(in, e.kind)
	if err == nil {
		to.event = *e
		err = v.done(to, v.perform(to, &t))
	}
	if err != nil {
		if k := v.module.pending.take(token); k != nil {
			failure, _ := errors.AsType[*Error](err) // always is one
			k.fail(failure)
		}
		return
	}
	if t.provisional() {
		v.flush(&t, nil)
		if k := v.module.pending.get(token); k != nil {
			k.progress(&t)
		}
		return
	}
	if t.action == actionPending {
		v.flush(&t, nil)
		return
	}
	if k := v.module.pending.take(token); k != nil {
		k.act(v, &t)
		return
	}
	v.flush(&t, nil)
}
