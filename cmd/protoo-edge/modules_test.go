package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/protoo-go/protoo/client"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/modules"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/modules/moduletest"
	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/wasmhost"
)

// writeModule writes a module's file in one step, as who replaces one should.
func writeModule(t *testing.T, dir, name string, m moduletest.Module) string {
	t.Helper()
	next := writeFile(t, dir, name+".new", string(m.Bytes(t)))
	name = filepath.Join(dir, name)
	if err := os.Rename(next, name); err != nil {
		t.Fatal(err)
	}
	return name
}

// ask returns status and reason of the answer to a message.
func ask(t *testing.T, c *client.Client, path string) string {
	t.Helper()
	res, err := c.Send(core.NewRequest("message", path, nil)).Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(res.Status(), " ", res.Reason())
}

// moduleStatus asks a server for the status of its modules.
func (e *edge) moduleStatus(t *testing.T) []modules.Status {
	t.Helper()
	res, err := http.Get(e.internal(t) + "/modules")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Modules []modules.Status }
	if err := json.Unmarshal(text, &all); err != nil || res.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%v in %s", err, text)
	}
	return all.Modules
}

// A module is swapped by changing its file while requests run, and none of them fails.
func TestModuleIsReplacedUnderLoad(t *testing.T) {
	dir := t.TempDir()
	file := writeModule(t, dir, "replier.wasm", moduletest.Replier("v0"))
	e := startEdge(t, "--wasm", "/ask="+file, "--wasm-check-interval", "10ms", "--internal-addr", "127.0.0.1:0")
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for i := range 4 {
		c := e.connect(t, fmt.Sprint("peer", i), "1", client.Options{})
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				res, err := c.Send(core.NewRequest("message", "/ask", nil)).Wait(t.Context())
				if err != nil || res.Status() != 200 || !strings.HasPrefix(res.Reason(), "v") {
					t.Errorf("got %v, %v", res, err)
					return
				}
			}
		})
	}
	for i := range 5 {
		version := fmt.Sprint("v", i+1)
		writeModule(t, dir, "replier.wasm", moduletest.Replier(version))
		e.waitForLog(t, `msg="module reloaded" module=replier version=`+version)
		// What is no module is not served, and said once.
		writeFile(t, dir, "replier.wasm", "half a module "+version)
	}
	close(stop)
	clients.Wait()
	probe := e.connect(t, "probe", "1", client.Options{})
	if got := ask(t, probe, "/ask"); got != "200 v5" {
		t.Errorf("got %s", got)
	}
	e.waitForLog(t, `msg="module not reloaded, the old one serves on" module=replier path=/ask`)
	status := e.moduleStatus(t)[0]
	if status.Name != "replier" || status.Version != "v5" || status.Serial < 6 || status.Events["request"] == 0 || status.Fuel == 0 ||
		status.Instances == 0 || status.Path != "/ask" || len(status.SHA256) != 64 {
		t.Errorf("%+v", status)
	}
	// With the file gone the module serves on.
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	e.waitForLog(t, "replier.wasm: no such file or directory")
	if got := ask(t, probe, "/ask"); got != "200 v5" {
		t.Errorf("got %s", got)
	}
	if p := e.moduleStatus(t)[0].Problem; !strings.Contains(p, "no such file") {
		t.Errorf("problem %q", p)
	}
	if log := e.stop().stderr; strings.Count(log, "no such file") != 1 {
		t.Errorf("it is said more than once:\n%s", log)
	}
}

