package main

import (
	"context"
	"log/slog"
	"sync"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/config"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/webhook"
	"github.com/protoo-go/protoo/core"
)

// outgoing are the calls to other servers: web hooks, and requests that those answer.
type outgoing struct {
	log    *slog.Logger
	signer *webhook.Signer
	hooks  *webhook.Hooks

	mu         sync.Mutex
	forwarders []*webhook.Forwarder
}

func newOutgoing(cfg *config.Config, log *slog.Logger) (*outgoing, error) {
	w := &cfg.Webhooks
	signer, err := webhook.NewSigner(w.Secrets)
	if err != nil {
		return nil, err
	}
	return &outgoing{log: log, signer: signer, hooks: webhook.New(webhook.Options{
		URLs:        w.URLs,
		Events:      w.Events,
		Signer:      signer,
		Timeout:     w.Timeout,
		Attempts:    w.Attempts,
		Queue:       w.Queue,
		Concurrency: w.Concurrency,
		Lost: func(url string, events int, reason string) {
			log.Warn("web hook: events are lost", "url", url, "events", events, "reason", reason)
		},
	})}, nil
}

// forward returns the handler of an entry of the middleware that has another server answer.
func (o *outgoing) forward(m *config.Middleware) core.Handler {
	f := webhook.NewForwarder(webhook.ForwardOptions{
		URL:         m.HTTP.URL,
		Signer:      o.signer,
		Timeout:     m.HTTP.Timeout,
		Concurrency: m.HTTP.Concurrency,
		MaxAnswer:   m.HTTP.MaxAnswer,
		Failed: func(url string, calls int, reason string) {
			o.log.Warn("requests were not answered by the back end", "url", url, "requests", calls, "reason", reason)
		},
	})
	o.mu.Lock()
	defer o.mu.Unlock()
	o.forwarders = append(o.forwarders, f)
	return f.Handle
}

// stats are the figures of the web hooks, by receiver, and of the forwarders, in the order of the middleware.
func (o *outgoing) stats() ([]webhook.Stats, []webhook.ForwardStats) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var forwards []webhook.ForwardStats
	for _, f := range o.forwarders {
		forwards = append(forwards, f.Stats())
	}
	return o.hooks.Stats(), forwards
}

// setSecrets makes calls be signed with the secrets of the configuration, which knows that they are valid.
func (o *outgoing) setSecrets(cfg *config.Config) {
	if err := o.signer.SetSecrets(cfg.Webhooks.Secrets); err != nil {
		o.log.Error("web hooks are signed with the old secrets", "error", err)
	}
}

// close tells what there is to tell, for as long as a call may take, or until ctx ends.
func (o *outgoing) close(ctx context.Context, cfg *config.Config) {
	ctx, cancel := context.WithTimeout(ctx, cfg.Webhooks.Timeout)
	defer cancel()
	if lost := o.hooks.Close(ctx); lost > 0 {
		o.log.Warn("web hooks: there was no time for all events", "lost", lost)
	}
}
