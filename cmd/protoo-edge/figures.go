package main

import (
	"cmp"
	"runtime"
	"runtime/debug"
	"strconv"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/api"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/drain"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/identity"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/metrics"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/modules"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/webhook"
	"github.com/protoo-go/protoo/core"
)

// The figures that the parts of the server count themselves, and that it has anyway.

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

func identityFigures(b *metrics.Batch, s identity.Stats) {
	s.Outcomes(func(name string, n uint64) {
		b.Counter("protoo_identity_decisions_total", "Decisions about who may connect, by the outcome.", float64(n), "outcome", name)
	})
	b.Counter("protoo_identity_refreshed_total", "Tokens that were replaced without a new connection.", float64(s.Refreshed))
	b.Counter("protoo_identity_expired_total", "Connections that were closed because their token had expired.", float64(s.Ended))
	b.Counter("protoo_identity_revoked_total", "Connections that were closed by a revocation.", float64(s.Closed))
	b.Gauge("protoo_identity_unidentified", "Connections that have not said who they are.", float64(s.Unidentified))
	b.Gauge("protoo_identity_tracked", "Peers whose token expires or can be revoked.", float64(s.Tracked))
	b.Gauge("protoo_identity_revocations", "Revocations that are in effect.", float64(s.Revocations))
}

func apiFigures(b *metrics.Batch, s api.Stats) {
	for _, c := range s.Calls {
		b.Counter("protoo_api_calls_total", "Calls of the server API.", float64(c.Count), "operation", c.Operation, "status", strconv.Itoa(c.Status))
	}
	b.Gauge("protoo_api_calls_active", "Calls of the server API that are being served.", float64(s.Active))
}

func webhookFigures(b *metrics.Batch, all []webhook.Stats) {
	sums := make(map[string]*webhook.Stats)
	for _, s := range all { // several may have the same address
		sum := sums[s.URL]
		if sum == nil {
			sum = new(webhook.Stats)
			sums[s.URL] = sum
		}
		sum.Delivered += s.Delivered
		sum.Retried += s.Retried
		sum.Rejected += s.Rejected
		sum.Failed += s.Failed
		sum.Dropped += s.Dropped
		sum.Queue += s.Queue
	}
	const name, help = "protoo_webhook_events_total", "Events for web hooks, by what became of them."
	for url, s := range sums {
		b.Counter(name, help, float64(s.Delivered), "url", url, "outcome", "delivered")
		b.Counter(name, help, float64(s.Rejected), "url", url, "outcome", "rejected")
		b.Counter(name, help, float64(s.Failed), "url", url, "outcome", "failed")
		b.Counter(name, help, float64(s.Dropped), "url", url, "outcome", "dropped")
		b.Counter("protoo_webhook_retries_total", "Attempts to deliver an event that were not the first.", float64(s.Retried), "url", url)
		b.Gauge("protoo_webhook_queue", "Events that wait for a web hook.", float64(s.Queue), "url", url)
	}
}

func forwardFigures(b *metrics.Batch, all []webhook.ForwardStats) {
	sums := make(map[string]*webhook.ForwardStats)
	for _, s := range all {
		sum := sums[s.URL]
		if sum == nil {
			sum = new(webhook.ForwardStats)
			sums[s.URL] = sum
		}
		sum.Answered += s.Answered
		sum.Refused += s.Refused
		sum.Failed += s.Failed
		sum.Timeouts += s.Timeouts
		sum.Canceled += s.Canceled
		sum.Active += s.Active
	}
	const name, help = "protoo_http_forwards_total", "Requests that were forwarded over HTTP, by what became of them."
	for url, s := range sums {
		b.Counter(name, help, float64(s.Answered), "url", url, "outcome", "answered")
		b.Counter(name, help, float64(s.Refused), "url", url, "outcome", "refused")
		b.Counter(name, help, float64(s.Failed), "url", url, "outcome", "failed")
		b.Counter(name, help, float64(s.Timeouts), "url", url, "outcome", "timeout")
		b.Counter(name, help, float64(s.Canceled), "url", url, "outcome", "canceled")
		b.Gauge("protoo_http_forwards_active", "Requests that are being forwarded over HTTP.", float64(s.Active), "url", url)
	}
}

func drainFigures(b *metrics.Batch, s drain.Stats) {
	b.Bool("protoo_draining", "Whether the server closes its clients to end.", s.Begun)
	b.Gauge("protoo_drain_peers", "Peers that a drain is to close, those that it has closed included.", float64(s.Peers))
	b.Counter("protoo_drain_closed_total", "Peers that a drain has closed.", float64(s.Closed))
	b.Counter("protoo_drain_cut_total", "Peers that a drain has closed before their requests had ended.", float64(s.Cut))
}
