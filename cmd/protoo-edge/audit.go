package main

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/api"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/throttle"
)

// auditor logs who has done what: a line for each call that can change something. Neither keys nor bodies are logged.
type auditor struct {
	log     *slog.Logger
	refused throttle.Throttle // calls without a good key: anybody can make as many as they want
}

func (a *auditor) record(r *api.Record) {
	level := slog.LevelDebug
	switch {
	case r.Status == http.StatusUnauthorized:
		if n := a.refused.Hit(1); n > 0 {
			a.log.Warn("server API: calls without a good key", "calls", n, "last", r.Remote)
		}
		return
	case r.Status == http.StatusInternalServerError:
		level = slog.LevelError
	case r.Changes:
		level = slog.LevelInfo
	}
	args := []any{"operation", r.Operation, "target", r.Target, "key", r.Key, "remote", r.Remote, "status", r.Status, "call", r.ID, "time", r.Time}
	if r.Code != "" {
		args = append(args, "problem", r.Code)
	}
	if level == slog.LevelError {
		args = append(args, "error", r.Err)
	}
	a.log.Log(context.Background(), level, "server API", args...)
}
