package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/protoo-go/protoo/client"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/modules/moduletest"
	"github.com/protoo-go/protoo/core"
)

// scrape returns the figures of a server, by name and labels as Prometheus writes them.
func (e *edge) scrape(t *testing.T) map[string]string {
	t.Helper()
	status, text := request(t, http.MethodGet, e.internal(t)+"/metrics", "")
	if status != http.StatusOK {
		t.Fatalf("got %d %s", status, text)
	}
	figures := make(map[string]string)
	for line := range strings.SplitSeq(text, "\n") {
		if i := strings.LastIndexByte(line, ' '); i > 0 && line[0] != '#' {
			figures[line[:i]] = line[i+1:]
		}
	}
	return figures
}

// waitForFigures returns when a server has these figures.
func (e *edge) waitForFigures(t *testing.T, want map[string]string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		got := e.scrape(t)
		wrong := maps.Clone(want)
		maps.DeleteFunc(wrong, func(name, value string) bool { return got[name] == value })
		if len(wrong) == 0 {
			return
		}
		if time.Now().After(deadline) {
			for _, name := range slices.Sorted(maps.Keys(wrong)) {
				t.Errorf("%s is %q, want %s", name, got[name], wrong[name])
			}
			t.Fatal("the figures do not come")
		}
	}
}

// TestMetrics does things and looks at the figures.
func TestMetrics(t *testing.T) {
	e := startEdge(t, "--internal-addr", "127.0.0.1:0", "--grace", "0s", "--log-level", "debug")
	alice := e.connect(t, "alice", "phone", answering(func(req *core.Request, _ core.Next) error { return req.Reply(486, "busy") }))
	bob := e.connect(t, "bob", "phone", client.Options{})
	for _, path := range []string{"/users/alice/phone", "/users/nobody", "/nowhere/at/all"} {
		if _, err := bob.Send(core.NewRequest("message", path, nil)).Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	_, err := client.Dial(t.Context(), e.url+"/protoo?username=mallory", client.Options{})
	refused, ok := errors.AsType[*core.StatusError](err)
	if !ok {
		t.Fatalf("somebody without a device gets %v", err)
	}
	raw := dialRaw(t, e.addr)
	_ = raw.Close()
	e.waitForLog(t, "offline")
	_ = alice.Close(4321, "")
	<-alice.Done()
	e.waitForFigures(t, map[string]string{
		`protoo_connections{transport="ws"}`: "1",
		`protoo_peers`:                       "1",
		`protoo_handshakes_total{outcome="accepted",transport="ws"}`:                        "3",
		fmt.Sprintf(`protoo_handshakes_total{outcome="%d",transport="ws"}`, refused.Status): "1",
		`protoo_closes_total{code="1006",side="client"}`:                                    "1",
		`protoo_closes_total{code="other",side="client"}`:                                   "1",
		`protoo_requests_total{route="/echo",status="200"}`:                                 "3",
		`protoo_requests_total{route="/users/:username/:uuid?",status="486"}`:               "1",
		`protoo_requests_total{route="/users/:username/:uuid?",status="404"}`:               "1",
		`protoo_requests_total{route="none",status="404"}`:                                  "1",
		`protoo_request_duration_seconds_count{route="/echo"}`:                              "3",
		`protoo_transactions_total{outcome="rejected"}`:                                     "1",
		`protoo_transaction_duration_seconds_count`:                                         "1",
		`protoo_requests_in_progress`:                                                       "0",
		`protoo_ready`:                                                                      "1",
		`protoo_draining`:                                                                   "0",
		`protoo_request_duration_seconds_bucket{route="/users/:username/:uuid?",le="+Inf"}`: "2",
	})
}

// TestReloadFigures reloads twice, once with a mistake.
func TestReloadFigures(t *testing.T) {
	var r reloadCount
	r.last = time.Unix(1, 0)
	r.add(false)
	if r.failed != 1 || !r.lastFailed || r.last != time.Unix(1, 0) {
		t.Errorf("after a failure %v", &r)
	}
	r.add(true)
	if r.done != 1 || r.lastFailed || time.Since(r.last) > time.Hour {
		t.Errorf("after a success %v", &r)
	}
}

// everything starts a server that has all figures there are.
func everything(t *testing.T) *edge {
	t.Helper()
	backEnd := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	t.Cleanup(backEnd.Close)
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	module := write("module.wasm", string(moduletest.Replier("ok").Bytes(t)))
	t.Setenv("PROTOO_API_KEY", secret("0123456789abcdefghijklmnopq"))
	file := write("edge.yaml", `
internal: {addr: "127.0.0.1:0"}
tls: {addr: "127.0.0.1:0"}
api: {addr: "127.0.0.1:0"}
webhooks: {secrets: [`+secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")+`], urls: ["`+backEnd.URL+`"]}
tracing: {endpoint: "`+backEnd.URL+`/v1/traces", sample_percent: 100}
middleware:
  - {use: wasm, path: /module, file: `+module+`}
  - {use: echo, path: /echo}
  - {use: http, path: /back, url: "`+backEnd.URL+`"}
`)
	return startEdge(t, "--config", file)
}

var ourMetric = regexp.MustCompile(`\bprotoo_[a-z_]+\b`)

// families returns the names of all figures, those of histograms without what is put behind them.
func families(figures map[string]string) map[string]bool {
	names := make(map[string]bool)
	for figure := range figures {
		name, _, _ := strings.Cut(figure, "{")
		names[name] = true
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base, ok := strings.CutSuffix(name, suffix); ok {
				names[base] = true
			}
		}
	}
	return names
}

// inSource returns the metrics that the program has, as its source says.
func inSource(t *testing.T) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	for _, pattern := range []string{"*.go", "internal/metrics/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, quoted := range regexp.MustCompile(`"protoo_[a-z_]+"`).FindAllString(string(text), -1) {
				names[strings.Trim(quoted, `"`)] = true
			}
		}
	}
	if len(names) < 40 {
		t.Fatalf("found only %d metrics", len(names))
	}
	return names
}

