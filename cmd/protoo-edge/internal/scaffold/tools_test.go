package scaffold

import (
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// What a compiler that fails may be lacking is said in the same line.
func TestCompilerFails(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the compiler of this test is a shell script")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "zig"), []byte("#!/bin/sh\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	project := filepath.Join(dir, "hello")
	if _, err := New("zig", project); err != nil {
		t.Fatal(err)
	}
	_, err := Build(t.Context(), project, Options{Log: io.Discard})
	if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "zig: exit status 1; if it is another release, install Zig 0.11") {
		t.Errorf("got %v", err)
	}
}
