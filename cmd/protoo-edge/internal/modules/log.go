package modules

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/throttle"
	"github.com/protoo-go/protoo/wasmhost"
)

// hostLog writes what modules log, and how they fail, to the log of the server.
type hostLog struct {
	log *slog.Logger

	mu        sync.Mutex
	throttles map[string]*throttle.Throttle // of failures, by module; there are as many as in the configuration
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
	n := l.throttle(e.Module).Hit(1)
	if n == 0 {
		return
	}
	args := []any{"module", e.Module, "version", e.Version, "kind", string(e.Kind), "event", e.Event, "error", e.Err}
	if e.Stack != "" {
		args = append(args, "stack", e.Stack)
	}
	if n > 1 {
		args = append(args, "suppressed", n-1)
	}
	l.log.Error("module failed", args...)
}

// throttle lets one failure of a module through in a second: who can make it fail could fill the log.
func (l *hostLog) throttle(module string) *throttle.Throttle {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.throttles[module]
	if t == nil {
		t = &throttle.Throttle{Interval: time.Second}
		l.throttles[module] = t
	}
	return t
}
