package modules

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/protoo-go/protoo/wasmhost"
)

// hostLog writes what modules log, and how they fail, to the log of the server.
type hostLog struct {
	log *slog.Logger

	mu        sync.Mutex
	throttles map[string]*throttle // of failures, by module; there are as many as in the configuration
}

// A throttle lets one failure of a module through in a second: who can make it fail could fill the log.
type throttle struct {
	next       time.Time
	suppressed int
}

var levels = [...]slog.Level{
	wasmhost.LogDebug: slog.LevelDebug,
	wasmhost.LogInfo:  slog.LevelInfo,
	wasmhost.LogWarn:  slog.LevelWarn,
	wasmhost.LogError: slog.LevelError,
}

// line writes a line of a module.
func (l *hostLog) line(e wasmhost.LogEntry) {
	args := []any{"module", e.Module, "text", e.Text}
	if e.Dropped > 0 {
		args = append(args, "dropped", e.Dropped)
	}
	l.log.Log(context.Background(), levels[min(e.Level, wasmhost.LogError)], "module says", args...)
}

// failure writes that a module has failed.
func (l *hostLog) failure(e *wasmhost.Error) {
	suppressed, ok := l.pass(e.Module)
	if !ok {
		return
	}
	args := []any{"module", e.Module, "version", e.Version, "kind", string(e.Kind), "event", e.Event, "error", e.Err}
	if e.Stack != "" {
		args = append(args, "stack", e.Stack)
	}
	if suppressed > 0 {
		args = append(args, "suppressed", suppressed)
	}
	l.log.Error("module failed", args...)
}

// pass tells whether a failure is to be written, and how many were not since the last that was.
func (l *hostLog) pass(module string) (suppressed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.throttles[module]
	if t == nil {
		t = new(throttle)
		l.throttles[module] = t
	}
	now := time.Now()
	if now.Before(t.next) {
		t.suppressed++
		return 0, false
	}
	suppressed = t.suppressed
	*t = throttle{next: now.Add(time.Second)}
	return suppressed, true
}
