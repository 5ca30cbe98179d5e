package wasmhost

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/protoo-go/protoo/core"
)

// turn is what has come of telling an instance of an event.
type turn struct {
	outcome
	token   uint64
	in      *instance // that gets what follows from the event; nil for any
	outbox  []message
	watcher *watcher // that has room for the carry; nil if it was not needed
}

// dispatch tells an instance of an event: want, or any if that is nil. Every error is an [*Error].
func (v *version) dispatch(want *instance, e *event, t *turn) error {
	m := v.module
	if !v.breaker.allow() {
		m.stats.skipped.Add(1)
		return v.unavailable(e.kind, "it has failed too often")
	}
	in, err := v.pool.take(want)
	if err != nil {
		return v.untaken(e.kind, err)
	}
	in.event = *e
	if err = v.perform(in, t); err == nil {
		v.put(in)
		v.breaker.succeeded()
		return nil
	}
	return v.failed(in, e.kind, err)
}

// failed takes back an instance that has failed at an event.
func (v *version) failed(in *instance, e Event, err error) *Error {
	if survives(err) {
		v.put(in)
	} else {
		v.pool.renew(in, true)
		runtime.Gosched() // two goroutines that wake each other, as with a peer who repeats this, share one turn of the scheduler
		v.breaker.failed()
		v.module.pending.lose(in)
	}
	return v.fail("", e.String(), err)
}

// perform tells an instance of its event. What the outcome says is valid also after the instance is put back.
func (v *version) perform(in *instance, t *turn) error {
	v.module.stats.events[in.event.kind].Add(1)
	err := in.run(&t.outcome)
	t.token = in.event.token
	if err != nil {
		in.outbox = nil
		return err
	}
	if t.hasCarry {
		var space []byte
		if t.watch && !t.told { // the watcher may be used again before next has returned
			t.watcher = takeWatcher()
			space = t.watcher.space[:0:len(t.watcher.space)]
		}
		t.carry = append(space, t.carry...)
	}
	if len(in.outbox) > 0 {
		t.outbox, in.outbox = in.outbox, nil
	}
	if v.sticky() {
		t.in = in
	}
	return nil
}

// sticky tells whether what follows from an event goes to the instance that has seen it.
func (v *version) sticky() bool { return v.manifest.Affinity == Pinned }

// unavailable is the error for an event that the module is not told of. Peers get a 503.
func (v *version) unavailable(e Event, why string) *Error {
	return &Error{
		Module: v.manifest.Name, Version: v.manifest.Version, Kind: KindUnavailable, Event: e.String(),
		Err: fmt.Errorf("%s: %w", why, errUnavailable),
	}
}

var errUnavailable = core.Error(503, "service unavailable")

// untaken is the error for an event that finds no instance.
func (v *version) untaken(e Event, err error) error {
	if known, ok := errors.AsType[*Error](err); ok { // one could not be made
		v.breaker.failed()
		return known
	}
	v.module.stats.skipped.Add(1)
	failure := v.unavailable(e, err.Error())
	if errors.Is(err, ErrClosed) {
		failure.Err = fmt.Errorf("%w: %w", ErrClosed, errUnavailable)
	}
	return failure
}

// begin tells the version that serves of an event that follows from no other. It returns that version, with a hold on it, and
// whether it wants such events; nil if the module is closed. A version that is closed at this moment has been replaced, and
// the event goes to its successor.
func (m *Module) begin(e *event, t *turn) (v *version, wanted bool, err error) {
	for {
		v = m.acquire()
		if v == nil || !v.plan.events[e.kind] {
			return v, false, nil
		}
		if err = v.dispatch(nil, e, t); !errors.Is(err, ErrClosed) {
			return v, true, err
		}
		v.release()
	}
}

// Handle shows a request to the module and does what that says. It is a [core.Handler].
func (m *Module) Handle(req *core.Request, next core.Next) error {
	var t turn
	v, wanted, err := m.begin(&event{kind: EventRequest, req: req}, &t)
	switch {
	case v == nil:
		return errUnavailable
	case wanted && err == nil:
		return v.act(&t, req, next)
	case wanted && v.onError == Fail:
		v.release()
		return err
	}
	v.release()
	next()
	return nil
}

// act does with a request what the module has said, and returns the error that its handler fails with. The
// caller's hold on the version passes to it. next is nil when the module has called it before.
func (v *version) act(t *turn, req *core.Request, next core.Next) error {
	if err := t.apply(req, v.limits.PeerData); err != nil {
		return v.reject(t, next, err)
	}
	switch t.action {
	case actionNext, actionSkipRoute, actionSkipRouter:
		return v.pass(t, req, next)
	case actionError:
		v.flush(t, req)
		v.release()
		return t.err()
	case actionReply:
		return v.reply(t, req, next)
	default:
		return v.keep(t, req, next)
	}
}

// refuse is for a result that turns out to be none, or that a limit forbids, which is not the module's fault.
func (v *version) refuse(e Event, err error) *Error {
	if errors.Is(err, errUnavailable) {
		return v.fail(KindLimit, e.String(), err)
	}
	v.breaker.failed()
	return v.fail(KindFrame, e.String(), err)
}

// reject fails a request because of its result.
func (v *version) reject(t *turn, next core.Next, err error) error {
	failure := v.refuse(EventRequest, err)
	skip := v.onError == Skip && next != nil
	v.release()
	if skip {
		next()
		return nil
	}
	return failure
}

func (v *version) pass(t *turn, req *core.Request, next core.Next) error {
	if t.watch {
		v.watch(t, req)
	}
	v.flush(t, req)
	told := t.told && next != nil
	if !told {
		v.release() // the handlers that follow may take their time
	}
	switch {
	case next == nil:
	case t.action == actionSkipRoute:
		next(core.SkipRoute)
	case t.action == actionSkipRouter:
		next(core.SkipRouter)
	default:
		next()
	}
	if told {
		return v.returned(t, req)
	}
	return nil
}

// returned tells the module that next has returned.
func (v *version) returned(t *turn, req *core.Request) error {
	var after turn
	e := &event{kind: EventReturned, token: t.token, carry: t.carry, req: req}
	if err := v.dispatch(t.in, e, &after); err != nil {
		v.release()
		return nil // the request is in other hands, so the failure is not its own; the hook has it
	}
	after.changes, after.watch = false, false // the request may be in other hands
	return v.act(&after, req, nil)
}

func (v *version) reply(t *turn, req *core.Request, next core.Next) error {
	status := t.status
	if status == 0 {
		status = 200
	}
	if status < 200 {
		return v.keep(t, req, next)
	}
	if t.watch {
		v.watch(t, req)
	}
	v.flush(t, req)
	if err := respond(req, status, t); err != nil {
		return v.reject(t, next, err)
	}
	v.release()
	return nil
}

// respond replies to a request. That the peer is gone or slow, or has its answer already, is no failure of the module.
func respond(req *core.Request, status int, t *turn) error {
	var err error
	if t.hasData {
		err = req.Reply(status, t.reason, t.data)
	} else {
		err = req.Reply(status, t.reason)
	}
	if errors.Is(err, core.ErrReplied) || errors.Is(err, core.ErrOffline) || errors.Is(err, core.ErrSlow) {
		return nil
	}
	return err
}
