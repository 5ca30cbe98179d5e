package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"log/slog"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/config"
	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/wasmhost"
)

// newLogger returns a logger, and what changes its level while it is used.
func newLogger(w io.Writer, cfg *config.Config) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	setLevel(level, cfg)
	o := &slog.HandlerOptions{Level: level}
	if cfg.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o)), level
	}
	return slog.New(slog.NewTextHandler(w, o)), level
}

func setLevel(level *slog.LevelVar, cfg *config.Config) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(cfg.Log.Level)); err != nil {
		panic(err) // the configuration knows its values
	}
	level.Set(l)
}

// httpLog returns what net/http logs to. Handshakes that fail are the daily noise of a public port.
func httpLog(logger *slog.Logger) *log.Logger { return log.New(httpWriter{logger}, "", 0) }

type httpWriter struct{ log *slog.Logger }

func (w httpWriter) Write(line []byte) (int, error) {
	level := slog.LevelWarn
	if bytes.Contains(line, []byte("TLS handshake error")) {
		level = slog.LevelDebug
	}
	w.log.Log(context.Background(), level, string(bytes.TrimSpace(line)))
	return len(line), nil
}

// logRefusals logs who was not let in. The query may have a token, so that it is never logged.
func logRefusals(accept core.Accept, log *slog.Logger) core.Accept {
	return func(r *core.ConnectRequest) (core.Identity, error) {
		id, err := accept(r)
		if err != nil {
			log.Debug("refused", "conn", r.Transport+"/"+r.RemoteAddr, "path", r.Path, "error", err)
		}
		logIntroduction(&id, r, log)
		return id, err
	}
}

// logEvents logs the lives of peers. Every connection has a number, and so has a peer that comes back on another.
func logEvents(app *core.App, log *slog.Logger) {
	// What nobody wants to see would cost every handshake the frame of slog's function, which makes its stack grow.
	debugging := func() bool { return log.Enabled(context.Background(), slog.LevelDebug) }
	app.OnOnline(func(p *core.Peer) {
		if debugging() {
			log.Debug("online", "peer", p, "conn", p.Conn(), "id", p.ConnNumber())
		}
	})
	app.OnDisconnect(func(p *core.Peer, code int, reason string) {
		if debugging() {
			log.Debug("disconnected", "peer", p, "id", p.ConnNumber(), "code", code, "reason", reason)
		}
	})
	app.OnReconnect(func(p *core.Peer) { log.Debug("reconnected", "peer", p, "conn", p.Conn(), "id", p.ConnNumber()) })
	app.OnOffline(func(p *core.Peer) {
		if debugging() {
			log.Debug("offline", "peer", p)
		}
	})
	app.OnBadMessage(func(p *core.Peer, err error) {
		log.Debug("bad message", "peer", p, "conn", p.Conn(), "id", p.ConnNumber(), "error", err)
	})
	app.OnRouteError(func(err error, req *core.Request) {
		if _, ok := errors.AsType[*core.StatusError](err); ok {
			return // a handler's way to say no
		}
		if _, ok := errors.AsType[*wasmhost.Error](err); ok {
			return // logged where the module has failed, and not for each request of a peer that makes it fail
		}
		args := []any{"error", err}
		if req != nil {
			p := req.Peer()
			args = append(args, "request", req, "request_id", req.ID(), "route", req.Route(), "peer", p, "conn", p.Conn(), "id", p.ConnNumber())
		}
		if panicked, ok := errors.AsType[*core.PanicError](err); ok {
			args = append(args, "stack", string(panicked.Stack))
		}
		log.Error("handler failed", args...)
	})
}
