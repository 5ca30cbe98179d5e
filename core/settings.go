package core

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// The settings that the framework itself knows. Any other name is the application's own.
const (
	// SettingEnv is the environment, a string; by default PROTOO_ENV or "development".
	// In "production" the text of unexpected errors is kept from peers.
	SettingEnv = "env"
	// SettingCaseSensitiveRouting makes /Users and /users different paths. Off by default.
	SettingCaseSensitiveRouting = "case sensitive routing"
	// SettingStrictRouting makes /users/ and /users different paths. Off by default.
	SettingStrictRouting = "strict routing"
	// SettingGracePeriod is how long a peer that lost its connection may take to
	// reconnect before it is offline: a time.Duration, or a number of milliseconds.
	// Zero, the default, turns it off. "disconnect grace period" is the same setting.
	SettingGracePeriod = "disconnection grace period"
)

const gracePeriodAlias = "disconnect grace period"

// settings keeps the values under their names, and those the framework reads
// while it serves in a form that costs it nothing.
type settings struct {
	mu     sync.RWMutex
	values map[string]any

	production    atomic.Bool
	caseSensitive atomic.Bool
	strict        atomic.Bool
	grace         atomic.Int64 // nanoseconds
}

func (s *settings) init(o Options) {
	s.values = make(map[string]any)
	env := o.Env
	if env == "" {
		env = os.Getenv("PROTOO_ENV")
	}
	if env == "" {
		env = "development"
	}
	s.set(SettingEnv, env)
	s.set(SettingCaseSensitiveRouting, o.CaseSensitiveRouting)
	s.set(SettingStrictRouting, o.StrictRouting)
	s.set(SettingGracePeriod, o.GracePeriod)
}

func (s *settings) set(name string, value any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch name {
	case SettingEnv:
		s.production.Store(want[string](name, value) == "production")
	case SettingCaseSensitiveRouting:
		s.caseSensitive.Store(want[bool](name, value))
	case SettingStrictRouting:
		s.strict.Store(want[bool](name, value))
	case SettingGracePeriod, gracePeriodAlias:
		name = SettingGracePeriod
		d := duration(value)
		s.grace.Store(int64(d))
		value = d
	}
	s.values[name] = value
}

// Set assigns value to the setting name. The routing settings apply to the layers added and
// the routers made afterwards, the others at once. It panics if value is not of the type
// that one of the framework's own settings has.
func (a *App) Set(name string, value any) {
	a.settings.set(name, value)
	a.Router.setMatching(a.settings.caseSensitive.Load(), a.settings.strict.Load())
}

// Get returns the value of the setting name, nil if it was never set. The grace
// period is a time.Duration, however it was set.
func (a *App) Get(name string) any {
	if name == gracePeriodAlias {
		name = SettingGracePeriod
	}
	a.settings.mu.RLock()
	defer a.settings.mu.RUnlock()
	return a.settings.values[name]
}

// Enable sets the Boolean setting name to true.
func (a *App) Enable(name string) { a.Set(name, true) }

// Disable sets the Boolean setting name to false.
func (a *App) Disable(name string) { a.Set(name, false) }

// Enabled tells whether the setting name is true.
func (a *App) Enabled(name string) bool { return a.Get(name) == true }

// Disabled tells whether the setting name is not true.
func (a *App) Disabled(name string) bool { return !a.Enabled(name) }

func want[T any](name string, value any) T {
	v, ok := value.(T)
	if !ok {
		panic(fmt.Sprintf("core: setting %q wants a %T, got %T", name, v, value))
	}
	return v
}

func duration(value any) time.Duration {
	var d time.Duration
	switch v := value.(type) {
	case time.Duration:
		d = v
	case int:
		d = time.Duration(v) * time.Millisecond
	case int64:
		d = time.Duration(v) * time.Millisecond
	case float64:
		d = time.Duration(v * float64(time.Millisecond))
	default:
		panic(fmt.Sprintf("core: setting %q wants a time.Duration or milliseconds, got %T", SettingGracePeriod, value))
	}
	if d < 0 {
		panic(fmt.Sprintf("core: setting %q must not be negative, got %v", SettingGracePeriod, d))
	}
	return d
}
