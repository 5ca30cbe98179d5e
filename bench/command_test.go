package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/protoo-go/protoo/bench/internal/result"
	"github.com/protoo-go/protoo/bench/internal/server"
)

// The tests' own binary is the server that they measure, and the program when that has to be a process.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "program" {
		os.Args = os.Args[1:]
		main()
	}
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
	if r.Settings.GOGC != server.GOGC() {
		t.Errorf("GOGC is %q in the report, want %s", r.Settings.GOGC, server.GOGC())
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
	if page, err := os.ReadFile(name + ".html"); err != nil || !bytes.Contains(page, []byte("</html>")) {
		t.Errorf("the page is missing: %v", err)
	}

	// A report does not differ from itself.
	code, stdout, stderr = bench(t, t.Context(), "compare", "-gate", "cpu,rate,p99", name+".json", name+".json")
	if code != exitOK || !strings.Contains(stdout, "1.000") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}

	// What has become worse is told by the exit code, but not of a single round.
	for _, tt := range []struct {
		rounds int
		code   int
		want   string
	}{
		{1, exitOK, "fewer than three rounds"},
		{3, exitRegression, "REGRESSION"},
	} {
		before, after := rewrite(t, name+".json", tt.rounds, 1), rewrite(t, name+".json", tt.rounds, 3)
		code, stdout, _ = bench(t, t.Context(), "compare", before, after)
		if code != tt.code || !strings.Contains(stdout, tt.want) {
			t.Errorf("%d rounds: exit code %d\n%s", tt.rounds, code, stdout)
		}
		if code, _, _ := bench(t, t.Context(), "compare", "-threshold", "5", before, after); code != exitOK {
			t.Errorf("%d rounds: exit code %d although the threshold is far away", tt.rounds, code)
		}
	}
}

// rewrite makes a report whose rounds are repetitions of its first, with some times the CPU for all but the reference, and returns the file.
func rewrite(t *testing.T, file string, rounds int, slower time.Duration) string {
	t.Helper()
	r, err := result.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	r.Settings.Rounds = rounds
	for _, s := range r.Series {
		for i, run := range s.Runs {
			s.Runs[i].Starved, s.Runs[i].Limited = "", "" // the machine that tests may be busy
			if run.Measurement != nil && s.Target != result.Reference {
				run.Server.User *= slower
				run.Server.System *= slower
			}
		}
		s.Runs = slices.Repeat(s.Runs, rounds)
		for round := range s.Runs {
			s.Runs[round].Round = round
		}
	}
	name := filepath.Join(t.TempDir(), fmt.Sprintf("%d-%d.json", rounds, slower))
	if err := r.Write(name); err != nil {
		t.Fatal(err)
	}
	return name
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

// TestSignals has a terminal closed, and the program ended.
func TestSignals(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no signals to send")
	}
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGTERM} {
		if signal.Ignored(s) {
			continue
		}
		name := filepath.Join(t.TempDir(), "ended")
		cmd := exec.Command(os.Args[0], "program", "-time", "1ms", "-warmup", "1ms", "-noise", "0", "-rounds", "1000", "-run", "64 × 1, 64 B: ws$", "-o", name)
		progress, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		_, _ = progress.Read(make([]byte, 1))
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, progress)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v", s, err)
		}
		if r, err := result.Read(name + ".json"); err != nil || !r.Interrupted {
			t.Errorf("%v: what was measured is lost: %v", s, err)
		}
	}
}

// full is what cannot be written to.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("nobody reads") }

// The files are there even if nobody reads the table.
func TestBrokenPipe(t *testing.T) {
	name := filepath.Join(t.TempDir(), "unread")
	code := run(t.Context(), []string{"-time", "1ms", "-warmup", "1ms", "-noise", "0", "-rounds", "1", "-run", "64 × 1, 64 B: ws$", "-o", name}, nil, full{}, io.Discard)
	if code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	for _, file := range []string{name + ".json", name + ".html"} {
		if info, err := os.Stat(file); err != nil || info.Size() == 0 {
			t.Errorf("%s is lost: %v", file, err)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"-help", exitOK, "Usage"},
		{"-unknown", exitFailed, "not defined"},
		{"argument", exitFailed, "1 arguments, expected 0"},
		{"compare one", exitFailed, "1 arguments, expected 2"},
		{"compare none.json none.json", exitFailed, "none.json"},
		{"compare main.go main.go", exitFailed, "main.go: invalid character"},
		{"compare -gate speed none.json none.json", exitFailed, "expected"},
		{"compare -threshold -1 none.json none.json", exitFailed, "expected"},
		{"compare -threshold NaN none.json none.json", exitFailed, "expected 0 or more"},
		{"compare -threshold Inf none.json none.json", exitFailed, "expected 0 or more"},
		{"-run (", exitFailed, "missing closing"},
		{"-pin perhaps", exitFailed, "expected on, off or auto"},
		{"-rounds 0", exitFailed, "at least 1"},
		{"-time 0s", exitFailed, "expected a time"},
		{"-run pigeons", exitFailed, "matches nothing"},
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
