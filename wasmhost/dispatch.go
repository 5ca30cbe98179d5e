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

// take returns an instance for an event of a kind: want, or any if that is nil. The caller completes in.event, and
// calls perform and done. Every error is an [*Error].
func (v *version) take(want *instance, e Event) (*instance, error) {
	m := v.module
	if !v.breaker.allow() {
		m.stats.skipped.Add(1)
		return nil, v.unavailable(e, "it has failed too often")
	}
	in, err := v.pool.take(want)
	if err != nil {
		return nil, v.untaken(e, err)
	}
	in.event.kind = e
	return in, nil
}

// done takes back an instance that has performed, with the error if that failed. It returns an [*Error] then.
func (v *version) done(in *instance, err error) error {
	if err != nil {
		return v.failed(in, in.event.kind, err)
	}
	v.put(in)
	v.breaker.succeeded()
	return nil
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
	stats := &v.module.stats
	stats.events[in.event.kind].Add(1)
	in.budget.Total = v.fuel
	in.left = in.budget.Start()
	var r uint64
	size, err := in.writeFrame()
	if err == nil {
		// Not by enter: a frame less on the stack.
		r, err = in.entered(in.gate.CallWithStack(in, in.args(callOn, uint64(in.event.kind), uint64(size))))
	}
	in.ended()
	if err == nil {
		err = in.read(result(r), &t.outcome)
	}
	stats.fuel.Add(uint64(in.budget.Used(in.left)))
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

// begin finds who is to be told of an event that follows from no other: the version that serves, with a hold on it, and an instance
// of it as take returns it. There is no instance and no error if such events are not wanted, and no version if the module is closed. A version that is
// closed at this moment has been replaced, and the event goes to its successor.
func (m *Module) begin(e Event) (v *version, in *instance, err error) {
	for {
		v = m.acquire()
		if v == nil || !v.plan.events[e] {
			return v, nil, nil
		}
		in, err = v.take(nil, e)
		if err == nil || !errors.Is(err, ErrClosed) {
			return v, in, err
		}
		v.release()
	}
}

// Handle shows a request to the module and does what that says. It is a [core.Handler].
func (m *Module) Handle(req *core.Request, next core.Next) error {
	v, in, err := m.begin(EventRequest)
	if v == nil {
		return errUnavailable
	}
	if in != nil {
		var t turn
		in.event.req = req
		if err = v.done(in, v.perform(in, &t)); err == nil {
			onward, err := v.act(&t, req, next)
			if onward {
				next(t.skips()...) // here, because each frame that is below the handlers that follow takes its time
				err = v.returned(&t, req)
			}
			return err
		}
	}
	fail := err != nil && v.onError == Fail
	v.release()
	if fail {
		return err
	}
	next()
	return nil
}

// act does with a request what the module has said. It returns the error that its handler fails with, or that the caller is to
// call next, with skips, and then returned. The caller's hold on the version passes to it. next is nil when the module has called it before.
func (v *version) act(t *turn, req *core.Request, next core.Next) (onward bool, err error) {
	if err := t.apply(req, v.limits.PeerData); err != nil {
		return false, v.reject(t, next, err)
	}
	switch t.action {
	case actionNext, actionSkipRoute, actionSkipRouter:
		if t.watch {
			v.watch(t, req)
		}
		v.flush(t, req)
		t.told = t.told && next != nil
		if !t.told {
			v.release() // the handlers that follow may take their time
		}
		return next != nil, nil
	case actionError:
		v.flush(t, req)
		v.release()
		return false, t.err()
	case actionReply:
		return false, v.reply(t, req, next)
	default:
		return false, v.keep(t, req, next)
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

// skips is what next is called with.
func (t *turn) skips() []error {
	switch t.action {
	case actionSkipRoute:
		return skipRoute
	case actionSkipRouter:
		return skipRouter
	}
	return nil
}

var skipRoute, skipRouter = []error{core.SkipRoute}, []error{core.SkipRouter}

// returned tells the module that next has returned, if it wants to know.
func (v *version) returned(t *turn, req *core.Request) error {
	if !t.told {
		return nil
	}
	var after turn
	in, err := v.take(t.in, EventReturned)
	if err == nil {
		in.event.token, in.event.carry, in.event.req = t.token, t.carry, req
		err = v.done(in, v.perform(in, &after))
	}
	if err != nil {
		v.release()
		return nil // the request is in other hands, so the failure is not its own; the hook has it
	}
	after.changes, after.watch = false, false // the request may be in other hands
	_, err = v.act(&after, req, nil)
	return err
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
