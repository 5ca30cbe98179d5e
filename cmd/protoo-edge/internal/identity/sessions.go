package identity

import (
	"container/heap"
	"sync"
	"time"

	"github.com/protoo-go/protoo/core"
)

// CloseExpired is the code that a peer is closed with whose token has expired: that of a refused handshake with status 401.
const CloseExpired = 4401

const reasonExpired = "token expired"

// sessions knows the tokens of the peers that are online, and closes those whose token expires. There is one timer for
// all: with one for each, a hundred thousand of them took more memory than the tokens.
type sessions struct {
	expired func(*core.Peer)

	mu       sync.Mutex
	of       map[*core.Peer]*session
	expiring expiries
	timer    *time.Timer
	due      time.Time // when the timer fires; zero if it does not
}

// A session is what is known about a peer's token.
type session struct {
	peer    *core.Peer
	tokenID string
	issued  int64 // in Unix seconds, 0 if that is not known
	expires int64 // in Unix nanoseconds, 0 if it does not
	place   int   // in expiring
}

// newSessions returns none. expired is called without a lock.
func newSessions(expired func(*core.Peer)) *sessions {
	s := &sessions{expired: expired, of: make(map[*core.Peer]*session)}
	s.timer = time.AfterFunc(time.Hour, s.expire)
	s.timer.Stop()
	return s
}

// set takes note of a peer's token, in place of the one before. The peer is online.
func (s *sessions) set(p *core.Peer, g *grant) {
	next := &session{peer: p, tokenID: g.tokenID}
	if !g.issued.IsZero() {
		next.issued = g.issued.Unix()
	}
	if !g.expires.IsZero() {
		next.expires = nanoseconds(g.expires)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(p)
	if *next == (session{peer: p}) {
		return // there is nothing to know
	}
	s.of[p] = next
	if next.expires != 0 {
		heap.Push(&s.expiring, next)
	}
	s.arm()
}

// nanoseconds returns a time as a number, which ends in 2262.
func nanoseconds(t time.Time) int64 {
	if end := time.Unix(1<<33, 0); t.After(end) {
		t = end
	}
	return max(t.UnixNano(), 1)
}

// remove forgets a peer, which is offline.
func (s *sessions) remove(p *core.Peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(p)
}

func (s *sessions) drop(p *core.Peer) {
	old := s.of[p]
	if old == nil {
		return
	}
	delete(s.of, p)
	if old.expires != 0 {
		heap.Remove(&s.expiring, old.place)
	}
}

// arm sets the timer to what expires first. A timer that fires too early does no harm, so that it is not set later.
func (s *sessions) arm() {
	if len(s.expiring) == 0 {
		return
	}
	first := time.Unix(0, s.expiring[0].expires)
	if s.due.IsZero() || first.Before(s.due) {
		s.due = first
		s.timer.Reset(time.Until(first))
	}
}

// expire is what the timer does.
func (s *sessions) expire() {
	var over []*core.Peer
	s.mu.Lock()
	s.due = time.Time{}
	for now := time.Now().UnixNano(); len(s.expiring) > 0 && s.expiring[0].expires <= now; {
		p := s.expiring[0].peer
		over = append(over, p)
		s.drop(p)
	}
	s.arm()
	s.mu.Unlock()
	for _, p := range over {
		s.expired(p)
	}
}

// issued returns when a peer's token was, zero if that is not known.
func (s *sessions) issued(p *core.Peer) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.of[p]; known != nil && known.issued != 0 {
		return time.Unix(known.issued, 0)
	}
	return time.Time{}
}

// with returns the peers that are online with a token.
func (s *sessions) with(tokenID string) []*core.Peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []*core.Peer
	for p, known := range s.of {
		if known.tokenID == tokenID {
			found = append(found, p)
		}
	}
	return found
}

func (s *sessions) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.of)
}

// close stops the timer.
func (s *sessions) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer.Stop()
	s.expiring, s.of = nil, make(map[*core.Peer]*session)
}

// expiries is a heap with what expires first on top.
type expiries []*session

func (e expiries) Len() int           { return len(e) }
func (e expiries) Less(i, j int) bool { return e[i].expires < e[j].expires }

func (e expiries) Swap(i, j int) {
	e[i], e[j] = e[j], e[i]
	e[i].place, e[j].place = i, j
}

func (e *expiries) Push(x any) {
	s := x.(*session)
	s.place = len(*e)
	*e = append(*e, s)
}

func (e *expiries) Pop() any {
	last := len(*e) - 1
	s := (*e)[last]
	(*e)[last] = nil
	*e = (*e)[:last]
	return s
}
