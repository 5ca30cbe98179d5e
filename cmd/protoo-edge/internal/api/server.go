// Package api lets back ends that are not written in Go reach the peers of a server, over HTTP with JSON. The operations
// are those of openapi.yaml, which it serves.
package api

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/protoo-go/protoo/core"
)

// Options say what a [Server] serves. Zero numbers are the defaults that are named.
type Options struct {
	App  *core.App
	Keys []Key

	MaxBody  int           // bytes of a call; default 256 KiB
	MaxCalls int           // at a time; default 256
	MaxWait  time.Duration // for the answers of peers; default 2 minutes
	// Timeout says how long a peer may take to answer a request with a method when the call does not say it. Default is
	// what core has.
	Timeout func(method string) time.Duration

	// Revoke takes an identity away and returns how many peers that has disconnected. It may return an [InvalidError] or ErrBusy.
	Revoke func(Revocation) (disconnected int, err error)
	// Drain begins to end the program, which calls [Server.Drain] and [Server.Close] when it is time. It does not wait for that.
	Drain func() error
	// Reload reads the configuration again. Mistakes in it are an [InvalidError].
	Reload func(ctx context.Context) (*Reloaded, error)

	// Audit is told of every call when it has been answered.
	Audit func(*Record)
}

// A Record says who has done what. It has neither keys nor bodies in it.
type Record struct {
	ID        string // of the call
	Key       string // its name, "" if none of ours was shown
	Operation string // one of [Operations], "" if there is none
	Changes   bool   // the operation can change something
	Target    string // whom it was about, "" if nobody was named
	Remote    string // the address of who called
	Status    int    // of HTTP; 499 when who called has gone
	Code      string // of the problem, "" if there is none
	Err       error  // why it failed, nil if it has not; it may repeat parts of the body
	Time      time.Duration
}

// statusGone is what is counted when who called has not waited for the answer.
const statusGone = 499

// A Server serves the API. Any goroutine may use it.
type Server struct {
	o     Options
	keys  atomic.Pointer[[]Key]
	slots chan struct{}
	scan  sync.Mutex // held while all peers are looked at

	draining atomic.Bool
	ended    context.Context // by Close
	end      context.CancelFunc

	mu    sync.Mutex
	calls map[callKind]uint64
}

type callKind struct {
	operation string
	status    int
}

// New returns a server.
func New(o Options) *Server {
	if o.MaxBody == 0 {
		o.MaxBody = 256 << 10
	}
	if o.MaxCalls == 0 {
		o.MaxCalls = 256
	}
	if o.MaxWait == 0 {
		o.MaxWait = 2 * time.Minute
	}
	s := &Server{o: o, slots: make(chan struct{}, o.MaxCalls), calls: make(map[callKind]uint64)}
	s.SetKeys(o.Keys)
	s.ended, s.end = context.WithCancel(context.Background())
	return s
}

// Drain refuses from now on what would begin something new. Calls that wait for peers go on.
func (s *Server) Drain() { s.draining.Store(true) }

// Close ends the calls that wait, with 503, and refuses all others.
func (s *Server) Close() {
	s.Drain()
	s.end()
}

// route is an operation and where it is.
type route struct {
	operation    string
	method, path string
	status       int  // of success
	changes      bool // it can change something
	begins       bool // it makes no sense any more when the server is ending
	run          func(*Server, *call) (any, error)
}

// document is where openapi.yaml is.
const document = "/v1/openapi.yaml"

var routes = []route{
	{"send", http.MethodPost, "/v1/send", http.StatusOK, true, true, (*Server).send},
	{"broadcast", http.MethodPost, "/v1/broadcast", http.StatusOK, true, true, (*Server).broadcast},
	{"peers", http.MethodGet, "/v1/peers", http.StatusOK, false, false, (*Server).peers},
	{"disconnect", http.MethodPost, "/v1/disconnect", http.StatusOK, true, false, (*Server).disconnect},
	{"revoke", http.MethodPost, "/v1/revoke", http.StatusOK, true, false, (*Server).revoke},
	{"reload", http.MethodPost, "/v1/reload", http.StatusOK, true, true, (*Server).reload},
	{"drain", http.MethodPost, "/v1/drain", http.StatusAccepted, true, false, (*Server).drain},
}

// Operations returns what a key can be allowed.
func Operations() []string {
	var names []string
	for _, r := range routes {
		names = append(names, r.operation)
	}
	return names
}

//go:embed openapi.yaml
var openAPI []byte

// call is what an operation is given.
type call struct {
	ctx    context.Context // ends when who called has gone
	body   []byte
	query  url.Values
	target string // for the record
	wait   func(time.Duration)
}

