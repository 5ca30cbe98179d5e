package main

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/config"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/modules/moduletest"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/scaffold"
	"github.com/protoo-go/protoo/wasmhost"
)

// A module goes from nothing to an answer in each language. Where the tools of one are missing, that says which.
func TestWasmFromNothing(t *testing.T) {
	for _, language := range scaffold.Languages() {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "hello")
			if got := runCommand(t, "", "wasm", "new", language, dir); got.code != exitOK || got.stderr != "" ||
				!strings.Contains(got.stdout, dir+string(filepath.Separator)) {
				t.Fatalf("new: %+v", got)
			}
			got := runCommand(t, "", "wasm", "build", dir)
			if got.code != exitOK {
				if language == "go" || !strings.Contains(got.stderr, "install") {
					t.Errorf("build: %+v", got)
				}
				return
			}
			file := filepath.Join(dir, "hello.wasm")
			if !regexp.MustCompile(`^` + regexp.QuoteMeta(file) + `: \d+ bytes\n$`).MatchString(got.stdout) {
				t.Errorf("build: %+v", got)
			}
			if got := runCommand(t, "", "wasm", "check", file); got.code != exitOK || !strings.HasSuffix(got.stdout, "\nok\n") ||
				!strings.Contains(got.stdout, "\nexport    function protoo_on\n") || !strings.Contains(got.stdout, `"name":"hello","version":"0.1.0"`) {
				t.Errorf("check: %+v", got)
			}
			fuel := regexp.MustCompile(`(?m)^fuel      [1-9]\d*$`)
			for i, tt := range []struct{ request, want string }{
				{`{"path":"/hello"}`, "action    reply\nresponse  {\"status\":200,\"reason\":\"Hello bob\",\"id\":\"1\"}\nfuel"},
				{`{"path":"/other","method":"ask","id":7,"data":[1]}`, "action    next\npassed on ask /other [1]\n" +
					"response  {\"status\":200,\"reason\":\"OK\",\"id\":7,\"data\":[1]}\nfuel"},
			} {
				if language == "go" && i > 0 { // it takes seconds to compile under the race detector
					break
				}
				got := runCommand(t, tt.request, "wasm", "run", file, "-", "--username", "bob")
				if got.code != exitOK || !strings.HasPrefix(got.stdout, tt.want) || !fuel.MatchString(got.stdout) {
					t.Errorf("run %s: %+v", tt.request, got)
				}
			}
			// A second time it is there already.
			if got := runCommand(t, "", "wasm", "new", language, dir); got.code != exitFailure || !strings.HasSuffix(got.stderr, " is not empty\n") {
				t.Errorf("new: %+v", got)
			}
		})
	}
}

// Without any tools each language says what to install.
func TestWasmBuildWithoutTools(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for language, want := range map[string]string{
		"go": "there is no go here: install Go ", "c": "apt-get install clang-19 lld-19", "assemblyscript": "run npm install in ", "zig": "install Zig 0.11",
	} {
		dir := filepath.Join(t.TempDir(), "hello")
		if got := runCommand(t, "", "wasm", "new", language, dir); got.code != exitOK {
			t.Errorf("new: %+v", got)
		}
		if got := runCommand(t, "", "wasm", "build", dir); got.code != exitFailure || !strings.Contains(got.stderr, want) {
			t.Errorf("%s: %+v, want %q", language, got, want)
		}
	}
}

