package config

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/protoo-go/protoo/transports/websocket"
)

// parse loads text as if it were a file called edge.yaml.
func parse(t *testing.T, text string, more ...Flag) *Config {
	t.Helper()
	c, err := load(Sources{File: "edge.yaml", Flags: more}, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func printed(t *testing.T, c *Config) string {
	t.Helper()
	var b strings.Builder
	if err := c.Print(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTable(t *testing.T) {
	taken := make(map[string]string)
	take := func(name, by string) {
		if other, ok := taken[name]; ok && strings.Trim(name, "-") != "" {
			t.Errorf("%s belongs to both %s and %s", name, other, by)
		}
		taken[name] = by
	}
	for _, s := range New().Settings() {
		take(s.Key, s.Key)
		take(s.Env(), s.Key)
		take("--"+s.Flag(), s.Key)
		if foreign.MatchString(s.Env()) {
			t.Errorf("%s: %s is not read from the environment", s.Key, s.Env())
		}
		if doc := strings.TrimSpace(s.Doc); !strings.HasSuffix(doc, ".") {
			t.Errorf("%s: its documentation is %q", s.Key, doc)
		}
		if s.expects == "" || s.kind == "" {
			t.Errorf("%s: does not say what it expects", s.Key)
		}
		if s.setNode == nil && s.show() != "" && !s.parse(s.show()) {
			t.Errorf("%s: its default %q is not one of its values", s.Key, s.show())
		}
		if s.Origin.String() != "default" {
			t.Errorf("%s: its default is from %s", s.Key, s.Origin)
		}
	}
}

func TestDefaults(t *testing.T) {
	c := New()
	if c.Addr != "127.0.0.1:8080" || c.TLS.Addr != "" || c.Core.GracePeriod != 2*time.Second || c.Env != "development" || c.Core.Env != "development" {
		t.Errorf("got %+v", c)
	}
	if c.WebSocket.Compression != nil {
		t.Error("compression is on")
	}
	if got := c.Core.Timeout("session"); got != 2*time.Minute {
		t.Errorf("a session request may take %v", got)
	}
	if got := c.Core.Timeout("message"); got != 10*time.Second {
		t.Errorf("a message request may take %v", got)
	}
	var stack []string
	for _, m := range c.Middleware {
		stack = append(stack, m.Use+" "+m.Path)
	}
	if got := strings.Join(stack, ", "); got != "messenger /users, sessions /sessions, presence /presence, echo /echo" {
		t.Errorf("the stack is %s", got)
	}
}

// TestPrintDefaults reads what is printed as a configuration, which then says what the defaults are anyway.
func TestPrintDefaults(t *testing.T) {
	var b strings.Builder
	if err := PrintDefaults(&b); err != nil {
		t.Fatal(err)
	}
	c := parse(t, b.String())
	for i, s := range New().Settings() {
		got := c.Settings()[i]
		if got.show() != s.show() {
			t.Errorf("%s: printed as %q, the default is %q", s.Key, got.show(), s.show())
		}
		if got.Origin.Line == 0 {
			t.Errorf("%s is not printed", s.Key)
		}
	}
	for line := range strings.Lines(b.String()) {
		if strings.HasSuffix(line, " \n") || len(line) > 200 {
			t.Errorf("a line of %d bytes: %q", len(line), line)
		}
	}
}

const everything = `
env: development
addr: off
page: false
grace: 1m30s
log: {level: debug, format: json}
tls:
  addr: ":443"
  min_version: 1.3
  acme:
    domains: [edge.example.com, www.example.com]
    accept_terms: true
    email: ops@example.com
    cache: cache
    directory: https://acme.example.com/directory
    eab_key_id: us
    eab_key: c2VjcmV0
origins:
  - https://*.example.com
  - "*"
websocket:
  max_message: 1 MiB
  queue_size: 2000000
  close_timeout: 4s
  max_handshakes: unlimited
  compression: true
  compression_threshold: 1KiB
peers:
  max_requests: unlimited
  when_slow: drop
middleware:
  - use: echo
  - use: sessions
    path: /calls
    max_sessions: unlimited
  - use: wasm
    path: /rooms
    file: rooms.wasm
    sha256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
    grants: [kv, peer.send]
    limits: {memory: 16MiB, fuel: 1000000}
    on_error: skip
    settings:
      greeting: "hello: #1"
      "1": [1, two, true, null, 3.5]
      nested: {a: {b: "1"}}
`

func TestEverything(t *testing.T) {
	c := parse(t, everything)
	if c.Addr != "" || c.TLS.Addr != ":443" || c.TLS.MinVersion != "1.3" || c.TLS.ACME.Key != "c2VjcmV0" || c.TLS.ACME.Cache != "cache" {
		t.Errorf("got %+v", c.TLS)
	}
	if got, want := c.WebSocket.Compression, (websocket.Compression{Threshold: 1024}); got == nil || *got != want {
		t.Errorf("compression is %+v, want %+v", got, want)
	}
	if c.WebSocket.MaxMessage != 1<<20 || c.WebSocket.QueueSize != 2000000 || c.WebSocket.MaxHandshakes != -1 || len(c.WebSocket.Origins) != 2 || len(c.WebTransport.Origins) != 2 {
		t.Errorf("got %+v", c.WebSocket)
	}
	if c.Core.MaxRequests != -1 || !c.Core.DropWhenSlow || c.Core.GracePeriod != 90*time.Second {
		t.Errorf("got %+v", c.Core)
	}
	if len(c.Middleware) != 3 || c.Middleware[0].Path != "/echo" || c.Middleware[1].Sessions.MaxSessions != -1 {
		t.Fatalf("got %+v", c.Middleware)
	}
	w := c.Middleware[2].Wasm
	if w.File != "rooms.wasm" || w.OnError != "skip" || w.Limits != (WasmLimits{Memory: 16 << 20, Fuel: 1000000}) || len(w.Grants) != 2 {
		t.Errorf("got %+v", w)
	}
	if want := `{"1":[1,"two",true,null,3.5],"greeting":"hello: #1","nested":{"a":{"b":"1"}}}`; string(w.Settings) != want {
		t.Errorf("got %s, want %s", w.Settings, want)
	}
}

// TestPrint reads what was printed, which means the same, but for the secret.
func TestPrint(t *testing.T) {
	c := parse(t, everything, Flag{"grace", "5s"})
	out := printed(t, c)
	for _, want := range []string{
		"\ngrace: 5s  # flag --grace\n",
		"\naddr: off  # edge.yaml:3\n",
		"\n  max_message: 1MiB  # edge.yaml:22\n",
		"\n  ping_interval: 25s  # default\n",
		"\n    domains: [edge.example.com, www.example.com]  # edge.yaml:11\n",
		"\n    eab_key: \"********\"  # edge.yaml:17\n",
		"\nmiddleware:  # edge.yaml:32\n  - use: echo\n    path: /echo\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	if strings.Contains(out, "c2VjcmV0") {
		t.Errorf("the secret is in\n%s", out)
	}
	again := parse(t, strings.Replace(out, mask, "c2VjcmV0", 1))
	for i, s := range c.Settings() {
		if got := again.Settings()[i]; got.show() != s.show() {
			t.Errorf("%s: %q was printed, and read as %q", s.Key, s.show(), got.show())
		}
	}
}

// TestPrecedence gives the same setting in more and more places.
func TestPrecedence(t *testing.T) {
	from := Sources{File: "edge.yaml"}
	for _, tt := range []struct {
		add          func()
		text         string
		grace        time.Duration
		origin, addr string
	}{
		{func() {}, "", 2 * time.Second, "default", "127.0.0.1:8080"},
		{func() {}, "addr: :1\ngrace: 3s", 3 * time.Second, "edge.yaml:2", ":1"},
		{func() { from.Environ = []string{"PROTOO_GRACE=4s", "PROTOO_ADDR=", "HOME=/"} }, "addr: :1\ngrace: 3s", 4 * time.Second, "env PROTOO_GRACE", ":1"},
		{func() { from.Flags = []Flag{{"grace", "1s"}, {"grace", "5s"}} }, "addr: :1\ngrace: 3s", 5 * time.Second, "flag --grace", ":1"},
	} {
		tt.add()
		c, err := load(from, []byte(tt.text))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.find("grace").Origin.String(); c.Core.GracePeriod != tt.grace || got != tt.origin || c.Addr != tt.addr {
			t.Errorf("got %v from %s and %s, want %v from %s and %s", c.Core.GracePeriod, got, c.Addr, tt.grace, tt.origin, tt.addr)
		}
	}
}

func TestRelativePaths(t *testing.T) {
	c, err := load(Sources{File: "/etc/protoo/edge.yaml", Flags: []Flag{{"tls-key", "key.pem"}}},
		[]byte("tls: {addr: ':443', cert: tls/cert.pem}\nmiddleware: [{use: wasm, path: /, file: ../a.wasm}]"))
	if err != nil {
		t.Fatal(err)
	}
	if c.TLS.Cert != filepath.FromSlash("/etc/protoo/tls/cert.pem") || c.TLS.Key != "key.pem" || c.Middleware[0].Wasm.File != filepath.FromSlash("/etc/a.wasm") {
		t.Errorf("got %s, %s and %s", c.TLS.Cert, c.TLS.Key, c.Middleware[0].Wasm.File)
	}
}

func TestApply(t *testing.T) {
	const before = "grace: 1s\nlog: {level: info}\ntls: {addr: ':1', cert: a, key: b}"
	c := parse(t, before)
	changes := func(changes []Change) string {
		var all []string
		for _, c := range changes {
			all = append(all, c.Key+" "+c.From+">"+c.To)
		}
		return strings.Join(all, ", ")
	}
	for _, tt := range []struct{ text, applied, restart string }{
		{before, "", ""},
		{"grace: 2s\nlog: {level: debug}\ntls: {addr: ':1', cert: c, key: b}", "grace 1s>2s, log.level info>debug, tls.cert a>c", ""},
		{"grace: 2s\naddr: :2\nlog: {level: debug}\ntls: {addr: ':1', cert: c, key: b}\nmiddleware: []", "", "addr 127.0.0.1:8080>:2, middleware >"},
		{"grace: 3s\naddr: :3\nlog: {level: debug}\ntls: {addr: ':1', cert: c, key: b}", "grace 2s>3s", "addr 127.0.0.1:8080>:3"},
		{"grace: 3s\nlog: {level: debug}", "", "tls.addr :1>off, tls.cert c>, tls.key b>"},
	} {
		applied, restart := c.Apply(parse(t, tt.text))
		if changes(applied) != tt.applied || changes(restart) != tt.restart {
			t.Errorf("%q: applied %q and not %q, want %q and %q", tt.text, changes(applied), changes(restart), tt.applied, tt.restart)
		}
	}
	if c.Core.GracePeriod != 3*time.Second || c.Log.Level != "debug" || c.TLS.Cert != "c" || c.Addr != "127.0.0.1:8080" {
		t.Errorf("got %+v", c)
	}
	if got := c.find("grace").Origin.String(); got != "edge.yaml:1" {
		t.Errorf("grace is from %s", got)
	}
}

// TestApplyHidesSecrets changes a secret.
func TestApplyHidesSecrets(t *testing.T) {
	c := parse(t, everything)
	_, restart := c.Apply(parse(t, strings.Replace(everything, "c2VjcmV0", "b3RoZXI", 1)))
	if len(restart) != 1 || restart[0] != (Change{"tls.acme.eab_key", mask, mask}) {
		t.Errorf("got %v", restart)
	}
}
