package main

import (
	"log/slog"
	"net"
	"net/http"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/config"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/health"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/limits"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/metrics"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/proxies"
	"github.com/protoo-go/protoo/core"
)

// bounds are what clients may use up, and who says where they come from.
type bounds struct {
	limits  *limits.Limits
	proxies *proxies.Proxies
	rules   []*limits.Rule // of the entries of middleware that bound requests, in their order
}

func newBounds(app *core.App, cfg *config.Config, log *slog.Logger) *bounds {
	warnOfDescriptors(cfg, log)
	report := func(from net.Addr, err error) { log.Debug("no client behind a proxy", "from", from, "error", err) }
	return &bounds{limits: limits.New(app, cfg.Limits), proxies: proxies.New(proxyOptions(cfg), report)}
}

// warnOfDescriptors tells an operator that clients will wait for a descriptor instead of being refused.
func warnOfDescriptors(cfg *config.Config, log *slog.Logger) {
	if cfg.Env != config.Production {
		return
	}
	l := &cfg.Limits
	boundless := l.Connections == 0 || l.HTTPConnections == 0
	if _, limit := health.CountDescriptors(); limit > 0 && (boundless || uint64(l.Connections+l.HTTPConnections) >= limit) {
		log.Warn("limits.connections and limits.http_connections are not below what this process may have of file descriptors: beyond that, clients wait instead of being refused",
			"connections", l.Connections, "http_connections", l.HTTPConnections, "descriptors", limit)
	}
}

func proxyOptions(cfg *config.Config) proxies.Options {
	o := cfg.Proxies
	o.Timeout = cfg.HTTP.ReadHeaderTimeout
	return o
}

// rule makes the handler of an entry that bounds requests.
func (b *bounds) rule(m *config.Middleware) core.Handler {
	r := b.limits.NewRule(m.Limit)
	b.rules = append(b.rules, r)
	return r.Handle
}

// accept bounds the connections about which behind decides.
func (b *bounds) accept(behind core.Accept) core.Accept {
	return b.proxies.Accept(b.limits.Accept(behind))
}

// public makes a listener for clients learn their addresses from proxies.
func (b *bounds) public(key string, l net.Listener) net.Listener {
	if key != "addr" && key != "tls.addr" {
		return l
	}
	return b.proxies.Listener(l)
}

// connState counts the connections of the http.Server for clients.
func (b *bounds) connState() func(net.Conn, http.ConnState) {
	return b.limits.ConnState(b.proxies.Trusts)
}

// behindProxies makes a handler that is not served over QUIC learn the clients' addresses from proxies.
func (b *bounds) behindProxies(next http.Handler) http.Handler { return b.proxies.Handler(next) }

// set applies the configuration again. It has as many entries that bound requests as before: another number takes a restart.
func (b *bounds) set(cfg *config.Config) {
	b.limits.Set(cfg.Limits)
	b.proxies.Set(proxyOptions(cfg))
	for i, o := range cfg.Rules() {
		b.rules[i].Set(o)
	}
}

func (b *bounds) figures(batch *metrics.Batch) {
	stats := b.limits.Stats()
	batch.Gauge("protoo_limits_connections", "Connections of all transports that are counted against the limits, handshakes included.", float64(stats.Connections))
	batch.Gauge("protoo_limits_http_connections", "TCP connections over which nobody is connected yet, those in a handshake included.", float64(stats.HTTP))
	batch.Gauge("protoo_limits_addresses", "Addresses that those come from, but for exempt ones.", float64(stats.Addresses))
	for cause, n := range stats.Refused {
		batch.Counter("protoo_limits_refused_total", "What was refused, or closed, because of a limit.", float64(n), "limit", string(cause))
	}
	proxied := b.proxies.Stats()
	const name, help = "protoo_proxy_headers_total", "Connections from proxies, by whether their PROXY header was taken."
	batch.Counter(name, help, float64(proxied.Headers), "outcome", "taken")
	batch.Counter(name, help, float64(proxied.Refused), "outcome", "refused")
	batch.Counter("protoo_proxy_named_total", "HTTP requests whose client a trusted proxy has named in a header.", float64(proxied.Named))
}