func TestWasmRun(t *testing.T) {
	dir := t.TempDir()
	chatty := moduletest.Replier("no")
	chatty.Log = "one\ttwo"
	chatty.Manifest.Capabilities = []wasmhost.Capability{wasmhost.Log}
	chatty.Action, chatty.Fields = 3, []moduletest.Field{moduletest.Status(403), moduletest.Reason("no")}
	broken := moduletest.Replier("no")
	broken.Trap = true
	keeps := moduletest.Replier("no")
	keeps.Action, keeps.Fields = 4, nil
	keeps.Manifest.Capabilities = []wasmhost.Capability{wasmhost.Async}
	for name, m := range map[string]moduletest.Module{
		"chatty": chatty, "broken": broken, "keeps": keeps,
		"door":   decider(2, moduletest.Field{ID: 7, Key: "carol", Value: "1"}),
		"closed": decider(3, moduletest.Status(401), moduletest.Reason("no token")),
		"open":   decider(0),
	} {
		writeModule(t, dir, name+".wasm", m)
	}
	for _, tt := range []struct {
		args string
		code int
		want []string // of the output, the rest of which may be anything
	}{
		{"chatty {\"path\":\"/a\"}", 0, []string{"action    error\n", "error     403 no\n", `{"status":403,"reason":"no","id":"1"}`, "log       info: one two\n"}},
		{"chatty {\"path\":\"/a\"} --grant kv", 1, []string{"it asks for log, which is not granted"}},
		{"chatty {\"path\":\"/a\"} --mount /b", 0, []string{"action    none\n", `{"status":200,"reason":"OK","id":"1"}`}},
		{"broken {\"path\":\"/a\"}", 1, []string{"action    error\n", "trap at event request"}},
		{"keeps {\"path\":\"/a\"} --timeout 50ms", 1, []string{"action    pending\n", "waiting for the final response"}},
		{"door {} --connect", 0, []string{"action    accept\n", "peer      carol/1"}},
		{"closed {} --connect", 0, []string{"action    refuse\n", "401 no token"}},
		{"open {} --connect", 0, []string{"action    next\n"}},
		{"open {\"path\":1} --connect", 1, []string{"the connection is not a JSON object"}},
		{"open {\"paht\":1}", 1, []string{`the request has "paht", want method, path, id and data`}},
		{"open {}", 1, []string{"the request has no path"}},
		{"open [] ", 1, []string{"the request is not a JSON object"}},
		{"open {", 2, []string{"wasm run: the request is not JSON"}},
		{"open", 2, []string{"wasm run: missing the request"}},
		{"open {} --settings x", 2, []string{"the settings are not JSON"}},
		{"open {} --peer bob", 2, []string{`--peer: expected NAME/DEVICE, got "bob"`}},
		{"open {} --mount x", 2, []string{`--mount: expected a path, got "x"`}},
	} {
		args := strings.Fields(tt.args)
		args[0] = filepath.Join(dir, args[0]+".wasm")
		got := runCommand(t, "", append([]string{"wasm", "run"}, args...)...)
		for _, want := range tt.want {
			if got.code != tt.code || !strings.Contains(got.stdout+got.stderr, want) {
				t.Errorf("%s: %+v, want %q", tt.args, got, want)
			}
		}
	}
}