// validID is what is taken as the id of a call from who makes it.
var validID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// ServeHTTP answers a call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	record := &Record{ID: r.Header.Get("X-Request-Id"), Remote: r.RemoteAddr}
	if !validID.MatchString(record.ID) {
		record.ID = strings.ToLower(rand.Text())
	}
	h := w.Header()
	h.Set("X-Request-Id", record.ID)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if r.URL.Path == document && r.Method == http.MethodGet {
		h.Set("Content-Type", "application/yaml")
		_, _ = w.Write(openAPI) // who has gone needs no answer
		return
	}
	status, result, err := s.serve(w, r, record)
	if err != nil {
		p := asProblem(err)
		p.RequestID = record.ID
		record.Code = p.Code
		status, result = p.Status, p
		h.Set("Content-Type", "application/problem+json")
		if p.Status == http.StatusServiceUnavailable {
			h.Set("Retry-After", "1")
		}
	} else {
		h.Set("Content-Type", "application/json")
	}
	if r.Context().Err() != nil {
		status = statusGone
	} else {
		w.WriteHeader(status)
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		_ = e.Encode(result) // who has gone needs no answer
	}
	record.Status, record.Err, record.Time = status, err, time.Since(start)
	s.count(record)
	if s.o.Audit != nil {
		s.o.Audit(record)
	}
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, record *Record) (status int, result any, err error) {
	rt, err := find(w, r)
	if err != nil {
		return 0, nil, err
	}
	record.Operation, record.Changes = rt.operation, rt.changes
	key := s.authenticate(r)
	if key == nil {
		w.Header().Set("WWW-Authenticate", `Bearer realm="protoo"`)
		return 0, nil, fail(http.StatusUnauthorized, "unauthorized", "expected Authorization: Bearer and one of the keys of this server")
	}
	record.Key = key.Name
	if !key.allows(rt.operation) {
		return 0, nil, fail(http.StatusForbidden, "forbidden", "the key "+key.Name+" does not allow "+rt.operation)
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	default:
		return 0, nil, fail(http.StatusServiceUnavailable, "busy", "too many calls at a time")
	}
	if s.ended.Err() != nil || rt.begins && s.draining.Load() {
		return 0, nil, errDraining()
	}
	c := &call{ctx: r.Context(), query: r.URL.Query(), wait: func(d time.Duration) { extend(w, d) }}
	if rt.method == http.MethodPost {
		if c.body, err = s.read(w, r); err != nil {
			return 0, nil, err
		}
	}
	result, err = rt.run(s, c)
	record.Target = c.target
	return rt.status, result, err
}

func errDraining() error {
	return fail(http.StatusServiceUnavailable, "draining", "the server is ending")
}

// find returns the route of a call.
func find(w http.ResponseWriter, r *http.Request) (*route, error) {
	var allowed []string
	for i := range routes {
		rt := &routes[i]
		if rt.path == r.URL.Path && rt.method == r.Method {
			return rt, nil
		}
		if rt.path == r.URL.Path {
			allowed = append(allowed, rt.method)
		}
	}
	if r.URL.Path == document {
		allowed = append(allowed, http.MethodGet)
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		return nil, fail(http.StatusMethodNotAllowed, "method-not-allowed", "expected the method "+strings.Join(allowed, " or "))
	}
	return nil, fail(http.StatusNotFound, "not-found", "there is nothing here; "+document+" says what there is")
}

// read reads the body of a call. One that needs none may leave it out.
func (s *Server) read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(s.o.MaxBody)))
	if err != nil {
		if asProblem(err).Status == http.StatusInternalServerError {
			err = errBody("the body cannot be read")
		}
		return nil, err
	}
	if len(body) == 0 {
		return nil, nil
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, fail(http.StatusUnsupportedMediaType, "unsupported-media-type", "expected Content-Type: application/json")
	}
	return body, nil
}

// extend lets a call take some time beyond what the HTTP server allows.
func extend(w http.ResponseWriter, d time.Duration) {
	const writing = 10 * time.Second
	until := time.Now().Add(d + writing)
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(until)  // it looks whether who called has gone by reading
	_ = rc.SetWriteDeadline(until) // both fail only where there are no deadlines
}

func (s *Server) count(r *Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[callKind{r.Operation, r.Status}]++
}

// Calls is how many calls have ended in the same way.
type Calls struct {
	Operation string // "" if there is no such operation
	Status    int    // of HTTP; 499 when who called has gone
	Count     uint64
}

// Stats are the figures of a server.
type Stats struct {
	Calls  []Calls
	Active int // calls that are being served
}

// Stats returns the figures since the start.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	calls := maps.Clone(s.calls)
	s.mu.Unlock()
	stats := Stats{Active: len(s.slots)}
	for kind, n := range calls {
		stats.Calls = append(stats.Calls, Calls{kind.operation, kind.status, n})
	}
	slices.SortFunc(stats.Calls, func(a, b Calls) int {
		if a.Operation != b.Operation {
			return strings.Compare(a.Operation, b.Operation)
		}
		return a.Status - b.Status
	})
	return stats
}
