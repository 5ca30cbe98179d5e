package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestReadme finds the Go code of the README in programs that the tests run.
func TestReadme(t *testing.T) {
	var tested string
	for _, file := range []string{"../../examples/hello/main.go", "../../client/example_test.go"} {
		tested += unindented(t, file)
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(unindented(t, "../../README.md"), -1)
	if len(blocks) != 2 {
		t.Errorf("the README has %d blocks of Go, want 2", len(blocks))
	}
	for _, block := range blocks {
		if !strings.Contains(tested, block[1]) {
			t.Errorf("this is not what the tests run:\n%s", block[1])
		}
	}
}

var indentation = regexp.MustCompile(`(?m)^\t+`)

func unindented(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return indentation.ReplaceAllString(string(text), "")
}