func TestWasmUsage(t *testing.T) {
	dir := t.TempDir()
	text := writeFile(t, dir, "text.wasm", "hello")
	traps := moduletest.Replier("1")
	traps.Trap = true
	traps.Manifest.Events = []string{"self-test"}
	trap := writeModule(t, dir, "traps.wasm", traps)
	if err := os.Mkdir(filepath.Join(dir, "empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args string
		code int
		want string // in what is printed
	}{
		{"wasm", 2, "wasm: missing what to do: new, build, check or run"},
		{"wasm nwe", 2, `unknown command "wasm nwe"; did you mean wasm new?`},
		{"wasm new", 2, "wasm new: missing the language and the folder"},
		{"wasm new cobol x", 1, `language "cobol" is not known, want one of go, c, rust, assemblyscript, zig`},
		{"wasm new go " + dir + "/Big-Name", 1, `"Big-Name" is no name for a module`},
		{"wasm build " + dir + "/empty", 1, "there is no module in " + dir + "/empty, which would have a file go.mod"},
		{"wasm build " + dir + "/none", 1, "no such file"},
		{"wasm check", 2, "wasm check: missing the module's file"},
		{"wasm check " + text, 1, "wasm check: it cannot be metered: "},
		{"wasm check " + trap, 1, "wasm check: it cannot be loaded: "},
		{"wasm check --frob x", 2, "unknown flag --frob"},
		{"wasm --help", 0, "wasm build "},
		{"help wasm new", 0, "protoo-edge wasm new go|c|rust|assemblyscript|zig FOLDER\n"},
		{"wasm run --help", 0, "protoo-edge wasm run FILE JSON"},
	} {
		got := runCommand(t, "", strings.Fields(tt.args)...)
		if got.code != tt.code || !strings.Contains(got.stdout+got.stderr, tt.want) {
			t.Errorf("%s: %+v, want %d %q", tt.args, got, tt.code, tt.want)
		}
	}
}

// The signature is that of ABI.md. That a server takes it is tested in package wasmhost.
func TestWasmSign(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hello")
	if got := runCommand(t, "", "wasm", "new", "go", dir); got.code != exitOK {
		t.Fatalf("%+v", got)
	}
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	key := writeFile(t, dir, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	if got := runCommand(t, "", "wasm", "build", dir, "--key", filepath.Join(dir, "go.mod")); got.code != exitFailure || !strings.HasSuffix(got.stderr, "go.mod is not PEM\n") {
		t.Errorf("%+v", got)
	}
	if got := runCommand(t, "", "wasm", "build", dir, "--key", key); got.code != exitOK {
		t.Fatalf("%+v", got)
	}
	module, err := os.ReadFile(filepath.Join(dir, "hello.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	const section = 3 + len("protoo.signature") + ed25519.SignatureSize
	signed, signature := module[:len(module)-section], module[len(module)-ed25519.SignatureSize:]
	if !ed25519.Verify(public, signed, signature) {
		t.Error("it is not signed with the key")
	}
}

// The guide for authors shows what the command wasm new makes, and configurations that are right.
func TestWasmGuide(t *testing.T) {
	text, err := os.ReadFile("../../docs/wasm.md")
	if err != nil {
		t.Fatal(err)
	}
	guide := string(text)
	for language, file := range map[string]string{"go": "main.go", "c": "hello.c", "rust": "hello.rs", "assemblyscript": "hello.ts", "zig": "hello.zig"} {
		dir := filepath.Join(t.TempDir(), "hello")
		if got := runCommand(t, "", "wasm", "new", language, dir); got.code != exitOK {
			t.Fatalf("%+v", got)
		}
		source, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(guide, "\n"+string(source)+"```\n") {
			t.Errorf("the guide lacks\n%s", source)
		}
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(guide, -1)
	if len(blocks) == 0 {
		t.Error("the guide has no configuration")
	}
	for _, block := range blocks {
		if _, err := config.Load(config.Sources{File: writeFile(t, t.TempDir(), "edge.yaml", block[1])}); err != nil {
			t.Errorf("%v in\n%s", err, block[1])
		}
	}
}

// A module sends a request to another peer, and answers with what that says.
func TestWasmRunAsks(t *testing.T) {
	file := filepath.Join(t.TempDir(), "asker.wasm")
	build := exec.Command("go", "build", "-buildmode=c-shared", "-o", file, "github.com/protoo-go/protoo/wasmhost/guest/go/examples/asker/module")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	module, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	module, err = wasmhost.AppendManifest(module, &wasmhost.Manifest{
		Name: "asker", Events: []string{"request", "reply", "returned"}, Fields: []string{"param", "data", "status", "reason"},
		Capabilities: []wasmhost.Capability{wasmhost.PeerRead, wasmhost.PeerSend, wasmhost.Async}, Memory: 16 << 20, Affinity: wasmhost.Pinned,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, module, 0o600); err != nil {
		t.Fatal(err)
	}
	got := runCommand(t, "", "wasm", "run", file, `{"path":"/ask/bob/1","data":"?"}`, "--mount", "/ask/:username/:uuid", "--peer", "bob/1")
	for _, want := range []string{
		"action    pending\n", `sent      bob/1 {"method":"question","path":"/questions",`,
		`response  {"status":100,"reason":"asking","id":"1"}`, `response  {"status":200,"reason":"bob says \"OK\"","id":"1","data":"?"}`,
	} {
		if got.code != exitOK || !strings.Contains(got.stdout, want) {
			t.Errorf("%+v, want %q", got, want)
		}
	}
}
