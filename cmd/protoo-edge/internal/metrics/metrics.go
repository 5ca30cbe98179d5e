// Package metrics collects a server's figures and gives them to Prometheus. Every label has few values, whatever clients send: routes are
// the patterns of layers, and statuses and close codes that are not well known are put together.
package metrics

import (
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/protoo-go/protoo/core"
)

// Metrics is what is known about one server. Any goroutine may use it.
type Metrics struct {
	registry *prometheus.Registry

	routes       routes
	transactions [len(outcomes)]atomic.Uint64
	answers      histogram
	connections  table[string] // opened less closed, by transport
	handshakes   table[handshake]
	closes       table[closing]
	roundTrips   map[string]*histogram // by transport
	loopDelay    histogram
}

// The bounds of histograms, in order.
var (
	requestBounds = []time.Duration{
		25 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
		time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
		100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
		time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second, 2 * time.Minute,
	}
	roundTripBounds = []time.Duration{
		time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond,
		200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond, 1600 * time.Millisecond, 5 * time.Second, 25 * time.Second,
	}
	delayBounds = []time.Duration{
		50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
		time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 100 * time.Millisecond, time.Second,
	}
)

// transports are the values of the label transport.
var transports = []string{"ws", "wss", "wt"}

// New returns metrics of a server that nothing has happened to, with those of the Go runtime and of the process. errors of a
// collection are logged.
func New() *Metrics {
	m := &Metrics{
		registry:   prometheus.NewRegistry(),
		roundTrips: make(map[string]*histogram),
	}
	m.routes.init()
	m.answers.init(requestBounds)
	m.loopDelay.init(delayBounds)
	for _, t := range transports {
		m.roundTrips[t] = new(histogram)
		m.roundTrips[t].init(roundTripBounds)
		m.connections.add(t, 0)
		m.handshakes.add(handshake{t, accepted}, 0)
	}
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	m.Register(m.observed)
	return m
}

// Handler serves the figures in the formats that Prometheus reads. Whoever asks waits for a collection, of which there are few at a
// time. What could not be collected is logged, and the rest is served.
func (m *Metrics) Handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelError),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: 4,
		Timeout:             10 * time.Second,
	})
}

// Core returns what an application is to tell.
func (m *Metrics) Core() *core.Observer {
	return &core.Observer{Request: m.routes.observe, Transaction: m.answered}
}

// Transport returns what the server of a transport is to tell. Several may have the same.
func (m *Metrics) Transport() *core.TransportObserver {
	return &core.TransportObserver{
		Opened: func(transport string) {
			m.connections.add(transport, 1)
			m.handshakes.add(handshake{transport, accepted}, 1)
		},
		Refused: func(transport string, status int) {
			m.handshakes.add(handshake{transport, refusal(status)}, 1)
		},
		Closed: func(transport string, code int, ours bool) {
			m.connections.add(transport, -1)
			m.closes.add(closing{closeCode(code), side(ours)}, 1)
		},
		RTT: func(transport string, took time.Duration) {
			if h := m.roundTrips[transport]; h != nil {
				h.observe(took)
			}
		},
		LoopDelay: m.loopDelay.observe,
	}
}

func (m *Metrics) answered(final *core.Response, took time.Duration) {
	o := outcomeOf(final)
	m.transactions[o].Add(1)
	if o == answeredWell || o == answeredNo {
		m.answers.observe(took)
	}
}

// observed emits what the observers were told.
func (m *Metrics) observed(b *Batch) {
	for _, r := range m.routes.all() {
		for status, n := range r.statuses() {
			b.Counter("protoo_requests_total", "Requests of peers that got their final response, by the patterns of the route.",
				float64(n), "route", r.name, "status", status)
		}
		b.histogram("protoo_request_duration_seconds", "Time from a request's arrival to its final response.", r.snapshot(), "route", r.name)
	}
	for o := range m.transactions {
		b.Counter("protoo_transactions_total", "Requests that were sent to peers, by how they ended.",
			float64(m.transactions[o].Load()), "outcome", outcomes[o])
	}
	b.histogram("protoo_transaction_duration_seconds", "Time that peers took for their final responses.", m.answers.snapshot())
	for t, n := range m.connections.all() {
		b.Gauge("protoo_connections", "Connections of peers.", float64(n), "transport", t)
	}
	for h, n := range m.handshakes.all() {
		b.Counter("protoo_handshakes_total", "Handshakes by what became of them: accepted, aborted, or the status of the refusal.",
			float64(n), "transport", h.transport, "outcome", h.outcome)
	}
	for c, n := range m.closes.all() {
		b.Counter("protoo_closes_total", "Connections that have ended, by the close code and by who closed first.",
			float64(n), "code", c.code, "side", c.side)
	}
	for _, t := range transports {
		b.histogram("protoo_round_trip_seconds", "Time of a sign of life to a client and back.", m.roundTrips[t].snapshot(), "transport", t)
	}
	b.histogram("protoo_loop_delay_seconds", "Time that an event of a connection waits until it is handled, sampled.", m.loopDelay.snapshot())
}
