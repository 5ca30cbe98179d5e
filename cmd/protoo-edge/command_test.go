package main

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/protoo-go/protoo/core"
)

func TestUsageErrors(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args  string
		stdin string
		code  int
		want  string
	}{
		{args: "sreve", code: 2, want: `unknown command "sreve"; did you mean serve?`},
		{args: "frobnicate", code: 2, want: `unknown command "frobnicate"; "protoo-edge help" lists what there is`},
		{args: "help srve", code: 2, want: `unknown command "srve"; did you mean serve?`},
		{args: "--adr x", code: 2, want: "unknown flag --adr; did you mean --addr?"},
		{args: "-addr x", code: 2, want: "unknown flag -addr; did you mean --addr?"},
		{args: "serve --log-levl=debug", code: 2, want: "unknown flag --log-levl; did you mean --log-level?"},
		{args: "call --jsno", code: 2, want: "unknown flag --jsno; did you mean --json?"},
		{args: "version --frobnicate", code: 2, want: `unknown flag --frobnicate; "protoo-edge help version" lists what there is`},
		{args: "serve now", code: 2, want: `serve: unexpected argument "now"`},
		{args: "version 2", code: 2, want: `version: unexpected argument "2"`},
		{args: "--grace", code: 2, want: "flag needs an argument: --grace"},
		{args: "--grace soon", code: 2, want: `--grace: expected a duration from 0s to a year, such as 500ms, 30s or 1h30m, got "soon"`},
		{args: "--grace -1s", code: 2, want: `--grace: expected a duration from 0s to a year, such as 500ms, 30s or 1h30m, got "-1s"`},
		{args: "--log-level loud", code: 2, want: `--log-level: expected info, debug, warn or error, got "loud"`},
		{args: "--addr 127.0.0.1", code: 2, want: `--addr: expected host:port, such as 127.0.0.1:8080 or :443, or off, got "127.0.0.1"`},
		{args: "call", code: 2, want: "call: missing URL, such as ws://127.0.0.1:8080"},
		{args: "call ws://127.0.0.1:1 message", code: 2, want: `call: missing path after method "message"`},
		{args: "call ws://127.0.0.1:1 message /x 1 2", code: 2, want: `call: unexpected argument "2"`},
		{args: "call ws://[ message /x", code: 2, want: `call: parse "ws://[": missing ']' in host`},
		{args: "call ws://127.0.0.1:1 message /x hello", code: 2,
			want: `call: DATA is not JSON: invalid character 'h' looking for beginning of value (text needs quotes: '"hello"')`},
		{args: "call ws://127.0.0.1:1 message /x -", code: 2,
			want: `call: the standard input is not JSON: unexpected end of JSON input (text needs quotes: '"hello"')`},
		{args: "call ws://127.0.0.1:1 message /x @" + text, code: 2,
			want: `call: ` + text + ` is not JSON: invalid character 'h' looking for beginning of value (text needs quotes: '"hello"')`},
		{args: "call ws://127.0.0.1:1 message /x -", stdin: strings.Repeat("1", maxData+1), code: 1,
			want: "the standard input has more than 16777216 bytes"},
		{args: "call ws://127.0.0.1:1 message /x @" + dir + "/nothing", code: 1,
			want: "open " + dir + "/nothing: no such file or directory"},
	} {
		got := runCommand(t, tt.stdin, strings.Fields(tt.args)...)
		if want := (result{tt.code, "", "protoo-edge: " + tt.want + "\n"}); got != want {
			t.Errorf("protoo-edge %s\n got %+v\nwant %+v", tt.args, got, want)
		}
	}
}

func TestHelp(t *testing.T) {
	for args, want := range map[string][]string{
		"help":         {"serve ", "call ", "version ", "help "},
		"--help":       {"serve ", "call ", "version ", "help "},
		"-h":           {"serve ", "call ", "version ", "help "},
		"help serve":   {"protoo-edge serve\n", "--addr host:port", "--grace duration", "--log-level name", "(default 127.0.0.1:8080)", "development only"},
		"serve --help": {"protoo-edge serve\n", "--addr host:port"},
		"help call":    {"protoo-edge call URL [METHOD PATH [DATA]]\n", "--username name", "--uuid id", "--json", "exit code"},
		"call URL -h":  {"protoo-edge call URL [METHOD PATH [DATA]]\n"},
		"help version": {"protoo-edge version\n\nPrint the versions"},
	} {
		got := runCommand(t, "", strings.Fields(args)...)
		if got.code != exitOK || got.stderr != "" {
			t.Errorf("%s: code %d, %q", args, got.code, got.stderr)
		}
		for _, part := range want {
			if !strings.Contains(got.stdout, part) {
				t.Errorf("%s: %q is missing in\n%s", args, part, got.stdout)
			}
		}
	}
}

func TestVersion(t *testing.T) {
	got := runCommand(t, "", "version")
	if !regexp.MustCompile(`^protoo-edge \d+\.\d+\.\d+\S*\ngo\S+ \S+/\S+\ncommit .+\n$`).MatchString(got.stdout) || got.code != exitOK {
		t.Errorf("got %+v", got)
	}
	var out strings.Builder
	printVersion(&out, &debug.BuildInfo{Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "0123abc"},
		{Key: "vcs.time", Value: "2026-11-22T12:00:00Z"},
		{Key: "vcs.modified", Value: "true"},
	}})
	if !strings.HasPrefix(out.String(), "protoo-edge "+core.Version+"\n") ||
		!strings.HasSuffix(out.String(), "\ncommit 0123abc of 2026-11-22T12:00:00Z, with changes\n") {
		t.Errorf("got %q", out.String())
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"Grüße, 世界 🦊":              "Grüße, 世界 🦊",
		"\x1b[2J":                  `\u001b[2J`,
		"\"\u009b31m\"":            `"\u009b31m"`,
		"a\u202eb":                 `a\u202eb`,
		"\r\n":                     `\u000d\u000a`,
		"\U000e0001":               `\udb40\udc01`,
		"\xff":                     "\ufffd",
		`protoo-edge: a "b" \ 'c'`: `protoo-edge: a "b" \ 'c'`,
	} {
		if got := printable(in); got != want {
			t.Errorf("printable(%q) is %q, want %q", in, got, want)
		}
	}
}
