package core

import (
	"strings"
	"sync"
	"testing"
	"time"
)

func TestSettingsDefaults(t *testing.T) {
	t.Setenv("PROTOO_ENV", "")
	app := New(Options{})
	for name, want := range map[string]any{
		SettingEnv:                  "development",
		SettingCaseSensitiveRouting: false,
		SettingStrictRouting:        false,
		SettingGracePeriod:          time.Duration(0),
		"disconnect grace period":   time.Duration(0),
		"my own":                    nil,
	} {
		if got := app.Get(name); got != want {
			t.Errorf("%s: got %v (%T), want %v (%T)", name, got, got, want, want)
		}
	}

	t.Setenv("PROTOO_ENV", "production")
	if got := New(Options{}).Get("env"); got != "production" {
		t.Errorf("env: got %v, want what PROTOO_ENV says", got)
	}
	app = New(Options{Env: "test", CaseSensitiveRouting: true, StrictRouting: true, GracePeriod: time.Minute})
	for name, want := range map[string]any{
		"env": "test", "case sensitive routing": true, "strict routing": true, "disconnection grace period": time.Minute,
	} {
		if got := app.Get(name); got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

func TestSettings(t *testing.T) {
	app := New(Options{})
	app.Set("my own", []int{1})
	if got, ok := app.Get("my own").([]int); !ok || got[0] != 1 {
		t.Errorf("got %v", app.Get("my own"))
	}
	app.Set("my own", nil)
	if app.Get("my own") != nil || app.Enabled("my own") || !app.Disabled("my own") {
		t.Error("a setting was not reset")
	}
	for _, name := range []string{"strict routing", "case sensitive routing", "__proto__"} {
		if app.Enabled(name) || !app.Disabled(name) {
			t.Errorf("%s is enabled at the beginning", name)
		}
		app.Enable(name)
		if !app.Enabled(name) || app.Disabled(name) || app.Get(name) != true {
			t.Errorf("%s is not enabled", name)
		}
		app.Disable(name)
		if app.Enabled(name) || !app.Disabled(name) || app.Get(name) != false {
			t.Errorf("%s is not disabled", name)
		}
	}
	app.Set("a string", "true")
	if app.Enabled("a string") {
		t.Error("a string counts as enabled")
	}
}

func TestSettingsGracePeriod(t *testing.T) {
	app := New(Options{})
	for _, tt := range []struct {
		name  string
		value any
		want  time.Duration
	}{
		{"disconnection grace period", 1500, 1500 * time.Millisecond},
		{"disconnect grace period", 20, 20 * time.Millisecond},
		{SettingGracePeriod, int64(7), 7 * time.Millisecond},
		{SettingGracePeriod, 0.5, 500 * time.Microsecond},
		{SettingGracePeriod, 3 * time.Second, 3 * time.Second},
		{SettingGracePeriod, 0, 0},
	} {
		app.Set(tt.name, tt.value)
		for _, name := range []string{"disconnection grace period", "disconnect grace period"} {
			if got := app.Get(name); got != tt.want {
				t.Errorf("%s set to %v: got %v for %s, want %v", tt.name, tt.value, got, name, tt.want)
			}
		}
	}
}

func TestSettingsMistakes(t *testing.T) {
	for _, tt := range []struct {
		name  string
		value any
		want  string
	}{
		{"env", 1, `core: setting "env" wants a string, got int`},
		{"env", nil, `core: setting "env" wants a string, got <nil>`},
		{"strict routing", "yes", `core: setting "strict routing" wants a bool, got string`},
		{"case sensitive routing", 1, `core: setting "case sensitive routing" wants a bool, got int`},
		{"disconnection grace period", "1s", `core: setting "disconnection grace period" wants a time.Duration or milliseconds, got string`},
		{"disconnect grace period", -1, `core: setting "disconnection grace period" must not be negative, got -1ms`},
	} {
		app := New(Options{Env: "test"})
		func() {
			defer func() {
				if got := recover(); got != tt.want {
					t.Errorf("%s set to %v: got panic %v, want %s", tt.name, tt.value, got, tt.want)
				}
			}()
			app.Set(tt.name, tt.value)
		}()
		if app.Get("env") != "test" || app.Get(SettingGracePeriod) != time.Duration(0) {
			t.Error("the mistake was stored")
		}
	}
}

// TestSettingsEnv: what peers are told about errors depends on the environment, from one request to the next.
func TestSettingsEnv(t *testing.T) {
	app := New(Options{Env: "production"})
	app.Use("/", func(*Request, Next) error { panic("secret") })
	c := dial(t, app, "alice", "1")
	for _, tt := range []struct{ env, want string }{
		{"", "internal error"},
		{"development", "panic: secret"},
		{"staging", "panic: secret"},
		{"production", "internal error"},
	} {
		if tt.env != "" {
			app.Set("env", tt.env)
		}
		c.receive(ask("/", "1", ""))
		if got := strings.Join(c.take(), " "); got != answer(500, tt.want, "1") {
			t.Errorf("env %q: got %s, want %q", tt.env, got, tt.want)
		}
	}
}

func TestSettingsConcurrency(t *testing.T) {
	app := New(Options{})
	app.Use("/", func(req *Request, _ Next) error { return req.Reply(200, "ok") })
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			for i := range 200 {
				app.Set("env", "production")
				app.Set("my own", i)
				app.Set("disconnect grace period", i)
				app.Enable("strict routing")
				_ = app.Get("my own")
				app.NewRouter(RouterOptions{})
			}
		})
	}
	c := dial(t, app, "alice", "1")
	for range 200 {
		c.receive(ask("/", "1", ""))
	}
	running.Wait()
}