// TestMetricsAreDocumented compares docs/operations.md with the source, in both directions.
func TestMetricsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]bool)
	for line := range strings.Lines(string(text)) {
		if first, _, ok := strings.Cut(strings.TrimPrefix(line, "| "), " |"); ok && strings.HasPrefix(first, "`protoo_") && !strings.ContainsAny(first, "(=-") {
			for _, name := range ourMetric.FindAllString(first, -1) {
				documented[name] = true
			}
		}
	}
	known := inSource(t)
	for _, name := range ourMetric.FindAllString(string(text), -1) { // those of alerts, too
		if !known[name] && !known[strings.TrimSuffix(name, "_bucket")] {
			t.Errorf("%s is named, and does not exist", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if !documented[name] {
			t.Errorf("%s is not documented", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(documented)) {
		if !known[name] {
			t.Errorf("%s is documented, and does not exist", name)
		}
	}
}

// metricsOf returns the metrics that PromQL expressions ask for.
func metricsOf(expression string) []string {
	return regexp.MustCompile(`\b(protoo|go|process)_[a-z_]+\b`).FindAllString(regexp.MustCompile(`"[^"]*"`).ReplaceAllString(expression, `""`), -1)
}

// TestDashboard makes sure that a server has every figure that the dashboard asks for, with its labels.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile("../../deploy/grafana/protoo-edge.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Title  string
		Panels []struct {
			ID      int
			Title   string
			Type    string
			Targets []struct{ Expr string }
			GridPos struct{ H, W, X, Y int }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	e := everything(t)
	c := e.connect(t, "alice", "phone", client.Options{})
	for _, path := range []string{"/module", "/back", "/users/bob"} {
		if _, err := c.Send(core.NewRequest("message", path, nil)).Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	other := e.connect(t, "alice", "tablet", client.Options{})
	_ = other.Close(0, "")
	<-other.Done()
	e.waitForFigures(t, map[string]string{`protoo_closes_total{code="1000",side="client"}`: "1"})
	figures := e.scrape(t)
	has := families(figures)
	source := inSource(t)
	taken := make(map[[2]int]string)
	ids := make(map[int]bool)
	asked := make(map[string]bool)
	for _, p := range dashboard.Panels {
		if ids[p.ID] {
			t.Errorf("%s: the id %d is taken", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if by := taken[[2]int{x, y}]; by != "" || x >= 24 {
					t.Fatalf("%s is where %s is", p.Title, by)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("%s asks for nothing", p.Title)
		}
		for _, target := range p.Targets {
			names := metricsOf(target.Expr)
			if len(names) == 0 {
				t.Errorf("%s: %s asks for nothing", p.Title, target.Expr)
			}
			for _, name := range names {
				asked[strings.TrimSuffix(name, "_bucket")] = true
				if !has[name] && !(onlyAtTimes[name] && source[name]) {
					t.Errorf("%s: there is no %s", p.Title, name)
				}
			}
			for _, label := range labelsOf(target.Expr) {
				if !onlyAtTimes[names[0]] && !labeled(figures, names[0], label) {
					t.Errorf("%s: %s has no label %s", p.Title, names[0], label)
				}
			}
			if !strings.Contains(target.Expr, `job=~"$job"`) || !strings.Contains(target.Expr, `instance=~"$instance"`) {
				t.Errorf("%s: %s is not about the chosen servers", p.Title, target.Expr)
			}
		}
	}
	if len(asked) < 40 {
		t.Errorf("the dashboard has only %d metrics", len(asked))
	}
}

// labelsOf returns the labels that an expression needs, but for those that Prometheus adds itself.
func labelsOf(expression string) []string {
	var labels []string
	for _, found := range regexp.MustCompile(`by \(([^)]*)\)|(\w+)=~?"`).FindAllStringSubmatch(expression, -1) {
		for label := range strings.SplitSeq(found[1]+found[2], ",") {
			if label = strings.TrimSpace(label); label != "job" && label != "instance" {
				labels = append(labels, label)
			}
		}
	}
	return labels
}

func labeled(figures map[string]string, name, label string) bool {
	for figure := range figures {
		if strings.HasPrefix(figure, name+"{") && strings.Contains(figure, label+`="`) {
			return true
		}
	}
	return false
}

// onlyAtTimes are figures that come with the first event of their kind.
var onlyAtTimes = map[string]bool{
	"protoo_module_failures_total": true,
	"protoo_api_calls_total":       true,
}
