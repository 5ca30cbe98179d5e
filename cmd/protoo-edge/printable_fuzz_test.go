package main

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"unicode"
	"unicode/utf8"
)

// FuzzPrintable checks that nothing a stranger has written gives the terminal orders, and that JSON
// still means what it did.
func FuzzPrintable(f *testing.F) {
	for _, s := range []string{"", "Grüße 🦊", "\x1b[2J\x07", "\u009b31m", "a\u202eb", "\xff\xfe", "\U000e0001", "{\"\u0085\": [\"\x7f\"]}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range printable(s) {
			if !unicode.IsPrint(r) {
				t.Fatalf("%q became %q", s, printable(s))
			}
		}
		var compact bytes.Buffer
		if !utf8.ValidString(s) || json.Compact(&compact, []byte(s)) != nil {
			return
		}
		var before, after any
		if err := json.Unmarshal(compact.Bytes(), &before); err != nil {
			return // such as a number that is too large
		}
		got := printable(compact.String())
		if err := json.Unmarshal([]byte(got), &after); err != nil || !reflect.DeepEqual(before, after) {
			t.Fatalf("%s became %s: %v", compact.Bytes(), got, err)
		}
	})
}
