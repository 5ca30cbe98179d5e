package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/config"
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

// TestOperationsConfigurations reads the configurations of docs/operations.md.
func TestOperationsConfigurations(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1)
	if len(blocks) < 3 {
		t.Errorf("there are %d configurations, want at least 3", len(blocks))
	}
	for _, block := range blocks {
		name := writeFile(t, t.TempDir(), "edge.yaml", string(block[1]))
		var environ []string
		if strings.Contains(string(block[1]), "identity: {type: jwt}\n") { // whose secret is in the environment
			environ = []string{"PROTOO_IDENTITY_JWT_SECRET=" + strings.Repeat("0", 64)}
		}
		if _, err := config.Load(config.Sources{File: name, Environ: environ}); err != nil {
			t.Errorf("%v in\n%s", err, block[1])
		}
	}
	// Every setting that the text names exists, and so do the keys that a reload applies.
	var names []string
	for _, s := range config.New().Settings() {
		names = append(names, s.Key)
	}
	for _, found := range regexp.MustCompile("`((?:tls|log|memory|drain|websocket|identity)\\.[a-z_.]+)`").FindAllSubmatch(text, -1) {
		key := string(found[1])
		if !slices.Contains(names, key) {
			t.Errorf("there is no setting %s", key)
		}
	}
	if list := "- What can be applied is, and is logged: " + strings.Join(live(), ", ") + "."; !strings.Contains(string(text), list) {
		t.Errorf("the text lacks %q", list)
	}
}

// live names what a reload applies. Of a section with many such settings it names the others instead.
func live() []string {
	applied, others := make(map[string][]string), make(map[string][]string)
	var sections []string
	for _, s := range config.New().Settings() {
		section, _, _ := strings.Cut(s.Key, ".")
		if !slices.Contains(sections, section) {
			sections = append(sections, section)
		}
		if key := "`" + s.Key + "`"; s.Live {
			applied[section] = append(applied[section], key)
		} else {
			others[section] = append(others[section], key)
		}
	}
	var list []string
	for _, section := range sections {
		const many = 5
		switch {
		case len(applied[section]) < many:
			list = append(list, applied[section]...)
		case len(others[section]) == 0:
			list = append(list, "`"+section+".*`")
		default:
			list = append(list, "`"+section+".*` but for "+strings.Join(others[section], " and "))
		}
	}
	return list
}
