package main

import (
	"strconv"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/api"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/drain"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/identity"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/metrics"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/webhook"
)

// The figures that the parts of the server count themselves.

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
