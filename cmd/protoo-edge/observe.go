package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/config"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/metrics"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/tracing"
	"github.com/protoo-go/protoo/core"
)

// newMetrics returns nil when there is nowhere to ask for them; then nothing is counted either.
func newMetrics(cfg *config.Config) *metrics.Metrics {
	if cfg.Internal.Addr == "" {
		return nil
	}
	return metrics.New()
}

// observe has the options of the application and of the transports tell the metrics what happens.
func observe(m *metrics.Metrics, cfg *config.Config) {
	if m == nil {
		return
	}
	cfg.Core.Observe = m.Core()
	transport := m.Transport()
	cfg.WebSocket.Observe, cfg.WebTransport.Observe = transport, transport
}

// registerFigures adds to the metrics what is counted elsewhere anyway.
func (s *server) registerFigures() {
	if s.metrics == nil {
		return
	}
	for _, collect := range []func(*metrics.Batch){
		s.applicationFigures, s.webTransportFigures, s.serverFigures, s.reloaded.figures, buildFigures, s.bounds.figures,
		func(b *metrics.Batch) { moduleFigures(b, s.modules.Status()) },
		func(b *metrics.Batch) { drainFigures(b, s.drain.Stats()) },
		func(b *metrics.Batch) { identityFigures(b, s.gate.Stats()) },
		func(b *metrics.Batch) {
			hooks, forwards := s.outgoing.stats()
			webhookFigures(b, hooks)
			forwardFigures(b, forwards)
		},
		func(b *metrics.Batch) {
			if s.api != nil {
				apiFigures(b, s.api.calls.Stats())
			}
		},
	} {
		s.metrics.Register(collect)
	}
}

// newTracer returns what traces requests, mounted in front of all that comes; nil when there is no collector.
func newTracer(cfg *config.Config, app *core.App, log *slog.Logger) *tracing.Tracer {
	o := &cfg.Tracing
	if o.Endpoint == "" {
		return nil
	}
	headers, _ := config.ParseHeaders(o.Headers) // the configuration has been checked
	t := tracing.New(tracing.Options{
		Endpoint: o.Endpoint,
		Headers:  headers,
		Percent:  o.Percent,
		Peers:    o.Peers,
		Service:  o.Service,
		Version:  core.Version,
		Report:   func(err error) { log.Warn("traces are lost", "error", err) },
	})
	app.Use("/", t.Handle)
	return t
}

func (s *server) closeTracer(ctx context.Context) {
	if s.tracer != nil {
		s.tracer.Close(ctx)
	}
}

// A backlog remembers what waits in an application, because looking at every peer takes time: the next look comes
// when a hundred times as much has passed as the last one took.
type backlog struct {
	mu    sync.Mutex
	known core.Backlog
	until time.Time
}

func (l *backlog) of(app *core.App) core.Backlog {
	l.mu.Lock()
	defer l.mu.Unlock()
	if began := time.Now(); !began.Before(l.until) {
		l.known = app.Backlog()
		ended := time.Now()
		l.until = ended.Add(100 * ended.Sub(began))
	}
	return l.known
}
