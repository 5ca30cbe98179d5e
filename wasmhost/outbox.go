package wasmhost

import (
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/protoo-go/protoo/core"
)

// A message is something that a module has asked for while it was told of an event. It is done when the module
// has returned: what fails has done nothing, and nothing waits while an instance is taken.
type message struct {
	kind        messageKind
	token       uint64 // of the event, or of what is completed
	peer        *core.Peer
	req         *core.Request
	code        int
	reason      string
	correlation uint64
	carry       []byte
	delay       time.Duration
	size        int64 // that is held as long as a message or a timer is not over
	turn        *turn
}

type messageKind uint8

const (
	sendMessage messageKind = iota
	closeMessage
	completeMessage
	timerMessage
)

// full tells whether the event has asked for all that it may, which is nothing as long as the instance is not in service. It is
// looked at before anything is copied.
func (in *instance) full() bool {
	in.charge(costSend)
	e := in.event.kind // self-test before there is one
	return e == EventSelfTest || e == EventConfiguration || len(in.outbox) >= in.version.limits.Outbox
}

// frame returns a frame that a module gives to a host function, and false if that is longer than frames may be. What
// is in it is going to be copied and checked, which its price is for.
func (in *instance) frame(mod api.Module, ptr, size uint64) ([]byte, bool) {
	frame := slice(mod, ptr, size)
	if len(frame) > in.version.limits.Frame {
		return nil, false
	}
	in.charge(int64(len(frame) * costParsed))
	return frame, true
}

// post adds a message, and returns what the host function returns.
func (in *instance) post(m message) uint64 {
	in.outbox = append(in.outbox, m)
	return 0
}

// flush does what the module has asked for. req is the request that the event was about, if it was about one.
func (v *version) flush(t *turn, req *core.Request) {
	if len(t.outbox) == 0 {
		return
	}
	for i := range t.outbox {
		m := &t.outbox[i]
		switch m.kind {
		case sendMessage:
			v.send(t.in, m)
		case closeMessage:
			_ = m.peer.Close(m.code, m.reason) // the code has been checked
		case timerMessage:
			v.startTimer(t.in, m)
		case completeMessage:
			v.complete(t, m, req)
		}
	}
	t.outbox = nil
}

// peer_send(frame, frame_len)
func hostPeerSend(in *instance, mod api.Module, s []uint64) {
	if in.full() {
		s[0] = code(codeLimit)
		return
	}
	var o outcome
	frame, ok := in.frame(mod, s[0], s[1])
	if !ok {
		s[0] = code(codeInvalid)
		return
	}
	l, err := in.readMessage(frame, &o)
	if err != nil || !o.hasPeer || !o.hasPath || l.timeout > in.version.limits.SendTimeout {
		s[0] = code(codeInvalid)
		return
	}
	peer := in.findPeer(o.peer)
	if peer == nil {
		s[0] = code(codeAbsent)
		return
	}
	size := perHeld + int64(len(frame))
	if !in.mayHold(size) {
		s[0] = code(codeLimit)
		return
	}
	req := core.NewRequest(l.method, o.path, o.data)
	req.SetTimeout(l.timeout)
	if o.sender != "" && req.SetSender(o.sender) != nil {
		s[0] = code(codeInvalid)
		return
	}
	s[0] = in.post(message{
		kind: sendMessage, token: in.event.token, peer: peer, req: req,
		correlation: l.correlation, carry: append([]byte(nil), o.carry...), size: size,
	})
}

// letter is what only messages have.
type letter struct {
	method      string
	correlation uint64
	timeout     time.Duration
}

