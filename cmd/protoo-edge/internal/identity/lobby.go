package identity

import (
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// A lobby counts connections that have not said who they are.
type lobby struct {
	mu     sync.Mutex
	inside map[*ticket]struct{}
	from   map[netip.Prefix]int
}

// A ticket is a place in the lobby.
type ticket struct {
	lobby *lobby
	from  netip.Prefix
	until time.Time
}

func newLobby() *lobby {
	return &lobby{inside: make(map[*ticket]struct{}), from: make(map[netip.Prefix]int)}
}

// enter fails when there are too many already. The place is free again after leave, or at last after the time given: somebody
// else may refuse the connection without telling us.
func (l *lobby) enter(remote string, most, mostOfOne int, stay time.Duration) (*ticket, error) {
	t := &ticket{l, network(remote), time.Now().Add(stay)}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.inside) >= most || l.from[t.from] >= mostOfOne {
		l.sweep()
	}
	switch {
	case len(l.inside) >= most:
		return nil, &denial{Crowded, http.StatusServiceUnavailable, "too many connections that have not authenticated"}
	case l.from[t.from] >= mostOfOne:
		return nil, &denial{Crowded, http.StatusTooManyRequests, "too many connections from your address that have not authenticated"}
	}
	l.inside[t] = struct{}{}
	l.from[t.from]++
	return t, nil
}

// sweep frees places that nobody has left. The lock is held.
func (l *lobby) sweep() {
	now := time.Now()
	for t := range l.inside {
		if now.After(t.until) {
			l.remove(t)
		}
	}
}

func (l *lobby) remove(t *ticket) {
	if _, inside := l.inside[t]; !inside {
		return
	}
	delete(l.inside, t)
	if l.from[t.from]--; l.from[t.from] == 0 {
		delete(l.from, t.from)
	}
}

func (t *ticket) leave() {
	t.lobby.mu.Lock()
	defer t.lobby.mu.Unlock()
	t.lobby.remove(t)
}

func (l *lobby) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.inside)
}
