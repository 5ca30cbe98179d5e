package wasmhost

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	gotypes "go/types"
	"os"
	"path/filepath"
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

// The package for guests in Go has its own constants, since it is built into modules that have nothing of the host. Those
// of the same name have the same value, and no field is missing.
func TestGoGuestConstants(t *testing.T) {
	host, guest := constants(t, "."), constants(t, "guest/go")
	compared := 0
	for name, value := range guest {
		if !strings.HasPrefix(name, "field") && !strings.HasPrefix(name, "event") && !strings.HasPrefix(name, "action") &&
			!strings.HasPrefix(name, "flag") && !strings.HasPrefix(name, "code") {
			continue
		}
		compared++
		if host[name] != value {
			t.Errorf("%s is %s in guest/go, and %q here", name, value, host[name])
		}
	}
	if compared < int(numFields) {
		t.Errorf("only %d constants were found", compared)
	}
	for name := range host {
		if _, ok := guest[name]; !ok && strings.HasPrefix(name, "field") && name != "fieldhead" {
			t.Errorf("%s is missing in guest/go", name)
		}
	}
}

// constants returns the values of a package's constants by their names in lower case.
func constants(t *testing.T, folder string) map[string]string {
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	var parsed []*ast.File
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := parser.ParseFile(fset, name, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, f)
	}
	// Nothing is imported, and files for several systems are taken together, so there are errors, but not in these constants.
	c := gotypes.Config{IgnoreFuncBodies: true, Error: func(error) {}}
	pkg, _ := c.Check(folder, fset, parsed, nil)
	values := make(map[string]string)
	for _, name := range pkg.Scope().Names() {
		if c, ok := pkg.Scope().Lookup(name).(*gotypes.Const); ok && c.Val() != nil {
			values[strings.ToLower(name)] = c.Val().ExactString()
		}
	}
	return values
}
