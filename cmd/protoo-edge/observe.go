package main

import (
	"cmp"
	"context"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/config"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/metrics"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/modules"
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

func (s *server) applicationFigures(b *metrics.Batch) {
	stats := s.app.Stats()
	b.Gauge("protoo_peers", "Peers that are online, those in their grace period included.", float64(stats.Peers))
	b.Counter("protoo_bad_messages_total", "Messages of clients that were not protoo messages.", float64(stats.BadMessages))
	const drops, help = "protoo_drops_total", "What was given up, by the reason."
	b.Counter(drops, help, float64(stats.Slow), "reason", "slow")
	b.Counter(drops, help, float64(stats.StrayResponses), "reason", "stray_response")
	if s.wt != nil {
		b.Counter(drops, help, float64(s.wt.Stats().Dropped), "reason", "datagram")
	}
	waiting := s.backlog.of(s.app)
	b.Gauge("protoo_requests_in_progress", "Requests of peers that have no final response yet.", float64(waiting.Requests))
	b.Gauge("protoo_transactions_pending", "Requests that peers have yet to answer.", float64(waiting.Transactions))
	b.Gauge("protoo_held_bytes", "Messages that wait for peers in their grace period.", float64(waiting.Held))
	b.Gauge("protoo_queue_bytes", "What waits to be written to connections.", float64(waiting.Queued))
}

func (s *server) webTransportFigures(b *metrics.Batch) {
	if s.wt == nil {
		return
	}
	stats := s.wt.Stats()
	b.Gauge("protoo_webtransport_strangers", "QUIC connections that have not asked for anything yet.", float64(stats.Strangers))
	b.Counter("protoo_webtransport_retries_total", "QUIC connections that had to prove their address first.", float64(stats.Retries))
	b.Counter("protoo_webtransport_refused_total", "QUIC connections that there was no room for.", float64(stats.Refused))
	b.Counter("protoo_webtransport_migrations_total", "Changes of clients' addresses.", float64(stats.Migrations))
	b.Counter("protoo_webtransport_stuck_total", "Sessions that ended because nothing could be written to them for too long.", float64(stats.Stuck))
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

func (s *server) serverFigures(b *metrics.Batch) {
	if s.tracer != nil {
		sent, lost := s.tracer.Stats()
		const name, help = "protoo_spans_total", "Spans of requests that were traced, by whether the collector has them."
		b.Counter(name, help, float64(sent), "outcome", "sent")
		b.Counter(name, help, float64(lost), "outcome", "lost")
	}
	b.Bool("protoo_ready", "Whether /readyz answers 200.", len(s.health.Reasons()) == 0)
	for name, expiry := range s.certificates.expiries() {
		b.Gauge("protoo_certificate_expiry_timestamp_seconds", "When the certificate that is served ends.", float64(expiry.Unix()), "name", name)
	}
}

func buildFigures(b *metrics.Batch) {
	revision := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = s.Value
			}
		}
	}
	revision = cmp.Or(commit, revision)
	b.Gauge("protoo_build_info", "What is running; always 1.", 1, "version", core.Version, "revision", revision, "go", runtime.Version())
}

func moduleFigures(b *metrics.Batch, all []modules.Status) {
	seen := make(map[string]bool)
	for _, m := range all {
		if seen[m.Path+"="+m.File] {
			continue // mounted twice with the same file: nothing can tell their figures apart
		}
		seen[m.Path+"="+m.File] = true
		labels := []string{"path", m.Path, "file", m.File}
		with := func(more ...string) []string { return append(labels[:2*2:2*2], more...) }
		for event, n := range m.Events {
			b.Counter("protoo_module_events_total", "Calls of a module.", float64(n), with("event", event)...)
		}
		for kind, n := range m.Failures {
			b.Counter("protoo_module_failures_total", "Calls of a module that have failed.", float64(n), with("kind", string(kind))...)
		}
		for name, n := range m.Counters {
			b.Gauge("protoo_module_value", "What a module counts itself.", float64(n), with("name", name)...)
		}
		b.Counter("protoo_module_fuel_total", "Fuel that a module has used.", float64(m.Fuel), labels...)
		b.Counter("protoo_module_skipped_total", "Events that a module was not told of, because it was unavailable.", float64(m.Skipped), labels...)
		b.Counter("protoo_module_log_dropped_total", "Lines that a module wanted to log and that were too many.", float64(m.Log), labels...)
		b.Counter("protoo_module_instances_made_total", "Instances of a module that were made.", float64(m.InstancesMade), labels...)
		b.Gauge("protoo_module_instances", "Instances of a module that there are.", float64(m.Instances), labels...)
		b.Gauge("protoo_module_queue", "Events that wait for an instance of a module.", float64(m.Queue), labels...)
		b.Gauge("protoo_module_pending", "Requests that a module has taken over and not answered yet.", float64(m.Pending), labels...)
		b.Gauge("protoo_module_versions", "Versions of a module that are in memory.", float64(m.Versions), labels...)
		b.Gauge("protoo_module_kv_keys", "Keys in the store of a module.", float64(m.Keys), labels...)
		b.Gauge("protoo_module_kv_bytes", "Bytes in the store of a module.", float64(m.KeyBytes), labels...)
		b.Gauge("protoo_module_loaded_timestamp_seconds", "When the version of a module that serves was loaded.", float64(m.Loaded.Unix()), labels...)
		b.Bool("protoo_module_broken", "Whether a module has failed too often to be asked now.", m.Broken, labels...)
		b.Bool("protoo_module_problem", "Whether the newest file of a module does not serve.", m.Problem != "", labels...)
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

// reloadCount counts reloads of the configuration.
type reloadCount struct {
	mu           sync.Mutex
	done, failed uint64
	lastFailed   bool
	last         time.Time // that was done; the start counts
}

func (r *reloadCount) add(ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lastFailed = !ok
	if !ok {
		r.failed++
		return
	}
	r.done++
	r.last = time.Now()
}

func (r *reloadCount) figures(b *metrics.Batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	const name, help = "protoo_reloads_total", "Reloads of the configuration, by the outcome."
	b.Counter(name, help, float64(r.done), "outcome", "applied")
	b.Counter(name, help, float64(r.failed), "outcome", "refused")
	b.Bool("protoo_reload_last_successful", "Whether the last reload was applied, if there was one.", !r.lastFailed)
	b.Gauge("protoo_reload_last_success_timestamp_seconds", "When the configuration that is in effect was loaded.", float64(r.last.Unix()))
}
