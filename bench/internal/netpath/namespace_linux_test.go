package netpath

import (
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// What a path has made does not outlive the program, even one that is killed.
func TestGuard(t *testing.T) {
	const variable = "PROTOO_BENCH_GUARDED"
	if file := os.Getenv(variable); file != "" {
		if _, err := guard("sh", "-c", `echo done >"$1"`, "sh", file); err != nil {
			t.Fatal(err)
		}
		p, _ := os.FindProcess(os.Getpid())
		_ = p.Kill()
		select {}
	}
	// The command writes into a pipe, whose end tells that it has.
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestGuard$")
	cmd.Env = append(os.Environ(), variable+"="+pipe)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(pipe)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if b, err := io.ReadAll(f); err != nil || string(b) != "done\n" {
		t.Errorf("got %q, %v", b, err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the program was not killed")
	}
}

func TestEnds(t *testing.T) {
	benchmarks := netip.MustParsePrefix("198.18.0.0/15")
	seen := make(map[string]int)
	for pid := 1; pid <= 1<<15; pid++ {
		here, there := ends(pid)
		for _, text := range []string{here, there} {
			if addr, err := netip.ParseAddr(text); err != nil || !benchmarks.Contains(addr) {
				t.Fatalf("process %d: got %q, want one of %v", pid, text, benchmarks)
			}
			if other := seen[text]; other != 0 {
				t.Fatalf("processes %d and %d both have %s", other, pid, text)
			}
			seen[text] = pid
		}
	}
}