// readMessage reads a message's frame.
func (in *instance) readMessage(frame []byte, o *outcome) (l letter, err error) {
	var r frameReader
	if err := r.begin(frame); err != nil {
		return l, err
	}
	var f rawField
	for {
		ok, err := r.next(&f)
		if err != nil || !ok {
			return l, err
		}
		switch {
		case f.id == fieldMethod:
			if l.method, ok = in.strs.text(f.val); !ok {
				return l, errContent
			}
		case f.id == fieldCorrelation && len(f.val) == 8:
			l.correlation = binary.LittleEndian.Uint64(f.val)
		case f.id == fieldTimeout && len(f.val) == 4:
			l.timeout = time.Duration(binary.LittleEndian.Uint32(f.val)) * time.Millisecond
		case f.id == fieldStatus && len(f.val) == 4: // a close code, which is no status
			o.status = int(binary.LittleEndian.Uint32(f.val))
		case f.id == fieldCorrelation || f.id == fieldTimeout:
			return l, errContent
		default:
			if err := o.set(&f, in.version.limits.Carry, in.strs); err != nil {
				return l, err
			}
		}
	}
}

var errContent = errors.New("a field has a size or content that it cannot have")

// findPeer returns a peer by its name; without a uuid the user's first device.
func (in *instance) findPeer(name peerName) (found *core.Peer) {
	app := in.app()
	if app == nil || name.username == "" {
		return nil
	}
	if name.uuid != "" {
		return app.Peer(name.username, name.uuid)
	}
	in.peers(app, name.username, "", func(p *core.Peer) {
		if found == nil {
			found = p
		}
	})
	return found
}

func (v *version) send(in *instance, m *message) {
	stats, size := &v.module.stats, m.size
	stats.held.Add(size)
	var a *answer
	if v.plan.events[EventReply] {
		a = v.expect(in, m)
	}
	// Without an answer it goes out, but the module will not hear of it.
	m.peer.Send(m.req).OnResponse(func(res *core.Response) {
		final := !res.IsProvisional()
		if final {
			stats.held.Add(-size)
		}
		v, in := a.take(final)
		if v == nil {
			return
		}
		v.follow(in, &event{kind: EventReply, token: a.token, correlation: a.correlation, carry: a.carry, res: res})
		if final {
			v.release()
		}
	})
}

// An answer is what a version waits for that has sent a message. It has a hold on the version, and forgets it when that is
// closed: a peer can take longer.
type answer struct {
	token       uint64
	correlation uint64
	carry       []byte

	mu      sync.Mutex
	version *version // nil when there is nothing to wait for any more
	in      *instance
}

// expect returns what is to become of a message's responses, nil if the module waits for too many or is being closed.
func (v *version) expect(in *instance, m *message) *answer {
	v.mu.Lock()
	defer v.mu.Unlock()
	stats := &v.module.stats
	if v.answers == nil {
		return nil
	}
	if stats.sends.Add(1) > int64(v.limits.Sends) || !v.hold() {
		stats.sends.Add(-1)
		return nil
	}
	a := &answer{token: m.token, correlation: m.correlation, carry: m.carry, version: v, in: in}
	v.answers[a] = struct{}{}
	return a
}

