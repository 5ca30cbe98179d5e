package sessions

import (
	"errors"
	"sync"

	"github.com/protoo-go/protoo/core"
)

// A Session is a call from one peer to another. Any goroutine may use it.
//
// Whatever happens to a session (a request, a response, a party that leaves) is a step. Steps are taken one at a
// time and in order, and send their messages without holding a lock. So both parties and the listeners see
// one and the same order of events.
type Session struct {
	manager *Manager
	path    string
	caller  *core.Peer
	callee  *core.Peer

	mu      sync.Mutex
	state   State
	busy    bool     // a step is being taken
	waiting []func() // those that follow

	// Belongs to the step that is being taken.
	called      bool              // the callee knows of the session
	setup       *core.Request     // the caller's request, until it has its final response
	transaction *core.Transaction // the same request at the callee, as long
}

// Path returns the session's path, which only the parties know.
func (s *Session) Path() string { return s.path }

// Caller returns the peer that has set the session up.
func (s *Session) Caller() *core.Peer { return s.caller }

// Callee returns the peer that was called.
func (s *Session) Callee() *core.Peer { return s.callee }

// State returns how far the session has got.
func (s *Session) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// End ends the session and tells both parties, with the reason in the data of the "end". A session that
// is over stays as it is. End does not wait.
func (s *Session) End(reason string) {
	s.do(func() { s.close(nil, newEnd(s, reason), 487, "canceled", "") })
}

// connect is the first step: it tells both parties the path and calls the callee.
func (s *Session) connect() {
	if !s.manager.add(s) {
		_ = s.setup.Reply(429, "too many sessions")
		return
	}
	s.manager.notify(s, Connecting)
	err := s.setup.Reply(100, "connecting", struct {
		SessionPath string `json:"sessionPath"`
	}{s.path})
	if err != nil {
		// The caller reads too slowly, or it has gone, perhaps before the manager knew of this session.
		_ = s.setup.Reply(503, "peer too slow")
		s.over()
		return
	}
	s.called = true
	s.transaction = s.callee.Send(s.setup)
	s.transaction.OnResponse(func(res *core.Response) {
		if res.IsProvisional() && s.congested() {
			return
		}
		s.do(func() { s.answer(res) })
	})
}

// answer relays a response of the callee's to the caller.
func (s *Session) answer(res *core.Response) {
	if s.setup == nil {
		return
	}
	err := s.setup.Reply(res.Status(), res.Reason(), res.Data())
	if res.IsProvisional() {
		if s.State() == Connecting {
			s.enter(Progress)
		}
		return
	}
	s.setup, s.transaction = nil, nil
	switch {
	case res.IsAccept() && err == nil:
		s.enter(Open)
	case res.IsAccept() && errors.Is(err, core.ErrOffline):
		s.peerOffline(s.caller)
	case res.IsAccept():
		s.close(nil, newEnd(s, "answer lost"), 0, "", "")
	case res.IsLocal() && res.Status() == 408:
		s.callee.Send(newEnd(s, "timeout"))
		s.over()
	default:
		s.over()
	}
}

// receive takes a party's request to the session's path.
func (s *Session) receive(req *core.Request) {
	from := req.Peer()
	switch {
	case s.State() == Closed:
		_ = req.Reply(404, "session is over")
	case req.Method() != "end":
		core.Forward(req, s.other(from))
	default:
		_ = req.Reply(200, "session ended")
		if from == s.callee {
			s.close(from, req, 603, "declined", req.Data())
		} else {
			s.close(from, req, 487, "canceled", "")
		}
	}
}

// peerOffline ends the session because a party has gone.
func (s *Session) peerOffline(p *core.Peer) {
	s.close(p, newEnd(s, "peer offline"), 410, "peer offline", "")
}

// close ends the session because one of the parties wants it, or neither if by is nil. Whoever does not
// know yet is told: a caller that still waits for an answer by the response, others by the request.
func (s *Session) close(by *core.Peer, end *core.Request, status int, reason string, data core.JSON) {
	if s.State() == Closed {
		return
	}
	defer s.over()
	setup, transaction := s.setup, s.transaction
	s.setup, s.transaction = nil, nil
	if transaction != nil {
		transaction.Cancel()
	}
	if by != s.callee && s.called {
		s.callee.Send(end)
	}
	if setup != nil {
		_ = setup.Reply(status, reason, data)
	} else if by != s.caller {
		s.caller.Send(end)
	}
}

// over makes the manager forget the session.
func (s *Session) over() {
	s.setup, s.transaction = nil, nil
	s.manager.remove(s)
	s.enter(Closed)
}

func (s *Session) enter(state State) {
	s.mu.Lock()
	s.state = state
	s.mu.Unlock()
	s.manager.notify(s, state)
}

func (s *Session) other(p *core.Peer) *core.Peer {
	if p == s.caller {
		return s.callee
	}
	return s.caller
}

func newEnd(s *Session, reason string) *core.Request {
	return core.NewRequest("end", s.path, struct {
		Reason string `json:"reason"`
	}{reason})
}

// do takes a step after all that were begun before it: at once on the calling goroutine if it can, and
// otherwise later on another. So a step may itself ask for the next, and nobody waits for the other party's.
func (s *Session) do(step func()) {
	s.mu.Lock()
	if s.busy {
		s.waiting = append(s.waiting, step)
		s.mu.Unlock()
		return
	}
	s.busy = true
	s.mu.Unlock()
	s.take(step)
}

func (s *Session) take(step func()) {
	defer s.proceed()
	taken := false
	defer func() {
		// A listener or a hook has ended the goroutine, as t.FailNow does, in the middle of the step.
		if !taken {
			s.close(nil, newEnd(s, "internal error"), 500, "internal error", "")
		}
	}()
	step()
	taken = true
}

// proceed takes the next step, on a goroutine of its own: the calling one has its own peer to serve.
func (s *Session) proceed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		s.waiting, s.busy = nil, false
		return
	}
	step := s.waiting[0]
	s.waiting[0] = nil
	s.waiting = s.waiting[1:]
	go s.take(step)
}

// maxWaiting bounds the provisional responses that wait while a listener takes its time. Requests
// are bounded by the application's MaxRequests.
const maxWaiting = 64

func (s *Session) congested() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting) >= maxWaiting
}
