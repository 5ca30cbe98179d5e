package main

import (
	"errors"
	"log/slog"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/middleware/messenger"
	"github.com/protoo-go/protoo/middleware/presence"
	"github.com/protoo-go/protoo/middleware/sessions"
)

// newApp returns the application that the clients are connected to.
func newApp(s settings, log *slog.Logger) *core.App {
	app := core.New(core.Options{GracePeriod: s.Grace})
	app.Use("/users", messenger.New(app, messenger.Options{}).Handle)
	app.Use("/sessions", sessions.New(app, sessions.Options{}).Handle)
	app.Use("/presence", presence.New(app, presence.Options{}).Handle)
	app.Use("/echo", echo)
	logEvents(app, log)
	return app
}

// echo answers a request with its own data.
func echo(req *core.Request, _ core.Next) error { return req.Reply(200, "OK", req.Data()) }

func logEvents(app *core.App, log *slog.Logger) {
	app.OnOnline(func(p *core.Peer) {
		log.Debug("online", "peer", p, "conn", p.Conn())
		p.OnDisconnect(func(code int, reason string) {
			log.Debug("disconnected", "peer", p, "code", code, "reason", reason)
		})
		p.OnReconnect(func() { log.Debug("reconnected", "peer", p, "conn", p.Conn()) })
	})
	app.OnOffline(func(p *core.Peer) { log.Debug("offline", "peer", p) })
	app.OnBadMessage(func(p *core.Peer, err error) { log.Debug("bad message", "peer", p, "error", err) })
	app.OnRouteError(func(err error, req *core.Request) {
		if _, ok := errors.AsType[*core.StatusError](err); ok {
			return // a handler's way to say no
		}
		args := []any{"error", err}
		if req != nil {
			args = append(args, "request", req, "peer", req.Peer())
		}
		if panicked, ok := errors.AsType[*core.PanicError](err); ok {
			args = append(args, "stack", string(panicked.Stack))
		}
		log.Error("handler failed", args...)
	})
}
