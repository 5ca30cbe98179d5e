package main

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/protoo-go/protoo/client"
)

// internal returns the URL of what is for operators.
func (e *edge) internal(t *testing.T) string {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		_, rest, _ := strings.Cut(e.printed.String(), "for operators: ")
		if url, _, ok := strings.Cut(rest, "\n"); ok {
			return url
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server says %q", e.printed.String())
		}
	}
}

// request returns the status and the body of an answer.
func request(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// forOperators are the paths of the internal address, and what their answers have.
var forOperators = map[string]string{
	"/metrics":                       "\nprotoo_peers 0\n",
	"/livez":                         `{"live":true}`,
	"/readyz":                        `{"ready":true,"reasons":[]}`,
	"/modules":                       `"modules"`,
	"/log-level":                     "info",
	"/debug/pprof/":                  "goroutine",
	"/debug/pprof/goroutine?debug=1": "goroutine profile",
	"/debug/pprof/heap?debug=1":      "heap profile",
	"/debug/pprof/cmdline":           "",
	"/debug/pprof/symbol":            "num_symbols",
	"/debug/pprof/trace?seconds=0.1": "go 1.",
}

// TestInternalAddress makes sure that what is for operators is there, and that it is nowhere else.
func TestInternalAddress(t *testing.T) {
	e := startEdge(t, "--internal-addr", "127.0.0.1:0")
	internal := e.internal(t)
	for _, path := range slices.Sorted(maps.Keys(forOperators)) {
		status, body := request(t, http.MethodGet, internal+path, "")
		if status != http.StatusOK || !strings.Contains(body, forOperators[path]) {
			t.Errorf("%s is %d %.200q on the internal address", path, status, body)
		}
		if status, _ := request(t, http.MethodGet, "http://"+e.addr+path, ""); status != http.StatusNotFound {
			t.Errorf("%s is %d on the public address", path, status)
		}
	}
	if status, _ := request(t, http.MethodPut, "http://"+e.addr+"/log-level", "debug"); status != http.StatusNotFound {
		t.Errorf("the level of the log can be set with %d on the public address", status)
	}
	if status, _ := request(t, http.MethodGet, internal+"/", ""); status != http.StatusNotFound {
		t.Errorf("the page of clients is %d on the internal address", status)
	}
}

func TestLogLevel(t *testing.T) {
	e := startEdge(t, "--internal-addr", "127.0.0.1:0")
	url := e.internal(t) + "/log-level"
	for _, test := range []struct {
		method, body string
		status       int
		answer       string
	}{
		{http.MethodGet, "", 200, "info\n"},
		{http.MethodPut, "loud", 400, "expected debug, info, warn or error\n"},
		{http.MethodPut, strings.Repeat("debug", 100), 400, "expected debug, info, warn or error\n"},
		{http.MethodPost, "debug", 405, "Method Not Allowed\n"},
		{http.MethodGet, "", 200, "info\n"},
		{http.MethodPut, "debug\n", 200, "debug\n"},
		{http.MethodGet, "", 200, "debug\n"},
	} {
		if status, answer := request(t, test.method, url, test.body); status != test.status || answer != test.answer {
			t.Errorf("%s %.20q: got %d %q, want %d %q", test.method, test.body, status, answer, test.status, test.answer)
		}
	}
	e.connect(t, "alice", "phone", client.Options{})
	e.waitForLog(t, "level=DEBUG msg=online peer=alice/phone")
}

func TestReadyWhileDraining(t *testing.T) {
	e := startEdge(t, "--internal-addr", "127.0.0.1:0", "--websocket-close-timeout", "2m", "--drain-timeout", "5m")
	internal := e.internal(t)
	conn := dialRaw(t, e.addr) // answers no close frame, so that shutting down lasts until it ends
	stopped := make(chan result, 1)
	go func() { stopped <- e.stop() }()
	e.waitForLog(t, "shutting down")
	if status, body := request(t, http.MethodGet, internal+"/readyz", ""); status != http.StatusServiceUnavailable || !strings.Contains(body, `"draining"`) {
		t.Errorf("got %d %s", status, body)
	}
	if status, _ := request(t, http.MethodGet, internal+"/livez", ""); status != http.StatusOK {
		t.Errorf("a server that shuts down is not alive: %d", status)
	}
	_ = conn.Close()
	<-stopped
}
