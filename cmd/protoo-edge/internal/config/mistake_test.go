package config

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// mistakesIn returns what is wrong, a line each.
func mistakesIn(t *testing.T, from Sources, text string) string {
	t.Helper()
	c, err := load(from, []byte(text))
	if err == nil {
		return ""
	}
	mistakes, ok := errors.AsType[Mistakes](err)
	if !ok || c != nil {
		t.Fatalf("got %v and %v, want mistakes only", c, err)
	}
	for _, m := range mistakes {
		if strings.Contains(m.Error(), "\n") {
			t.Errorf("a mistake of more than a line: %q", m)
		}
	}
	return err.Error()
}

func TestMistakesInFile(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "", ""},
		{"comments", "# nothing\n\n", ""},
		{"null", "~", ""},
		{"empty section", "log:\ntls: # {}\ngrace: 1s", ""},
		{"text instead of settings", "hello", `edge.yaml:1:1: expected settings, one a line, as in "addr: 127.0.0.1:8080"; got a value`},
		{"list instead of settings", "\n- a", `edge.yaml:2:1: expected settings, one a line, as in "addr: 127.0.0.1:8080"; got a list`},
		{"syntax", "log:\n  level: debug: 1", "edge.yaml:2:10: not YAML: mapping value is not allowed in this context"},
		{"tab", "log:\n\tlevel: debug", `edge.yaml:2:1: not YAML: found character '	' that cannot start any token`},
		{"quote", "addr: \"x\ngrace: 1s", "edge.yaml:1:7: not YAML: could not find end character of double-quoted text"},
		{"bracket", "log: {level: debug", "edge.yaml:1:6: not YAML: could not find flow mapping end token '}'"},
		{"anchor", "grace: &g 1s", "edge.yaml:1:8: anchors (&name) and aliases (*name) are not supported; text that begins with one of these needs quotes"},
		{"alias", "log: *x", "edge.yaml:1:6: anchors (&name) and aliases (*name) are not supported; text that begins with one of these needs quotes"},
		{"merge", "log:\n  <<: {level: debug}", "edge.yaml:2:3: a key must be plain text; <<, anchors and structures are not supported"},
		{"tag", "grace: !!str 1s", "edge.yaml:1:8: tags (!name) are not supported; text that begins with ! needs quotes"},
		{"two documents", "grace: 1s\n---\ngrace: 2s", "edge.yaml:3:1: a second document; a configuration is one"},
		{"not UTF-8", "grace: 1s\n# \xff", "edge.yaml:2:3: not valid UTF-8"},
		{"long", strings.Repeat("#\n", maxFile), "edge.yaml: a configuration has at most 262144 bytes, this has 524288"},
		{"long line", "\n#" + strings.Repeat(" ", maxLine), "edge.yaml:2:8193: a line has at most 8192 bytes, this has 8193"},
		{"brackets", strings.Repeat("[", 100), "edge.yaml: brackets are nested more than 32 deep"},
		{"dashes", strings.Repeat("- ", 100), "edge.yaml:1:67: nested more than 32 deep"},

		{"unknown key", "frobnicate: 1", "edge.yaml:1:1: frobnicate: unknown key"},
		{"misspelled key", "graec: 1s", "edge.yaml:1:1: graec: unknown key; did you mean grace?"},
		{"misspelled section", "websokcet: {}", "edge.yaml:1:1: websokcet: unknown key; did you mean websocket?"},
		{"misspelled in a section", "tls:\n  acme:\n    domain: [a.b]", "edge.yaml:3:5: tls.acme.domain: unknown key; did you mean tls.acme.domains?"},
		{"dash", "websocket:\n  max-message: 1KiB", "edge.yaml:2:3: websocket.max-message: unknown key; did you mean websocket.max_message?"},
		{"other section", "max_mesage: 1KiB", "edge.yaml:1:1: max_mesage: unknown key; did you mean websocket.max_message?"},
		{"dots", "log.level: debug", `edge.yaml:1:1: log.level: unknown key; write it as a section: "log:", and indented below it "level:"`},
		{"twice", "grace: 1s\npage: true\ngrace: 2s", "edge.yaml:3:1: grace: given twice, first in line 1"},
		{"section twice", "log:\n  level: debug\nlog:\n  format: json", "edge.yaml:3:1: log: given twice, first in line 1"},
		{"value for a section", "log: debug", `edge.yaml:1:6: log: expected a section with keys below it, got "debug"`},
		{"list for a section", "log: [debug]", "edge.yaml:1:6: log: expected a section with keys below it, got a list"},
		{"section for a value", "grace:\n  after: 1s", "edge.yaml:2:3: grace: expected a duration from 0s to a year, such as 500ms, 30s or 1h30m, got a section"},
		{"list for a value", "grace: [1s]", "edge.yaml:1:8: grace: expected a duration from 0s to a year, such as 500ms, 30s or 1h30m, got a list"},
		{"no value", "addr: :1\ngrace:\n\n", "edge.yaml:2:1: grace: expected a duration from 0s to a year, such as 500ms, 30s or 1h30m, got nothing"},

		{"duration", "grace: soon", `edge.yaml:1:8: grace: expected a duration from 0s to a year, such as 500ms, 30s or 1h30m, got "soon"`},
		{"duration without unit", "grace: 10", `edge.yaml:1:8: grace: expected a duration from 0s to a year, such as 500ms, 30s or 1h30m, got "10"`},
		{"switch", "page: yes", `edge.yaml:1:7: page: expected true or false, got "yes"`},
		{"choice", "log: {level: loud}", `edge.yaml:1:14: log.level: expected info, debug, warn or error, got "loud"`},
		{"environment", "env: prod", `edge.yaml:1:6: env: expected development or production, got "prod"`},
		{"size", "websocket: {max_message: 64kB}", `edge.yaml:1:26: websocket.max_message: expected a size from 1KiB to 64MiB, such as 65536, 64KiB or 1MiB, got "64kB"`},
		{"limit", "limits: {connections: 0}", `edge.yaml:1:23: limits.connections: expected a whole number from 1 to 2147483647, or unlimited, got "0"`},
		{"number", "memory: {gc_percent: 1e3}", `edge.yaml:1:22: memory.gc_percent: expected a whole number from 10 to 10000, got "1e3"`},
		{"address", "addr: localhost", `edge.yaml:1:7: addr: expected host:port, such as 127.0.0.1:8080 or :443, or off, got "localhost"`},
		{"list", "origins:\n  - https://a\n  - a b\n  - [c]\n  - '['",
			`edge.yaml:3:5: origins: expected origins such as https://example.com, https://*.example.com or *, got "a b"
edge.yaml:4:5: origins: expected origins such as https://example.com, https://*.example.com or *, got a list
edge.yaml:5:5: origins: expected origins such as https://example.com, https://*.example.com or *, got "["`},
		{"long value", "grace: " + strings.Repeat("x", 1000), `edge.yaml:1:8: grace: expected a duration from 0s to a year, such as 500ms, 30s or 1h30m, got "` + strings.Repeat("x", 64) + `..."`},
		{"secret", "tls: {acme: {eab_key: 'Pa$$word'}}", "edge.yaml:1:23: tls.acme.eab_key: expected a key in base64url, got something else"},

		{"middleware is no list", "middleware: {use: echo}", "edge.yaml:1:14: middleware: expected a list of entries such as {use: messenger, path: /users}, got a section"},
		{"entry", "middleware: [echo]", "edge.yaml:1:14: middleware[0]: expected an entry such as {use: messenger, path: /users}, got a value"},
		{"use", "middleware:\n- path: /x", "edge.yaml:2:3: middleware[0].use: missing; expected messenger, sessions, presence, echo, http, limit, wasm"},
		{"use twice", "middleware:\n- use: echo\n  use: echo", "edge.yaml:3:3: middleware[0].use: given twice, first in line 2"},
		{"unknown use", "middleware:\n- use: echo\n- use: mesenger", `edge.yaml:3:8: middleware[1].use: expected messenger, sessions, presence, echo, http, limit, wasm, got "mesenger"; did you mean messenger?`},
		{"unknown key in an entry", "middleware:\n- {use: echo, pth: /}", "edge.yaml:2:15: middleware[0].pth: unknown key; did you mean middleware[0].path?"},
		{"path", "middleware:\n- {use: echo, path: echo}", `edge.yaml:2:21: middleware[0].path: expected a path such as /echo, got "echo"`},
		{"malformed path", "middleware:\n- {use: echo, path: '/('}", `edge.yaml:2:21: middleware[0].path: expected a path such as /echo, got "/("`},
		{"pattern", "middleware:\n- {use: sessions, pattern: '/:username'}", `edge.yaml:2:28: middleware[0].pattern: expected a path such as /:username/:uuid with :username and :uuid, got "/:username"`},
		{"wasm", "middleware:\n- use: wasm\n  grants: [fly]\n  sha256: abc\n  limits: {memory: 1, fule: 3}\n  settings: 5",
			`edge.yaml:2:3: middleware[0].file: missing; expected a file with a WebAssembly module
edge.yaml:3:12: middleware[0].grants: expected capabilities: async, clock, kv, log, metrics, peer.read, peer.send, random, got "fly"
edge.yaml:4:11: middleware[0].sha256: expected 64 hexadecimal digits, got "abc"
edge.yaml:5:20: middleware[0].limits.memory: expected a size from 64KiB to 1GiB, such as 65536, 64KiB or 1MiB, got "1"
edge.yaml:5:23: middleware[0].limits.fule: unknown key; did you mean middleware[0].limits.fuel?
edge.yaml:6:13: middleware[0].settings: expected a section, got "5"`},
		{"twice in a module's settings", "middleware:\n- use: wasm\n  file: a\n  settings:\n    a: {b: 1, b: 2}", "edge.yaml:5:15: middleware[0].settings.a.b: given twice, first in line 5"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := mistakesIn(t, Sources{File: "edge.yaml"}, tt.text); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// TestMistakesEverywhere reports all of them at once, in the order in which the places override each other.
func TestMistakesEverywhere(t *testing.T) {
	from := Sources{
		File: "edge.yaml",
		Environ: []string{
			"PROTOO_ENV=staging", "PROTOO_GRCE=1s", "PROTOO_FROBNICATE=1", "PROTOO_TLS_ACME_EAB_KEY=top secret",
			// These are not about settings.
			"PROTOO_CONFIG=x", "PROTOO_EDGE=/bin/protoo-edge", "PROTOO_EDGE_SERVICE_HOST=10.0.0.1", "PROTOO_SERVICE_PORT_HTTP=80",
			"PROTOO_PORT=tcp://10.0.0.1:80", "PROTOO_PORT_80_TCP_ADDR=10.0.0.1", "PROTOOL=1", "PROTOO_ADDR=",
		},
		Flags: []Flag{{"page", "maybe"}, {"origins", "https://a,,"}},
	}
	want := `edge.yaml:1:8: grace: expected a duration from 0s to a year, such as 500ms, 30s or 1h30m, got "x"
edge.yaml:2:1: pag: unknown key; did you mean page?
PROTOO_ENV: expected development or production, got "staging"
PROTOO_GRCE: no such setting; did you mean PROTOO_GRACE?
PROTOO_FROBNICATE: no such setting
PROTOO_TLS_ACME_EAB_KEY: expected a key in base64url, got something else
--page: expected true or false, got "maybe"
--origins: expected origins such as https://example.com, https://*.example.com or *, got "https://a,,"`
	if got := mistakesIn(t, from, "grace: x\npag: 1"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestOnlyFlags(t *testing.T) {
	for want, m := range map[bool]Mistakes{
		true:  {{Origin: Origin{Flag: "a"}}, {Origin: Origin{Flag: "b"}}},
		false: {{Origin: Origin{Flag: "a"}}, {Origin: Origin{Env: "b"}}},
	} {
		if got := m.OnlyFlags(); got != want {
			t.Errorf("%v: %v", m, got)
		}
	}
}

// TestCombinations has values that are right each by itself.
func TestCombinations(t *testing.T) {
	const acme = "tls:\n  addr: ':443'\n  acme:\n    domains: [a.example]\n    accept_terms: true\n    cache: /var/cache/x\n"
	for _, tt := range []struct{ text, want string }{
		{acme, ""},
		{"addr: 127.0.0.1:0\ntls: {addr: '127.0.0.1:0', cert: a, key: b}", ""},
		{"addr: off", "edge.yaml:1:7: addr: is off, and so is tls.addr: there is nothing to listen on"},
		{"addr: :443\ntls: {addr: ':443', cert: a, key: b}", "edge.yaml:2:13: tls.addr: is the same as addr; each needs an address of its own"},
		{"tls: {addr: ':443', cert: a}", "edge.yaml:1:27: tls.cert: is set, but tls.key is not"},
		{"tls: {addr: ':443', key: a}", "edge.yaml:1:26: tls.key: is set, but tls.cert is not"},
		{"tls: {cert: a, key: b}", "edge.yaml:1:13: tls.cert: is set, but tls.addr is off; :443 is the usual address"},
		{"tls: {acme: {domains: a.b, accept_terms: true, cache: c}}", "edge.yaml:1:23: tls.acme.domains: is set, but tls.addr is off; :443 is the usual address"},
		{acme + "  cert: a\n  key: b", "edge.yaml:4:14: tls.acme.domains: is set, and so is tls.cert: the certificate is either in a file or fetched"},
		{"tls: {addr: ':443', acme: {domains: a.b}}", `tls.acme.accept_terms: must be true: whoever fetches certificates agrees to the terms of the authority, https://acme-v02.api.letsencrypt.org/directory names them
tls.acme.cache: must name a directory that outlives the process`},
		{acme + "    eab_key_id: us", "edge.yaml:7:17: tls.acme.eab_key_id: and tls.acme.eab_key go together; one of them is not set"},
	} {
		if got := mistakesIn(t, Sources{File: "edge.yaml"}, tt.text); got != tt.want {
			t.Errorf("%s\ngot\n%s\nwant\n%s", tt.text, got, tt.want)
		}
	}
}

func TestProduction(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, mode); err != nil { // whatever the umask is
			t.Fatal(err)
		}
		return name
	}
	key := write("key.pem", "", 0o644)
	text := `env: production
tls: {addr: ':443', cert: cert.pem, key: key.pem}
`
	withSecret := `env: production
tls: {addr: ':443', acme: {domains: a.b, accept_terms: true, cache: c, eab_key_id: a, eab_key: c2Vj}}
`
	identity := "identity.type: development is refused in production: clients would be whoever they say they are"
	open, closed := write("open.yaml", withSecret, 0o604), write("closed.yaml", withSecret, 0o640)
	for _, tt := range []struct {
		name, file, text string
		unix             bool // only there a file can be too open
		want             []string
	}{
		{"key", filepath.Join(dir, "edge.yaml"), text, true, []string{identity,
			filepath.Join(dir, "edge.yaml") + ":2:42: tls.key: everybody on this machine can read it, which is refused in production: chmod o-rwx " + key}},
		{"secret in the file", open, withSecret, true, []string{identity,
			open + ":2:96: tls.acme.eab_key: everybody on this machine can read it here, which is refused in production: chmod o-rwx " + open}},
		{"secret in a file of its own", closed, withSecret, false, []string{identity}},
		{"no certificate", "edge.yaml", "env: production\ntls: {addr: ':443'}", false, []string{identity,
			"edge.yaml:2:13: tls.addr: a self-made certificate is refused in production: set tls.cert and tls.key, or tls.acme.domains"}},
		{"behind a proxy", "edge.yaml", "env: production", false, []string{identity}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := tt.want
			if tt.unix && runtime.GOOS == "windows" {
				want = want[:1]
			}
			if got := mistakesIn(t, Sources{File: tt.file}, tt.text); got != strings.Join(want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
			}
		})
	}
}

func TestLoadFails(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.yaml")
	_, err := Load(Sources{File: missing})
	if !errors.Is(err, os.ErrNotExist) || !strings.HasPrefix(err.Error(), "configuration: open "+missing) {
		t.Errorf("got %v", err)
	}
	// A directory can be opened, and not be read.
	if _, err := Load(Sources{File: t.TempDir()}); err == nil {
		t.Error("a directory is a configuration")
	}
}
