package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/protoo-go/protoo/client"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/certificate/certtest"
	"github.com/protoo-go/protoo/core"
)

// writeFile writes a file that only this user can read, and returns its name.
func writeFile(t *testing.T, dir, name, text string) string {
	t.Helper()
	name = filepath.Join(dir, name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	certtest.NewAuthority(t).Write(t, dir, certtest.Validity{})
	good := writeFile(t, dir, "good.yaml", "grace: 1s\ntls: {addr: ':0', cert: cert.pem, key: key.pem}\n")
	bad := writeFile(t, dir, "bad.yaml", "graec: 1s\npage: 1\n\"\\e[2J\": 1\n")
	wasm := writeFile(t, dir, "wasm.yaml", "middleware:\n- {use: echo}\n- {use: wasm, file: a.wasm}\n")
	for _, tt := range []struct {
		args []string
		want result
	}{
		{nil, result{0, "ok\n", ""}},
		{[]string{"--config", good}, result{0, good + ": ok\n", ""}},
		{[]string{"--config", bad, "--grace", "x"}, result{1, bad + ":1:1: graec: unknown key; did you mean grace?\n" +
			bad + ":2:7: page: expected true or false, got \"1\"\n" +
			bad + ":3:1: \\u001b[2J: unknown key\n" +
			"--grace: expected a duration from 0s to a year, such as 500ms, 30s or 1h30m, got \"x\"\n", ""}},
		{[]string{"--config", wasm}, result{1, wasm + ":3:4: middleware[1]: open " + dir + "/a.wasm: no such file or directory\n", ""}},
		{[]string{"--config", dir + "/none"}, result{1, "", "protoo-edge: configuration: open " + dir + "/none: no such file or directory\n"}},
		{[]string{"now"}, result{2, "", "protoo-edge: check: unexpected argument \"now\"\n"}},
	} {
		if got := runCommand(t, "", append([]string{"check"}, tt.args...)...); got != tt.want {
			t.Errorf("check %v\n got %+v\nwant %+v", tt.args, got, tt.want)
		}
	}
}

func TestCheckCertificate(t *testing.T) {
	authority := certtest.NewAuthority(t)
	now := time.Now()
	day := func(t time.Time) string { return t.UTC().Format("2006-01-02") }
	for _, tt := range []struct {
		name    string
		prepare func(dir string)
		flags   []string
		want    string // behind "--tls-cert: "
	}{
		{"valid", func(dir string) { authority.Write(t, dir, certtest.Validity{}) }, nil, ""},
		{"expired", func(dir string) {
			authority.Write(t, dir, certtest.Validity{From: now.Add(-48 * time.Hour), To: now.Add(-24 * time.Hour)})
		}, nil,
			"the certificate has expired on " + day(now.Add(-24*time.Hour))},
		{"early", func(dir string) {
			authority.Write(t, dir, certtest.Validity{From: now.Add(24 * time.Hour), To: now.Add(48 * time.Hour)})
		}, nil,
			"the certificate is not valid before " + day(now.Add(24*time.Hour))},
		{"self-made", func(dir string) { (*certtest.Authority)(nil).Write(t, dir, certtest.Validity{}) }, nil, ""},
		{"missing", func(string) {}, nil, "open DIR/cert.pem: no such file or directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			tt.prepare(dir)
			args := append([]string{"check", "--tls-addr", ":0", "--tls-cert", dir + "/cert.pem", "--tls-key", dir + "/key.pem"}, tt.flags...)
			want := result{0, "ok\n", ""}
			if tt.want != "" {
				want = result{1, "--tls-cert: " + strings.ReplaceAll(tt.want, "DIR", dir) + "\n", ""}
			}
			if got := runCommand(t, "", args...); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestPrintCommand(t *testing.T) {
	t.Setenv("PROTOO_TLS_ACME_EAB_KEY", "c2VjcmV0")
	t.Setenv("PROTOO_TLS_ACME_EAB_KEY_ID", "us")
	file := writeFile(t, t.TempDir(), "edge.yaml", "log:\n  level: warn\n")
	t.Setenv("PROTOO_CONFIG", file)
	got := runCommand(t, "", "print", "--grace=1s", "--page=false")
	for _, want := range []string{
		"\ngrace: 1s  # flag --grace\n", "\npage: false  # flag --page\n", "\n  level: warn  # " + file + ":2\n",
		"\n    eab_key: \"********\"  # env PROTOO_TLS_ACME_EAB_KEY\n", "\n  format: text  # default\n",
	} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("%q is missing in\n%s", want, got.stdout)
		}
	}
	if strings.Contains(got.stdout, "c2VjcmV0") || got.code != exitOK || got.stderr != "" {
		t.Errorf("got %+v", got)
	}
	if got := runCommand(t, "", "print", "--defaults"); got.code != exitOK || !strings.Contains(got.stdout, "\n# PROTOO_GRACE, --grace\ngrace: 2s\n") {
		t.Errorf("got %+v", got)
	}
	// A secret is not for the command line.
	want := result{exitUsage, "", "protoo-edge: unknown flag --tls-acme-eab-key; \"protoo-edge help print\" lists what there is\n"}
	if got := runCommand(t, "", "print", "--tls-acme-eab-key", "x"); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestServeRefuses starts nothing where the configuration has mistakes.
func TestServeRefuses(t *testing.T) {
	file := writeFile(t, t.TempDir(), "edge.yaml", "env: production\n")
	for _, tt := range []struct {
		args []string
		want result
	}{
		{[]string{"--page=maybe", "--env=prod"}, result{exitUsage, "", `protoo-edge: --page: expected true or false, got "maybe"
protoo-edge: --env: expected development or production, got "prod"
`}},
		{[]string{"--config", file}, result{exitFailure, "", "protoo-edge: identity.type: development is refused in production: clients would be whoever they say they are\n"}},
	} {
		if got := runCommand(t, "", append([]string{"serve"}, tt.args...)...); got != tt.want {
			t.Errorf("serve %v\n got %+v\nwant %+v", tt.args, got, tt.want)
		}
	}
}

// TestServeConfigured serves what a file says.
func TestServeConfigured(t *testing.T) {
	file := writeFile(t, t.TempDir(), "edge.yaml", `
page: false
log: {format: json, level: debug}
origins: [https://other.example]
websocket: {max_message: 1KiB, compression: true}
peers: {timeout: 50ms}
middleware:
  - {use: messenger, path: /people, pattern: "/:username"}
  - {use: echo, path: /mirror}
  - {use: echo, path: /echo}
`)
	e := startEdge(t, "--config", file)
	alice := e.connect(t, "alice", "phone", client.Options{})
	e.connect(t, "bob", "laptop", answering(func(req *core.Request, _ core.Next) error {
		if req.Data() == `"answer"` {
			return req.Reply(200, "read")
		}
		return nil
	}))
	for _, tt := range []struct {
		path, data string
		status     int
	}{
		{"/people/bob", "answer", 200}, {"/people/bob/laptop", "answer", 404}, {"/users/bob", "answer", 404}, {"/people/bob", "wait", 408},
		{"/mirror", "x", 200}, {"/presence", "x", 404},
	} {
		res, err := alice.Send(core.NewRequest("message", tt.path, tt.data)).Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if res.Status() != tt.status {
			t.Errorf("%s: got %d %s, want %d", tt.path, res.Status(), res.Reason(), tt.status)
		}
	}
	for path, want := range map[string]int{"/": 404, "/page/app.js": 404, "/protoo.js": 200} {
		res, err := http.Get("http://" + e.addr + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: got %d, want %d", path, res.StatusCode, want)
		}
	}
	for origin, want := range map[string]bool{"https://other.example": true, "https://evil.example": false} {
		c, err := client.Dial(t.Context(), e.url+"/?username=o&uuid=1", client.Options{Header: http.Header{"Origin": {origin}}})
		if (err == nil) != want {
			t.Errorf("from %s: %v", origin, err)
		}
		if err == nil {
			_ = c.Close(0, "")
			<-c.Done()
		}
	}
	lost := make(chan error, 1)
	big := e.connect(t, "big", "1", client.Options{OnDisconnect: func(_ *client.Client, err error) { lost <- err }})
	big.Send(core.NewRequest("message", "/mirror", strings.Repeat("x", 2000)))
	if err := <-lost; !strings.Contains(err.Error(), "1009") {
		t.Errorf("got %v", err)
	}
	for line := range strings.Lines(e.stop().stderr) {
		if !strings.HasPrefix(line, `{"time":`) {
			t.Errorf("a line of the log is %s", line)
		}
	}
}

// TestTokensAreNotLogged connects in ways that succeed and fail, with a token in the query.
func TestTokensAreNotLogged(t *testing.T) {
	dir := t.TempDir()
	authority := certtest.NewAuthority(t)
	authority.Write(t, dir, certtest.Validity{})
	e := startEdge(t, "--log-level", "debug", "--tls-addr", "127.0.0.1:0", "--tls-cert", dir+"/cert.pem", "--tls-key", dir+"/key.pem")
	token := secret("S3cr3tT0k3n")
	for _, url := range []string{
		e.url + "/protoo?username=alice&uuid=1&token=" + token, e.url + "/protoo?uuid=1&token=" + token,
		e.url + "/elsewhere?token=" + token, "wss://" + e.secure + "/protoo?username=a&uuid=1&token=" + token,
	} {
		c, err := client.Dial(t.Context(), url, client.Options{})
		if err == nil {
			_, _ = c.Request(t.Context(), "message", "/nowhere", nil)
			_ = c.Close(0, "")
			<-c.Done()
		}
	}
	if res, err := http.Get("http://" + e.addr + "/protoo?token=" + token); err == nil {
		_ = res.Body.Close()
	}
	e.waitForLog(t, "TLS handshake error") // whose client does not trust the authority
	e.waitForLog(t, "msg=refused")
	r := e.stop()
	if strings.Contains(r.stderr+r.stdout, token) {
		t.Errorf("the token was logged:\n%s", r.stderr)
	}
	for _, want := range []string{"msg=online peer=alice/1 conn=ws/127.0.0.1:", `msg=refused conn=ws/127.0.0.1:`, `level=DEBUG msg="http: TLS handshake error`} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("the log lacks %q:\n%s", want, r.stderr)
		}
	}
}
