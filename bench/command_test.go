package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/protoo-go/protoo/bench/internal/result"
)

// The tests' own binary is the server that they measure.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == serverCommand {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// bench runs the command in a folder of its own, and returns what it has written.
func bench(t *testing.T, ctx context.Context, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(ctx, args, strings.NewReader(""), &out, &err)
	return code, out.String(), err.String()
}

// TestSmoke has everything measured once, for a moment.
func TestSmoke(t *testing.T) {
	name := filepath.Join(t.TempDir(), "smoke")
	code, stdout, stderr := bench(t, t.Context(), "-rounds", "1", "-time", "20ms", "-warmup", "1ms", "-noise", "1ms", "-o", name,
		"-run", "64 × 1, 64 B|open loop: 1000|peer to peer|fan-out.*(memory|ws|webtransport)$|storm.*ws")
	if code != exitOK {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}
	r, err := result.Read(name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	kinds := make(map[string]bool)
	for _, s := range r.Series {
		kinds[string(s.Job.Kind)+" "+s.Target] = true
		for _, run := range s.Runs {
			if run.Invalid != "" {
				t.Errorf("%s, %s: %s", s.Scenario, s.Target, run.Invalid)
			} else if run.Requests == 0 {
				t.Errorf("%s, %s: nothing was answered", s.Scenario, s.Target)
			}
		}
	}
	for _, want := range []string{"closed reference", "closed memory", "closed ws", "closed ws-goroutines", "closed wss", "closed webtransport",
		"open reference", "open webtransport", "relay memory", "relay wss", "fanout webtransport", "storm ws", "storm wss"} {
		if !kinds[want] {
			t.Errorf("%s was not measured", want)
		}
	}
	if !strings.Contains(stdout, "CLOSED LOOP") {
		t.Errorf("the table is missing:\n%s", stdout)
	}
	if page, err := os.ReadFile(name + ".html"); err != nil || !bytes.Contains(page, []byte("<svg")) {
		t.Errorf("the page is missing: %v", err)
	}

	// A report does not differ from itself.
	code, stdout, stderr = bench(t, t.Context(), "compare", "-gate", "cpu,rate,p99", name+".json", name+".json")
	if code != exitOK || !strings.Contains(stdout, "1.000") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}

	// What has become worse is told by the exit code.
	for _, s := range r.Series {
		if s.Target != result.Reference {
			for _, run := range s.Runs {
				if run.Measurement != nil {
					run.Server.User *= 3
					run.Server.System *= 3
				}
			}
		}
	}
	if err := r.Write(name + "-slow.json"); err != nil {
		t.Fatal(err)
	}
	code, stdout, _ = bench(t, t.Context(), "compare", name+".json", name+"-slow.json")
	if code != exitFailed || !strings.Contains(stdout, "REGRESSION") {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
	if code, _, _ = bench(t, t.Context(), "compare", "-threshold", "5", name+".json", name+"-slow.json"); code != exitOK {
		t.Errorf("exit code %d although the threshold is far away", code)
	}
}

// TestInterrupt looks at what an interrupt leaves.
func TestInterrupt(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	progress := make(chan struct{})
	r, w := io.Pipe()
	go func() {
		b := make([]byte, 1000)
		_, _ = r.Read(b)
		close(progress)
		interrupt()
		_, _ = io.Copy(io.Discard, r)
	}()
	name := filepath.Join(t.TempDir(), "interrupted")
	var out bytes.Buffer
	code := run(ctx, []string{"-time", "1ms", "-warmup", "1ms", "-noise", "0", "-rounds", "1000", "-run", "64 × 1, 64 B: ws$", "-o", name}, nil, &out, w)
	_ = w.Close()
	<-progress
	if code != exitOK || !strings.Contains(out.String(), "INTERRUPTED") {
		t.Fatalf("exit code %d\n%s", code, out.String())
	}
	report, err := result.Read(name + ".json")
	if err != nil || !report.Interrupted || len(report.Series) == 0 || len(report.Series[0].Runs) == 0 {
		t.Errorf("what was measured before is lost: %v", err)
	}
}

func TestUsage(t *testing.T) {
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"-help", exitOK, "Usage"},
		{"-unknown", exitUsage, "not defined"},
		{"argument", exitUsage, "1 arguments, expected 0"},
		{"compare one", exitUsage, "1 arguments, expected 2"},
		{"compare none.json none.json", exitFailed, "no such file"},
		{"-run (", exitFailed, "missing closing"},
		{"-pin perhaps", exitFailed, "expected on, off or auto"},
		{"-rounds 0", exitFailed, "at least 1"},
		{"-rivals /nowhere", exitFailed, "/nowhere"},
	} {
		code, _, stderr := bench(t, t.Context(), strings.Fields(tt.args)...)
		if code != tt.code || !strings.Contains(stderr, tt.want) {
			t.Errorf("%s: exit code %d\n%s", tt.args, code, stderr)
		}
	}
}

func TestList(t *testing.T) {
	code, all, _ := bench(t, t.Context(), "-list", "-full")
	if code != exitOK {
		t.Errorf("exit code %d", code)
	}
	seen := make(map[string]bool)
	for line := range strings.Lines(all) {
		if seen[line] {
			t.Errorf("twice: %s", line)
		}
		seen[line] = true
	}
	_, usual, _ := bench(t, t.Context(), "-list")
	for line := range strings.Lines(usual) {
		if !seen[line] {
			t.Errorf("not in the full list: %s", line)
		}
	}
	_, some, _ := bench(t, t.Context(), "-list", "-run", "^idle.*wss$")
	for line := range strings.Lines(some) {
		if !strings.HasPrefix(line, "idle") && !strings.HasSuffix(line, "reference\n") {
			t.Errorf("not asked for: %s", line)
		}
	}
}
