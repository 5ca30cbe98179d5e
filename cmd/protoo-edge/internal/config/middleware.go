package config

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/limits"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/spelling"
	"github.com/protoo-go/protoo/middleware/messenger"
	"github.com/protoo-go/protoo/middleware/presence"
	"github.com/protoo-go/protoo/middleware/sessions"
)

// A Middleware is one entry of the stack. Of its options those count that Use names.
type Middleware struct {
	Use    string // a name of [Uses]
	Path   string
	Origin Origin

	Messenger messenger.Options
	Sessions  sessions.Options
	Presence  presence.Options
	Wasm      Wasm
	HTTP      HTTPForward
	Limit     limits.RuleOptions

	settings []*Setting
}

// Wasm is a WebAssembly module. Zero limits are the defaults of the host.
type Wasm struct {
	File     string
	SHA256   string // in hex, "" if it is not pinned
	Grants   []string
	Limits   WasmLimits
	Settings json.RawMessage // an object for the module, nil if there is none
	OnError  string          // "fail" or "skip"
	Connect  bool            // it is asked who may connect
}

// WasmLimits bounds a module: sizes in bytes, fuel in instructions for one event, and for the initialization.
type WasmLimits struct {
	Memory, Fuel, InitFuel, Frame, File int
	Instances                           int // that exist at a time
	PendingTimeout                      time.Duration
}

// uses are the kinds of middleware, and what can be chosen about each.
var uses = []struct {
	name  string
	table func(*Middleware) []*Setting
}{
	{"messenger", func(m *Middleware) []*Setting {
		return []*Setting{
			m.path("/users"),
			{Key: "pattern", value: pattern(&m.Messenger.Path, "/:username/:uuid?", ":username")},
		}
	}},
	{"sessions", func(m *Middleware) []*Setting {
		return []*Setting{
			m.path("/sessions"),
			{Key: "pattern", value: pattern(&m.Sessions.Path, "/:username/:uuid", ":username", ":uuid")},
			{Key: "max_sessions", value: limit(&m.Sessions.MaxSessions, 64, -1)},
		}
	}},
	{"presence", func(m *Middleware) []*Setting {
		return []*Setting{
			m.path("/presence"),
			{Key: "max_names", value: limit(&m.Presence.MaxNames, 128, -1)},
			{Key: "max_devices", value: limit(&m.Presence.MaxDevices, 16, -1)},
		}
	}},
	{"echo", func(m *Middleware) []*Setting { return []*Setting{m.path("/echo")} }},
	{"http", (*Middleware).httpTable},
	{"limit", (*Middleware).limitTable},
	{"wasm", func(m *Middleware) []*Setting {
		w := &m.Wasm
		return []*Setting{
			m.path("/"),
			{Key: "file", value: checked(file(&w.File, "a file with a WebAssembly module"), func(s string) bool { return s != "" })},
			{Key: "sha256", value: checked(text(&w.SHA256, "", "64 hexadecimal digits"), isSHA256)},
			{Key: "grants", value: list(&w.Grants, "capabilities: "+strings.Join(Capabilities, ", "), isCapability)},
			{Key: "connect", value: toggle(&w.Connect, false)},
			{Key: "limits.memory", value: size(&w.Limits.Memory, 0, 64<<10, 1<<30)},
			{Key: "limits.fuel", value: number(&w.Limits.Fuel, 0, 1, maxFuel)},
			{Key: "limits.init_fuel", value: number(&w.Limits.InitFuel, 0, 1, maxFuel)},
			{Key: "limits.frame", value: size(&w.Limits.Frame, 0, 1<<10, 16*mebibyte)},
			{Key: "limits.file", value: size(&w.Limits.File, 0, 1<<10, 256*mebibyte)},
			{Key: "limits.instances", value: number(&w.Limits.Instances, 0, 1, 1024)},
			{Key: "limits.pending_timeout", value: duration(&w.Limits.PendingTimeout, 0, time.Millisecond)},
			{Key: "settings", value: object(&w.Settings)},
			{Key: "on_error", value: choice(&w.OnError, "fail", "skip")},
		}
	}},
}

// Capabilities are what a module can be granted.
var Capabilities = []string{"async", "clock", "kv", "log", "metrics", "peer.read", "peer.send", "random"}

func isCapability(s string) bool { return slices.Contains(Capabilities, s) }

