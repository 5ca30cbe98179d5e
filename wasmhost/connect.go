package wasmhost

import (
	"context"

	"github.com/protoo-go/protoo/core"
)

// Accept returns a listener that asks the module about every connection. A connection that the module passes
// on goes to the listener behind it; without one, nil, it is refused.
func (m *Module) Accept(behind core.Accept) core.Accept {
	if behind == nil {
		behind = func(*core.ConnectRequest) (core.Identity, error) { return core.Identity{}, core.Reject(0, "") }
	}
	return func(r *core.ConnectRequest) (core.Identity, error) {
		v := m.acquire()
		if v == nil {
			return core.Identity{}, errUnavailable
		}
		if !v.plan.events[EventConnect] {
			v.release()
			return behind(r)
		}
		t, err := v.admit(r)
		if err == nil && t.action == actionReply && !t.hasPeer {
			err = v.fail(KindFrame, EventConnect.String(), badResult("a connection is accepted without a peer"))
		}
		if err == nil && (t.action == actionSkipRoute || t.action == actionSkipRouter) {
			err = v.fail(KindFrame, EventConnect.String(), badResult("action %d is not for connections", t.action))
		}
		skip := v.onError == Skip
		v.release()
		switch {
		case err != nil && skip:
			return behind(r)
		case err != nil:
			return core.Identity{}, err
		case t.action == actionReply:
			return t.identity(), nil
		case t.action == actionError:
			return core.Identity{}, core.Reject(t.status, t.reason)
		}
		return behind(r)
	}
}

// admit tells the module of a connection, and waits for its decision if it keeps the connection.
func (v *version) admit(r *core.ConnectRequest) (*turn, error) {
	t := &turn{}
	if err := v.dispatch(nil, event{kind: EventConnect, connect: r}, t); err != nil {
		return nil, err
	}
	if t.action != actionPending {
		v.flush(t, nil)
		return t, nil
	}
	type decision struct {
		t   *turn
		err error
	}
	decided := make(chan decision, 1)
	k := &kept{token: t.token, in: t.in, decide: func(t *turn, err error) {
		if t != nil && t.action == actionPending { // by complete
			err = badResult("action %d does not complete anything", t.action)
		}
		decided <- decision{t, err}
	}}
	_ = v.hold() // is held already, by Accept
	if err := v.enter(k); err != nil {
		v.release()
		return nil, v.fail(KindFrame, EventConnect.String(), err)
	}
	v.flush(t, nil)
	ctx := r.Context
	if ctx == nil {
		ctx = context.Background()
	}
	select {
	case d := <-decided:
		if d.err != nil {
			return nil, d.err
		}
		return d.t, nil
	case <-ctx.Done():
		if k := v.pending.take(v, k.token); k != nil {
			v.release()
		}
		return nil, context.Cause(ctx)
	}
}