// Modules are where the file mounts them, in order with what is built in.
func TestModulesInOrder(t *testing.T) {
	dir := t.TempDir()
	manifest := wasmhost.Manifest{Name: "mover", Events: []string{"request"}, Capabilities: []wasmhost.Capability{wasmhost.Log}}
	writeModule(t, dir, "mover.wasm", moduletest.Module{
		Manifest: manifest, Changes: true, Log: "moving\n\x1b[2J", Fields: []moduletest.Field{{ID: 2, Value: "/echo"}},
	})
	broken := moduletest.Replier("never")
	broken.Trap = true
	trapping := writeModule(t, dir, "broken.wasm", broken)
	writeModule(t, dir, "last.wasm", moduletest.Replier("last"))
	first := writeModule(t, dir, "first.wasm", moduletest.Replier("first"))
	e := startEdge(t, "--wasm", "/first="+first, "--wasm", "/lenient="+trapping+",on_error=skip", "--internal-addr", "127.0.0.1:0", "--config", writeFile(t, dir, "edge.yaml", `
middleware:
- {use: wasm, path: /skipped, file: broken.wasm, on_error: skip}
- {use: wasm, path: /failed, file: broken.wasm}
- {use: wasm, path: /move, file: mover.wasm, grants: [log]}
- {use: echo, path: /echo}
- {use: wasm, path: /, file: last.wasm}
`))
	c := e.connect(t, "alice", "1", client.Options{})
	for path, want := range map[string]string{
		"/first": "200 first", "/lenient": "200 last", "/skipped": "200 last", "/failed": "500 unreachable", "/echo": "200 OK", "/other": "200 last",
		"/move": "200 last", // what it sees is below /move, and stays there
	} {
		got := ask(t, c, path)
		if path == "/failed" { // in development peers see the error's text
			got = strings.TrimSuffix(got[:4], " ") + " unreachable"
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
	e.waitForLog(t, `level=INFO msg="module says" module=mover text="moving  [2J"`)
	e.waitForLog(t, `level=ERROR msg="module failed" module=replier version=never kind=trap event=request`)
	all := e.moduleStatus(t)
	var paths []string
	for _, s := range all {
		paths = append(paths, s.Path)
	}
	if got := strings.Join(paths, " "); got != "/first /lenient /skipped /failed /move /" {
		t.Errorf("got %s", got)
	}
	if all[3].Failures[wasmhost.KindTrap] != 1 || all[4].Grants[0] != "log" {
		t.Errorf("%+v", all)
	}
}

// What keeps a module from serving is said at the start, with the place in the configuration.
func TestModulesRefused(t *testing.T) {
	dir := t.TempDir()
	greedy := moduletest.Replier("1")
	greedy.Manifest.Capabilities = []wasmhost.Capability{wasmhost.KV, wasmhost.Log}
	large := moduletest.Replier("1")
	large.Manifest.Memory = 64 << 20
	writeModule(t, dir, "greedy.wasm", greedy)
	writeModule(t, dir, "large.wasm", large)
	plain := writeModule(t, dir, "plain.wasm", moduletest.Replier("1"))
	file := writeFile(t, dir, "edge.yaml", `middleware:
- {use: wasm, file: greedy.wasm, grants: [log]}
- {use: wasm, file: large.wasm}
- {use: wasm, file: none.wasm}
- {use: wasm, file: edge.yaml}
- {use: wasm, file: plain.wasm, sha256: `+strings.Repeat("0", 64)+`}
- {use: wasm, file: plain.wasm, connect: true}
- {use: wasm, file: .}
`)
	mistakes := []string{
		"2:4: middleware[0]: " + dir + "/greedy.wasm: it asks for kv, which is not granted",
		"3:4: middleware[1]: " + dir + "/large.wasm: it asks for 67108864 bytes of memory, 16777216 are allowed",
		"4:4: middleware[2]: open " + dir + "/none.wasm: no such file or directory",
		"5:4: middleware[3]: " + file + ": ",
		"6:4: middleware[4]: " + plain + ": sha256 is ",
		"7:4: middleware[5]: " + plain + ": its manifest does not list the event connect, which it is needed for",
		"8:4: middleware[6]: " + dir + " is not a file",
	}
	for _, command := range []string{"check", "serve"} {
		got := runCommand(t, "", command, "--config", file)
		lines := strings.Split(strings.TrimSuffix(got.stdout+got.stderr, "\n"), "\n")
		if got.code != exitFailure || len(lines) != len(mistakes) {
			t.Errorf("%s: %+v", command, got)
			continue
		}
		for i, want := range mistakes {
			if line := strings.TrimPrefix(lines[i], "protoo-edge: "); !strings.HasPrefix(line, file+":"+want) {
				t.Errorf("%s\n got %s\nwant %s", command, line, want)
			}
		}
	}
	key := "--wasm-public-keys=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	for _, tt := range []struct {
		args []string
		want result
	}{
		{[]string{"check", "--wasm", "/=" + plain}, result{0, "ok\n", ""}},
		{[]string{"check", "--wasm", "/=" + filepath.Join(dir, "large.wasm") + ",limits.memory=64MiB"}, result{0, "ok\n", ""}},
		{[]string{"check", "--wasm", "/=" + plain, key}, result{1, "--wasm: " + plain + ": it is not signed: the last section must be protoo.signature\n", ""}},
		{[]string{"serve", "--wasm", "plain.wasm"}, result{2, "", `protoo-edge: --wasm: expected PATH=FILE[,GRANT...][,KEY=VALUE...], such as /rooms=limiter.wasm,kv,log,on_error=skip, got "plain.wasm"` + "\n"}},
		{[]string{"serve", "--wasm", "/=a,fly"}, result{2, "", `protoo-edge: --wasm: expected a grant (async, clock, kv, log, metrics, peer.read, peer.send, random), connect, or KEY=VALUE, got "fly"` + "\n"}},
		{[]string{"serve", "--wasm", "rooms=a"}, result{2, "", `protoo-edge: --wasm: path: expected a path such as /, got "rooms"` + "\n"}},
		{[]string{"serve", "--identity-type", "wasm"}, result{2, "", "protoo-edge: --identity-type: is wasm, but no module decides who may connect; one in middleware needs connect: true\n"}},
	} {
		got := runCommand(t, "", tt.args...)
		if got != tt.want {
			t.Errorf("%v\n got %+v\nwant %+v", tt.args, got, tt.want)
		}
	}
}

// decider decides about connections: next asks who is behind it.
func decider(action int, fields ...moduletest.Field) moduletest.Module {
	return moduletest.Module{
		Manifest: wasmhost.Manifest{Name: "decider", Events: []string{"connect"}}, Action: action, Fields: fields,
	}
}

func TestModulesDecideAboutConnections(t *testing.T) {
	carol := moduletest.Field{ID: 7, Key: "carol", Value: "1"}
	for _, tt := range []struct {
		name   string
		module moduletest.Module
		flags  []string
		want   string
	}{
		{"accepts", decider(2, carol), []string{"--identity-type", "wasm"}, "carol/1"},
		{"accepts as another", decider(2, carol), nil, "carol/1"},
		{"passes on to the development identity", decider(0), nil, "alice/phone"},
		{"passes on to nobody", decider(0), []string{"--identity-type", "wasm"}, "403"},
		{"refuses", decider(3, moduletest.Status(401), moduletest.Reason("no token")), nil, "401"},
		{"fails", moduletest.Module{Manifest: decider(0).Manifest, Trap: true}, nil, "500"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := writeModule(t, t.TempDir(), "decider.wasm", tt.module)
			e := startEdge(t, append([]string{"--log-level", "debug", "--wasm", "/=" + file + ",connect"}, tt.flags...)...)
			c, err := client.Dial(t.Context(), e.url+"/?username=alice&uuid=phone", client.Options{})
			if err != nil {
				if !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v, want %s", err, tt.want)
				}
				return
			}
			e.waitForLog(t, "msg=online peer="+tt.want+" ")
			_ = c.Close(0, "")
			<-c.Done()
		})
	}
	// A module that would decide is not asked unless the configuration says so.
	file := writeModule(t, t.TempDir(), "decider.wasm", decider(3))
	e := startEdge(t, "--wasm", "/="+file)
	e.connect(t, "alice", "phone", client.Options{})
	e.waitForLog(t, `msg="the module would decide who may connect, and is not asked without connect: true" module=decider`)
}

