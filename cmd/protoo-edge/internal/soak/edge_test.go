//go:build unix

package soak

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/modules/moduletest"
)

// An edge is a protoo-edge in a process of its own.
type edge struct {
	folder   string
	cmd      *exec.Cmd
	ended    chan struct{} // closed at the end, when err is set
	err      error
	plain    string // host:port
	hash     string // of the certificate, in base64
	internal string // http://host:port
}

// start builds protoo-edge and runs it until the end of the test.
func start(t *testing.T) *edge {
	t.Helper()
	e := &edge{folder: t.TempDir(), ended: make(chan struct{})}
	program := filepath.Join(e.folder, "protoo-edge")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/protoo-go/protoo/cmd/protoo-edge").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	e.swap(t, "one")
	e.configure(t, "2s")
	log, err := os.Create(filepath.Join(e.folder, "log"))
	if err != nil {
		t.Fatal(err)
	}
	e.cmd = exec.Command(program, "serve", "--config", filepath.Join(e.folder, "edge.yaml"))
	e.cmd.Stderr = log
	stdout, err := e.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := e.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := make(chan string)
	go func() {
		var all strings.Builder
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			fmt.Fprintln(&all, lines.Text())
			if strings.HasPrefix(lines.Text(), "development identity") { // the last line
				said <- all.String()
			}
		}
		e.err = e.cmd.Wait()
		close(e.ended)
	}()
	t.Cleanup(func() {
		_ = e.cmd.Process.Kill()
		<-e.ended
		_ = log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("the server's log ends with\n%s", text[max(0, len(text)-10_000):])
		}
	})
	select {
	case text := <-said:
		for pattern, to := range map[string]*string{
			`listening on http://(\S+)`:   &e.plain,
			`SHA-256 (\S+)`:               &e.hash,
			`for operators: (http://\S+)`: &e.internal,
		} {
			found := regexp.MustCompile(pattern).FindStringSubmatch(text)
			if found == nil {
				t.Fatalf("no %s in\n%s", pattern, text)
			}
			*to = found[1]
		}
	case <-e.ended:
		t.Fatalf("the server has ended: %v", e.err)
	}
	return e
}

// configure writes the configuration, whose grace period is to be recognized.
func (e *edge) configure(t *testing.T, grace string) {
	t.Helper()
	e.write(t, "edge.yaml", fmt.Sprintf(`addr: 127.0.0.1:0
internal: {addr: "127.0.0.1:0"}
grace: %s
wasm: {check_interval: 50ms}
middleware:
  - {use: wasm, path: /module, file: module.wasm}
  - {use: messenger, path: /users}
  - {use: sessions, path: /sessions}
  - {use: echo, path: /echo}
`, grace))
}

// swap replaces the module by one that answers with a reason.
func (e *edge) swap(t *testing.T, reason string) {
	t.Helper()
	e.write(t, "module.wasm", string(moduletest.Replier(reason).Bytes(t)))
}

// write replaces a file at once, as a deployment does.
func (e *edge) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(e.folder, name)
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func (e *edge) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := e.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// log returns what the server has logged.
func (e *edge) log(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(e.folder, "log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// stop ends the server and expects it to end well.
func (e *edge) stop(t *testing.T) {
	t.Helper()
	e.signal(t, syscall.SIGTERM)
	select {
	case <-e.ended:
	case <-time.After(time.Minute):
		t.Fatal("the server does not end")
	}
	if e.err != nil {
		t.Errorf("the server has ended with %v", e.err)
	}
}

// figures are what must not grow.
type figures struct {
	peers, goroutines, descriptors float64
	resident, heap                 float64 // bytes
}

func (f figures) String() string {
	return fmt.Sprintf("%.0f peers, %.0f goroutines, %.0f descriptors, %.1f MiB resident, %.1f MiB heap",
		f.peers, f.goroutines, f.descriptors, f.resident/(1<<20), f.heap/(1<<20))
}

// figures reads the metrics of a server that has just collected its garbage.
func (e *edge) figures(t *testing.T) figures {
	t.Helper()
	e.get(t, "/debug/pprof/heap?gc=1")
	metrics := e.get(t, "/metrics")
	var f figures
	for name, to := range map[string]*float64{
		"protoo_peers":                  &f.peers,
		"go_goroutines":                 &f.goroutines,
		"process_open_fds":              &f.descriptors,
		"process_resident_memory_bytes": &f.resident,
		"go_memstats_heap_alloc_bytes":  &f.heap,
	} {
		v, err := value(metrics, name)
		if err != nil {
			t.Fatal(err)
		}
		*to = v
	}
	return f
}

// value finds a metric without labels in the text format of Prometheus.
func value(metrics, name string) (float64, error) {
	for line := range strings.Lines(metrics) {
		if text, found := strings.CutPrefix(line, name+" "); found {
			return strconv.ParseFloat(strings.TrimSpace(text), 64)
		}
	}
	return 0, errors.New("no metric " + name)
}

func (e *edge) get(t *testing.T, path string) string {
	t.Helper()
	res, err := http.Get(e.internal + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v\n%s", path, res.Status, err, body)
	}
	return string(body)
}