func isSHA256(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

// Uses returns the kinds of middleware.
func Uses() []string {
	var names []string
	for _, u := range uses {
		names = append(names, u.name)
	}
	return names
}

// newMiddleware returns an entry with defaults, nil if there is no such kind.
func newMiddleware(use string) *Middleware {
	for _, u := range uses {
		if u.name == use {
			m := &Middleware{Use: use}
			m.settings = u.table(m)
			return m
		}
	}
	return nil
}

func (m *Middleware) path(standard string) *Setting {
	return &Setting{Key: "path", value: pattern(&m.Path, standard)}
}

// chosen returns the settings that are not the defaults of the entry's kind.
func (m *Middleware) chosen() []*Setting {
	standard := newMiddleware(m.Use)
	var chosen []*Setting
	for i, s := range m.settings {
		if s.Key == "path" || s.show() != standard.settings[i].show() {
			chosen = append(chosen, s)
		}
	}
	return chosen
}

// Equal tells whether two entries say the same.
func (m *Middleware) Equal(other *Middleware) bool {
	return m.Use == other.Use && slices.EqualFunc(m.settings, other.settings, func(a, b *Setting) bool { return a.show() == b.show() })
}

// sameMounts tells whether two stacks differ at most in what their modules may. An entry with another file is another module,
// perhaps the one next to it: it must not get the store and the counters of the one that was there.
func sameMounts(a, b []*Middleware) bool {
	return slices.EqualFunc(a, b, func(a, b *Middleware) bool {
		if a.Use == "wasm" && b.Use == "wasm" {
			return a.Path == b.Path && a.Wasm.File == b.Wasm.File && a.Wasm.Connect == b.Wasm.Connect
		}
		if a.Use == "limit" && b.Use == "limit" {
			return a.Path == b.Path
		}
		return a.Equal(b)
	})
}

// Wasms returns the entries of the stack that are WebAssembly modules.
func (c *Config) Wasms() []*Middleware {
	return slices.DeleteFunc(slices.Clone(c.Middleware), func(m *Middleware) bool { return m.Use != "wasm" })
}

// stack is the list of middleware, by default each of the built-in ones at its usual path.
func (c *Config) stack() value {
	for _, use := range []string{"messenger", "sessions", "presence", "echo"} {
		c.Middleware = append(c.Middleware, newMiddleware(use))
	}
	return value{
		kind:    "list",
		expects: "a list of entries such as {use: messenger, path: /users}",
		show: func() string {
			var b strings.Builder
			for _, m := range c.Middleware {
				writeEntry(&b, m)
			}
			return b.String()
		},
		setNode: func(n *node, r *reader, key string) {
			c.Middleware = nil
			for i, item := range n.items {
				if m := r.middleware(item, key+"["+strconv.Itoa(i)+"]"); m != nil {
					c.Middleware = append(c.Middleware, m)
				}
			}
		},
	}
}

// middleware reads one entry, whose first concern is what it uses.
func (r *reader) middleware(n *node, key string) *Middleware {
	if n.kind != mapping {
		r.mistake(n, key, "expected an entry such as {use: messenger, path: /users}, got "+n.kind.String())
		return nil
	}
	var use *node
	rest := &node{kind: mapping, line: n.line, column: n.column}
	for _, p := range n.pairs {
		switch {
		case p.key.text != "use":
			rest.pairs = append(rest.pairs, p)
		case use != nil:
			r.mistake(p.key, key+".use", "given twice, first in line "+strconv.Itoa(use.line))
		default:
			use = p.value
		}
	}
	expected := "expected " + strings.Join(Uses(), ", ")
	if use == nil {
		r.mistake(n, key+".use", "missing; "+expected)
		return nil
	}
	m := newMiddleware(use.text)
	if m == nil || use.kind != scalar {
		r.mistake(use, key+".use", expected+", got "+quote(use.text)+didYouMean(spelling.Nearest(use.text, Uses())))
		return nil
	}
	m.Origin = r.origin(n)
	r.section(rest, key+".", m.settings)
	if m.Use == "wasm" && m.Wasm.File == "" && !slices.ContainsFunc(rest.pairs, func(p pair) bool { return p.key.text == "file" }) {
		r.mistake(n, key+".file", "missing; expected "+find(m.settings, "file").expects)
	}
	if m.limitsNothing() {
		r.mistake(n, key, "limits nothing; it needs requests_per_second or bytes_per_second")
	}
	if m.Use == "http" && m.HTTP.URL == "" && !slices.ContainsFunc(rest.pairs, func(p pair) bool { return p.key.text == "url" }) {
		r.mistake(n, key+".url", "missing; expected "+find(m.settings, "url").expects)
	}
	return m
}

// object is whatever a mapping of the file holds, as JSON.
func object(field *json.RawMessage) value {
	return value{
		kind:    "section",
		expects: "a section",
		show:    func() string { return string(*field) },
		setNode: func(n *node, r *reader, key string) {
			r.duplicates(n, key+".")
			*field = n.json()
		},
	}
}