// A module that decides is not replaced by one that does not: the identity behind it would.
func TestDeciderStaysDecider(t *testing.T) {
	dir := t.TempDir()
	file := writeModule(t, dir, "decider.wasm", decider(3, moduletest.Status(401)))
	e := startEdge(t, "--wasm", "/="+file+",connect", "--wasm-check-interval", "10ms")
	writeModule(t, dir, "decider.wasm", moduletest.Replier("1"))
	e.waitForLog(t, "its manifest does not list the event connect")
	c, err := client.Dial(t.Context(), e.url+"/?username=alice&uuid=phone", client.Options{})
	if err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("got %v, %v", c, err)
	}
}

// The failures of a module that fails all the time do not fill the log.
func TestModuleFailuresAreThrottled(t *testing.T) {
	broken := moduletest.Replier("1")
	broken.Trap = true
	file := writeModule(t, t.TempDir(), "broken.wasm", broken)
	e := startEdge(t, "--wasm", "/broken="+file)
	c := e.connect(t, "alice", "1", client.Options{})
	began := time.Now()
	for range 200 {
		ask(t, c, "/broken")
	}
	most := int(time.Since(began)/time.Second) + 2
	if log := e.stop().stderr; strings.Count(log, "\n") > most {
		t.Errorf("%d lines, want at most %d:\n%s", strings.Count(log, "\n"), most, log)
	}
}
