package config

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// FuzzLoad reads a file. What is accepted is printed, and read again as the same. What is not has mistakes whose
// places exist.
func FuzzLoad(f *testing.F) {
	f.Add(everything)
	var defaults strings.Builder
	if err := PrintDefaults(&defaults); err != nil {
		f.Fatal(err)
	}
	f.Add(defaults.String())
	for _, seed := range []string{
		"", "a: b: c", "grace: &x 1s\naddr: *x", "- - - -", "{[", "addr: |\n  x\n", "addr: >-\n  :1\n", "? a\n: b", "log: {level: debug, }", "\"\\u0000\": 1",
		"middleware:\n- use: wasm\n  file: 'a b'\n  settings: {a: 1e999, b: 0x1, c: .inf, d: 2024-01-01, e: 007}", "---\n...\n---\n", "%YAML 1.2\n---\naddr: :1",
		"'grace': '1s'", "websocket: {origins: [a, 'b#c']}", "<<: {a: b}", "addr: \"\\ud800\"", "\ufeffgrace: 1s", "grace: 1s\r\naddr: ':2'\r\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := load(Sources{File: "edge.yaml"}, []byte(text))
		if err != nil {
			mistakes, ok := errors.AsType[Mistakes](err)
			if !ok || len(mistakes) == 0 {
				t.Fatalf("got %v", err)
			}
			lines := 1 + strings.Count(text, "\n") + strings.Count(text, "\r")
			for _, m := range mistakes {
				if m.Problem == "" || m.Origin.Line > lines {
					t.Errorf("of %d lines: %+v", lines, m)
				}
			}
			return
		}
		var first, second bytes.Buffer
		if err := c.Print(&first); err != nil {
			t.Fatal(err)
		}
		if c.find("tls.acme.eab_key").show() != "" {
			return // its mask is not a key
		}
		again, err := load(Sources{File: "edge.yaml"}, first.Bytes())
		if err != nil {
			t.Fatalf("printed as\n%s\nwhich has mistakes: %v", first.String(), err)
		}
		if err := again.Print(&second); err != nil {
			t.Fatal(err)
		}
		for i, s := range c.Settings() {
			if got := again.Settings()[i]; got.show() != s.show() {
				t.Errorf("%s: %q was printed, and read as %q", s.Key, s.show(), got.show())
			}
		}
	})
}
