package main

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/api"
)

// auditor logs who has done what: a line for each call that can change something. Neither keys nor bodies are logged.
type auditor struct {
	log *slog.Logger

	mu      sync.Mutex
	refused int       // calls without a good key that are not logged yet
	next    time.Time // when to log them
}

const refusalInterval = time.Minute

func (a *auditor) record(r *api.Record) {
	level := slog.LevelDebug
	switch {
	case r.Status == http.StatusUnauthorized:
		n := a.refusals()
		if n == 0 {
			return // anybody can make as many as they want
		}
		a.log.Warn("server API: calls without a good key", "calls", n, "last", r.Remote)
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

// refusals counts one more, and returns how many there are to log now.
func (a *auditor) refusals() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refused++
	now := time.Now()
	if now.Before(a.next) {
		return 0
	}
	a.next = now.Add(refusalInterval)
	n := a.refused
	a.refused = 0
	return n
}
