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
		v, in, err := m.begin(EventConnect)
		if v == nil {
			return core.Identity{}, errUnavailable
		}
		if in == nil && err == nil {
			v.release()
			return behind(r)
		}
		t := &turn{}
		if in != nil {
			in.event.connect = r
			if err = v.done(in, v.perform(in, t)); err == nil {
				t, err = v.admit(r, t)
			}
		}
		skip := v.onError == Skip
		v.release()
		switch {
		case err != nil && !skip:
			return core.Identity{}, err
		case err == nil && t.action == actionReply:
			return t.identity(), nil
		case err == nil && t.action == actionError:
			return core.Identity{}, core.Reject(t.status, t.reason)
		}
		return behind(r)
	}
}

// admit does what the module has said about a connection, and waits for its decision if it keeps the connection.
func (v *version) admit(r *core.ConnectRequest, t *turn) (*turn, error) {
	if t.action == actionPending {
		var err error
		if t, err = v.await(r, t); err != nil {
			return nil, err
		}
	} else {
		v.flush(t, nil)
	}
	switch {
	case t.action == actionReply:
		if err := v.checkIdentity(&t.outcome); err != nil {
			return nil, v.refuse(EventConnect, err)
		}
	case t.action == actionSkipRoute || t.action == actionSkipRouter:
		return nil, v.refuse(EventConnect, badResult("action %d is not for connections", t.action))
	}
	return t, nil
}

// maxIdentity is the longest name that the application takes.
const maxIdentity = 256

// checkIdentity finds out whether a connection can belong to whom the module says.
func (v *version) checkIdentity(o *outcome) error {
	if !o.hasPeer {
		return badResult("a connection is accepted without a peer")
	}
	for _, name := range []string{o.peer.username, o.peer.uuid} {
		if name == "" || len(name) > maxIdentity {
			return badResult("a connection is accepted for the peer %.40q/%.40q, both names have 1 to %d bytes", o.peer.username, o.peer.uuid, maxIdentity)
		}
	}
	return o.more.fits(nil, v.limits.PeerData)
}

func (v *version) await(r *core.ConnectRequest, t *turn) (*turn, error) {
	type decision struct {
		t   *turn
		err error
	}
	decided := make(chan decision, 1)
	k := &kept{token: t.token, in: t.in, size: perHeld, decide: func(t *turn, err error) {
		decided <- decision{t, err}
	}}
	_ = v.hold() // is held already, by Accept
	if err := v.enter(k); err != nil {
		v.release()
		return nil, v.refuse(EventConnect, err)
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
		if k := v.module.pending.take(k.token); k != nil {
			v.release()
		}
		return nil, context.Cause(ctx)
	}
}
