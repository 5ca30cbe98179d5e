// Package tracing tells an OpenTelemetry collector what becomes of requests. It makes spans (W3C Trace Context), and sends
// them in batches as OTLP over HTTP, in JSON.
//
// It does without OpenTelemetry's SDK and exporter, which would make the program 6.5 MB larger, most of it gRPC.
package tracing

import (
	"context"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/protoo-go/protoo/core"
)

// Options say which requests are traced, and where to.
type Options struct {
	Endpoint string            // a URL, such as http://127.0.0.1:4318/v1/traces
	Headers  map[string]string // for it
	Percent  int               // of the requests that are part of no trace yet
	Peers    bool              // spans say who has sent a request
	Service  string            // name and version of this one
	Version  string

	// Report, if it is not nil, is called with what went wrong, once a minute at most.
	Report func(error)
}

// A Tracer traces requests. The caller closes it, unless no request has come.
type Tracer struct {
	percent int
	peers   bool
	out     *exporter
}

// New returns a tracer that is ready. The collector need not be there.
func New(o Options) *Tracer {
	return &Tracer{percent: o.Percent, peers: o.Peers, out: newExporter(o)}
}

// Close sends what is left, as long as ctx allows. Requests that end later are not told of.
func (t *Tracer) Close(ctx context.Context) { t.out.close(ctx) }

// Stats returns how many spans the collector has taken, and how many it has not got: because it failed, or because there were
// too many at a time.
func (t *Tracer) Stats() (sent, lost uint64) { return t.out.sent.Load(), t.out.lost.Load() }

// Handle is middleware. For a request that is traced it makes a span, which ends with the final response or with the peer, and
// of which requests that the handlers forward are children. It belongs in front of all other middleware.
func (t *Tracer) Handle(req *core.Request, next core.Next) error {
	trace, parent, sampled := parse(req.TraceParent())
	if trace == "" {
		sampled = rand.IntN(100) < t.percent
	}
	if !sampled {
		next()
		return nil
	}
	s := t.begin(req, trace, parent)
	if err := req.SetTraceParent("00-" + s.trace + "-" + s.id + "-01"); err != nil {
		return err
	}
	stop := context.AfterFunc(req.Context(), func() { s.end(0, "") })
	req.OnResponse(func(res *core.Response) {
		if res.IsProvisional() {
			s.provisional(res.Status())
			return
		}
		stop()
		s.end(res.Status(), req.Route())
	})
	next()
	return nil
}

// parse takes a traceparent apart, which is valid or "".
func parse(text string) (trace, parent string, sampled bool) {
	if text == "" {
		return "", "", false
	}
	var flags [1]byte
	_, _ = hex.Decode(flags[:], []byte(text[53:])) // core has checked it
	return text[3:35], text[36:52], flags[0]&1 != 0
}

// A span is one request as OpenTelemetry has it.
type span struct {
	out               *exporter
	trace, id, parent string // in hex
	method            string
	transport         string // "" if the peer has lost its connection
	username, uuid    string // "" unless peers are told of

	mu     sync.Mutex
	ended  bool
	start  time.Time
	took   time.Duration
	events []event
	route  string
	status int // 0 when there was no final response
}

// event is a provisional response.
type event struct {
	at     time.Time
	status int
}

// maxEvents bounds what a peer that answers provisionally without end can make a span hold.
const maxEvents = 32

func (t *Tracer) begin(req *core.Request, trace, parent string) *span {
	s := &span{out: t.out, trace: trace, parent: parent, id: randomHex(8), method: req.Method(), start: time.Now()}
	if trace == "" {
		s.trace = randomHex(16)
	}
	peer := req.Peer()
	if conn := peer.Conn(); conn != nil {
		s.transport, _, _ = strings.Cut(conn.String(), "/")
	}
	if t.peers {
		s.username, s.uuid = peer.Username(), peer.UUID()
	}
	return s
}

// randomHex returns n random bytes, not all zero. Nobody has to be kept from guessing them.
func randomHex(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	b[0] |= 1
	return hex.EncodeToString(b)
}

func (s *span) provisional(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended && len(s.events) < maxEvents {
		s.events = append(s.events, event{time.Now(), status})
	}
}

// end gives the span to the exporter, the first time.
func (s *span) end(status int, route string) {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return
	}
	s.ended, s.status, s.route, s.took = true, status, route, time.Since(s.start)
	s.mu.Unlock()
	s.out.add(s)
}