// take returns whom to tell of a response, if there is still somebody. With the final one the hold passes to the caller.
func (a *answer) take(final bool) (*version, *instance) {
	if a == nil {
		return nil, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	v, in := a.version, a.in
	if v == nil || !final {
		return v, in
	}
	a.version, a.in = nil, nil
	v.module.stats.sends.Add(-1)
	v.mu.Lock()
	delete(v.answers, a) // which may be none any more
	v.mu.Unlock()
	return v, in
}

// peer_close(frame, frame_len)
func hostPeerClose(in *instance, mod api.Module, s []uint64) {
	if in.full() {
		s[0] = code(codeLimit)
		return
	}
	var o outcome
	frame, ok := in.frame(mod, s[0], s[1])
	if !ok {
		s[0] = code(codeInvalid)
		return
	}
	_, err := in.readMessage(frame, &o)
	if err != nil || !o.hasPeer || o.status != 0 && !core.ValidCloseCode(o.status) {
		s[0] = code(codeInvalid)
		return
	}
	peer := in.findPeer(o.peer)
	if peer == nil {
		s[0] = code(codeAbsent)
		return
	}
	s[0] = in.post(message{kind: closeMessage, peer: peer, code: o.status, reason: o.reason})
}

// complete(token, action, frame, frame_len)
func hostComplete(in *instance, mod api.Module, s []uint64) {
	if in.full() {
		s[0] = code(codeLimit)
		return
	}
	token := s[0]
	t := &turn{token: token}
	t.action, t.changes = action(min(uint32(s[1]), uint32(numActions))), true
	if t.action == actionPending || t.action >= numActions {
		s[0] = code(codeInvalid)
		return
	}
	if uint32(s[3]) > 0 {
		frame, ok := in.frame(mod, s[2], s[3])
		if !ok || t.read(frame, in.version.limits.Carry, in.strs) != nil {
			s[0] = code(codeInvalid)
			return
		}
		t.carry, t.hasCarry = nil, false
	}
	switch {
	case token == in.event.token && in.event.req != nil && in.event.kind != EventResponse:
		if !t.provisional() {
			s[0] = code(codeInvalid) // what to do with it is what the event's result says
			return
		}
	case in.version.module.pending.get(token) == nil:
		s[0] = code(codeAbsent)
		return
	}
	s[0] = in.post(message{kind: completeMessage, token: token, turn: t})
}

// progress(frame, frame_len): a provisional response to the request that the event is about.
func hostProgress(in *instance, mod api.Module, s []uint64) {
	if in.full() {
		s[0] = code(codeLimit)
		return
	}
	t := &turn{token: in.event.token}
	t.action = actionReply
	frame, ok := in.frame(mod, s[0], s[1])
	if !ok || t.read(frame, in.version.limits.Carry, in.strs) != nil || t.status < 100 || t.status >= 200 {
		s[0] = code(codeInvalid)
		return
	}
	t.carry, t.hasCarry = nil, false
	s[0] = in.post(message{kind: completeMessage, token: t.token, turn: t})
}

// complete does with a request what a module has said about it while it was told of something else, or
// sends a provisional response to the request at hand.
func (v *version) complete(now *turn, m *message, req *core.Request) {
	t := m.turn
	if t.provisional() {
		if k := v.module.pending.get(m.token); k != nil {
			k.progress(t)
		} else if m.token == now.token && req != nil {
			if err := respond(req, t.status, t); err != nil {
				_ = v.fail(KindFrame, "progress", err) // for the hook
			}
		}
		return
	}
	if k := v.module.pending.take(m.token); k != nil {
		t.in = now.in
		if k.version == v {
			t.in = k.in
		}
		k.act(v, t)
	}
}

// timer waits for a time that a module has set.
type timer struct {
	version *version
	clock   *time.Timer
	size    int64
}

func (t *timer) stop() {
	if t.clock.Stop() {
		t.count(-1)
	}
}

func (t *timer) count(n int64) {
	stats := &t.version.module.stats
	stats.timers.Add(n)
	stats.held.Add(n * t.size)
}

// timer(delay_ms, correlation, carry, carry_len)
func hostTimer(in *instance, mod api.Module, s []uint64) {
	delay, ok := duration(s[0], in.version.limits.MaxTimer)
	carry := slice(mod, s[2], s[3])
	if !ok || len(carry) > in.version.limits.Carry {
		s[0] = code(codeInvalid)
		return
	}
	size := perHeld + int64(len(carry))
	if in.full() || in.version.module.stats.timers.Load() >= int64(in.version.limits.Timers) || !in.mayHold(size) {
		s[0] = code(codeLimit)
		return
	}
	s[0] = in.post(message{
		kind: timerMessage, token: in.event.token, delay: delay, correlation: s[1], carry: append([]byte(nil), carry...), size: size,
	})
}

func (v *version) startTimer(in *instance, m *message) {
	token, correlation, carry := m.token, m.correlation, m.carry
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.timers == nil {
		return // the version is being closed
	}
	t := &timer{version: v, size: m.size}
	v.timers[t] = struct{}{}
	t.count(1)
	t.clock = time.AfterFunc(m.delay, func() {
		t.count(-1)
		v.mu.Lock()
		delete(v.timers, t)
		v.mu.Unlock()
		if !v.plan.events[EventTimer] || !v.hold() {
			return
		}
		defer v.release()
		v.follow(in, &event{kind: EventTimer, token: token, correlation: correlation, carry: carry})
	})
}
