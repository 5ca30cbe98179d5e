// Package health tells whether a server works, and whether it wants traffic.
package health

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// The reasons that a State gives by itself.
const (
	Draining    = "draining"
	Descriptors = "descriptors"
	Listener    = "listener"
)

// A Reason says why a server does not want traffic.
type Reason struct {
	Check  string `json:"check"`  // one word, for programs
	Detail string `json:"detail"` // one line, for people
}

// A State is what is known about a server's health. The zero value is ready: it neither drains nor counts
// descriptors. Any goroutine may call its methods.
type State struct {
	// Descriptors returns how many file descriptors the process has open, and how many it may have; a limit of 0 means that
	// it is not known. Nil leaves them unwatched. It is called at most once a second.
	Descriptors func() (open, limit uint64)

	mu       sync.Mutex
	reasons  map[string]string // detail by check, of those that last until they are taken back
	starved  time.Time         // when a descriptor could not be had
	looked   time.Time         // at the descriptors
	headroom Reason            // what was seen then; the zero value is enough
}

// SetDraining says that the server is going to end: from now on it is not ready. There is no way back.
func (s *State) SetDraining() { s.Set(Draining, "the server is shutting down") }

// LoseListener says that a listener has failed: what clients connect to is not there any more.
func (s *State) LoseListener(name string, err error) {
	s.Set(Listener+" "+name, "does not accept connections: "+err.Error())
}

// Starve says that a connection could not be accepted for want of file descriptors. The server is not ready for a minute, which
// is how long such an episode lasts for websocket.NewListener after the last failure.
func (s *State) Starve() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starved = time.Now()
}

// Set gives a reason why the server is not ready, in place of an earlier one of the same check.
func (s *State) Set(check, detail string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reasons == nil {
		s.reasons = make(map[string]string)
	}
	s.reasons[check] = detail
}

// Clear takes the reason of a check back.
func (s *State) Clear(check string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.reasons, check)
}

const (
	starvation = time.Minute
	lookEvery  = time.Second
)

// Reasons returns why the server is not ready, ordered by check. It is ready when there are none.
func (s *State) Reasons() []Reason {
	s.mu.Lock()
	defer s.mu.Unlock()
	reasons := []Reason{}
	for check, detail := range s.reasons {
		reasons = append(reasons, Reason{check, detail})
	}
	if r := s.descriptors(time.Now()); r.Check != "" {
		reasons = append(reasons, r)
	}
	slices.SortFunc(reasons, func(a, b Reason) int { return strings.Compare(a.Check, b.Check) })
	return reasons
}

// descriptors returns why there are too few of them, if so. s.mu is held.
func (s *State) descriptors(now time.Time) Reason {
	if s.Descriptors != nil && (s.looked.IsZero() || now.Sub(s.looked) >= lookEvery) {
		s.looked, s.headroom = now, judge(s.Descriptors())
	}
	if s.headroom.Check != "" {
		return s.headroom
	}
	if !s.starved.IsZero() && now.Sub(s.starved) < starvation {
		return Reason{Descriptors, "a connection could not be accepted for want of file descriptors, less than a minute ago"}
	}
	return Reason{}
}

// ServeLive answers 200: a process that does not has to be started again.
func (s *State) ServeLive(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, struct {
		Live bool `json:"live"`
	}{true})
}

// ServeReady answers 200 when the server is ready, else 503 and why.
func (s *State) ServeReady(w http.ResponseWriter, _ *http.Request) {
	reasons := s.Reasons()
	status := http.StatusOK
	if len(reasons) > 0 {
		status = http.StatusServiceUnavailable
	}
	answer(w, status, struct {
		Ready   bool     `json:"ready"`
		Reasons []Reason `json:"reasons"`
	}{len(reasons) == 0, reasons})
}

func answer(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // booleans and texts can be encoded
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // a client that has gone needs no answer
}
