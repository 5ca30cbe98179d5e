package wasmhost

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero/api"
)

// ABI.md is what others build on: what it lists is what there is.
func TestABIDocument(t *testing.T) {
	b, err := os.ReadFile("ABI.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)
	has := func(format string, args ...any) {
		t.Helper()
		if s := fmt.Sprintf(format, args...); !strings.Contains(doc, s) {
			t.Errorf("ABI.md does not have %q", s)
		}
	}
	for e, name := range eventNames {
		has("\n| %d | `%s` | ", e, name)
	}
	names := fieldNames
	names[fieldError], names[fieldCarry], names[fieldCorrelation] = "error", "carry", "correlation"
	names[fieldDeleteProperty], names[fieldTimeout], names[fieldEnded] = "delete property", "timeout", "ended"
	for f, name := range names[1:] {
		has("\n| %d | %s | ", f+1, name)
	}
	for a, name := range []string{"next", "skip route", "reply", "error", "pending", "skip router"} {
		has("\n| %d | %s | ", a, name)
	}
	for i, c := range capabilities {
		has("%d `%s`", i, c)
	}
	for name, f := range hostFunctions {
		capability := ""
		if f.capability != "" {
			capability = "`" + string(f.capability) + "` "
		}
		has("\n| %s| `%s(", capability, name)
		line := doc[strings.Index(doc, "| `"+name+"("):]
		line, _, _ = strings.Cut(line, "\n")
		if wide := strings.Count(line, "i64"); wide != count64(f) && name != "kv_add" {
			t.Errorf("%s has %d parameters or results of 64 bits, ABI.md mentions %d: %s", name, count64(f), wide, line)
		}
	}
}

func count64(f hostFunction) (n int) {
	for _, list := range [][]api.ValueType{f.params, f.results} {
		for _, t := range list {
			if t == i64 {
				n++
			}
		}
	}
	return n
}
