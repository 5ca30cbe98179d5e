package archtest

import (
	"cmp"
	"fmt"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// TestImports reads the sources instead of asking the go command, so that the
// files of every platform count, whatever the machine it runs on.
func TestImports(t *testing.T) {
	root := os.DirFS("../..")
	mod, err := fs.ReadFile(root, "go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if line, _, _ := strings.Cut(string(mod), "\n"); line != "module "+module {
		t.Fatalf("go.mod begins with %q, want the module %s", line, module)
	}
	imports, err := readImports(root)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(imports, func(i imported) bool { return i.pkg == "core" }) {
		t.Fatal("no imports of package core were found")
	}
	for _, v := range violations(policy, imports) {
		t.Error(v)
	}
}

// TestViolations gives the checker a small module with every kind of mistake.
func TestViolations(t *testing.T) {
	rules := []rule{
		{pkg: "a", ours: []string{"b/..."}, deny: []string{"net/..."}, tests: []string{"c"}},
		{pkg: "b/...", ours: []string{"b/..."}, modules: []string{"example.com/m"}},
		{pkg: "b/strict"},
		{pkg: "c", ours: []string{"..."}},
	}
	file := func(pkg string, imports ...string) *fstest.MapFile {
		src := "package " + pkg + "\n"
		for _, i := range imports {
			src += "import " + strconv.Quote(i) + "\n"
		}
		return &fstest.MapFile{Data: []byte(src)}
	}
	tests := []struct {
		name  string
		files fstest.MapFS
		want  []string
	}{
		{"allowed", fstest.MapFS{
			"a/a.go":      file("a", "fmt", module+"/b", module+"/b/sub"),
			"a/a_test.go": file("a_test", "net", module+"/a", module+"/c"),
			"b/b.go":      file("b", "unsafe", module+"/b/sub", "example.com/m", "example.com/m/p"),
			"c/c.go":      file("c", module+"/a", module+"/b/strict"),
		}, nil},
		{"ours", fstest.MapFS{"a/a.go": file("a", "fmt", module+"/c")},
			[]string{`a/a.go:3: a must not import c`}},
		{"in a test", fstest.MapFS{"b/b_test.go": file("b", module+"/c")},
			[]string{`b/b_test.go:2: tests of b must not import c`}},
		{"longest rule", fstest.MapFS{"b/strict/s.go": file("s", module+"/b")},
			[]string{`b/strict/s.go:2: b/strict must not import b`}},
		{"module", fstest.MapFS{"a/a.go": file("a", "example.com/m")},
			[]string{`a/a.go:2: a must not import example.com/m`}},
		{"module with the same beginning", fstest.MapFS{"b/b.go": file("b", "example.com/mm")},
			[]string{`b/b.go:2: b must not import example.com/mm`}},
		{"cgo", fstest.MapFS{"a/a.go": file("a", "C")},
			[]string{`a/a.go:2: a must not import C`}},
		{"denied", fstest.MapFS{"a/a.go": file("a", "net/http")},
			[]string{`a/a.go:2: a must not import net/http`}},
		{"denied on another platform", fstest.MapFS{"a/a_plan9.go": file("a", "net")},
			[]string{`a/a_plan9.go:2: a must not import net`}},
		{"denied further down", fstest.MapFS{
			"a/a.go":     file("a", module+"/b"),
			"b/b.go":     file("b", module+"/b/sub"),
			"b/sub/s.go": file("s", "net"),
		}, []string{`b/sub/s.go:2: a must not reach net: a imports b imports b/sub`}},
		{"no rule", fstest.MapFS{"d/d.go": file("d", "fmt"), "d/e/e.go": file("e")},
			[]string{`d: no rule for this package`, `d/e: no rule for this package`}},
		{"not ours to judge", fstest.MapFS{
			"a/testdata/x.go":     file("x", "net"),
			"a/node_modules/x.go": file("x", "net"),
			"a/_x/x.go":           file("x", "net"),
			".x/x.go":             file("x", "net"),
			"nested/go.mod":       {Data: []byte("module nested\n")},
			"nested/deep/x.go":    file("x", "net"),
			"a/gen.go":            {Data: []byte("//go:build ignore\n\npackage main\nimport \"net\"\n")},
		}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			imports, err := readImports(tt.files)
			if err != nil {
				t.Fatal(err)
			}
			got := violations(rules, imports)
			if !slices.EqualFunc(got, tt.want, strings.HasPrefix) {
				t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(tt.want, "\n\t"))
			}
		})
	}
}

// An imported is one import declaration. A file without imports counts as one
// with an empty path, so that its package is known.
type imported struct {
	pkg  string // the importing package, relative to the module
	path string
	file string
	line int
	test bool // in a _test.go file
}

// readImports collects the imports of all packages of the module in root. It
// goes into the folders that "go list ./..." goes into, except that it takes no
// notice of build constraints other than "ignore".
func readImports(root fs.FS) ([]imported, error) {
	var all []imported
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() {
			if name == "." {
				return nil
			}
			_, err := fs.Stat(root, path.Join(name, "go.mod"))
			if err == nil || base == "testdata" || base == "node_modules" || base[0] == '.' || base[0] == '_' {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(base) != ".go" || base[0] == '.' || base[0] == '_' {
			return nil
		}
		found, err := readFile(root, name)
		all = append(all, found...)
		return err
	})
	return all, err
}

func readFile(root fs.FS, name string) ([]imported, error) {
	src, err := fs.ReadFile(root, name)
	if err != nil {
		return nil, err
	}
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, src, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return nil, err
	}
	for _, group := range file.Comments {
		for _, c := range group.List {
			if expr, err := constraint.Parse(c.Text); err == nil && expr.String() == "ignore" {
				return nil, nil
			}
		}
	}
	in := imported{pkg: path.Dir(name), file: name, test: strings.HasSuffix(name, "_test.go")}
	if len(file.Imports) == 0 {
		return []imported{in}, nil
	}
	var all []imported
	for _, spec := range file.Imports {
		if in.path, err = strconv.Unquote(spec.Path.Value); err != nil {
			return nil, err
		}
		in.line = files.Position(spec.Pos()).Line
		all = append(all, in)
	}
	return all, nil
}

// violations says, one line each and sorted, where imports leave the rules.
func violations(rules []rule, imports []imported) []string {
	byPackage := map[string][]imported{}
	for _, i := range imports {
		byPackage[i.pkg] = append(byPackage[i.pkg], i)
	}
	var all []string
	for _, pkg := range slices.Sorted(maps.Keys(byPackage)) {
		r, ok := ruleFor(rules, pkg)
		if !ok {
			all = append(all, pkg+": no rule for this package; add one to policy in internal/archtest/policy_test.go")
			continue
		}
		for _, i := range byPackage[pkg] {
			if !r.allows(i) {
				who := pkg
				if i.test {
					who = "tests of " + pkg
				}
				all = append(all, fmt.Sprintf("%s:%d: %s must not import %s; the rule is %q in internal/archtest/policy_test.go",
					i.file, i.line, who, strings.TrimPrefix(i.path, module+"/"), r.pkg))
			}
		}
		all = append(all, reached(r, pkg, byPackage)...)
	}
	return all
}

// reached finds what r denies in the packages that pkg imports, and in theirs.
func reached(r rule, pkg string, byPackage map[string][]imported) []string {
	var all []string
	way := map[string]string{pkg: pkg}
	for queue := []string{pkg}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		for _, i := range byPackage[at] {
			if i.test {
				continue
			}
			if at != pkg && matchAny(r.deny, i.path) {
				all = append(all, fmt.Sprintf("%s:%d: %s must not reach %s: %s", i.file, i.line, pkg, i.path, way[at]))
			}
			if next, ok := strings.CutPrefix(i.path, module+"/"); ok && way[next] == "" {
				way[next] = way[at] + " imports " + next
				queue = append(queue, next)
			}
		}
	}
	return all
}

func ruleFor(rules []rule, pkg string) (rule, bool) {
	matching := slices.DeleteFunc(slices.Clone(rules), func(r rule) bool { return !match(r.pkg, pkg) })
	if len(matching) == 0 {
		return rule{}, false
	}
	return slices.MaxFunc(matching, func(a, b rule) int { return cmp.Compare(len(a.pkg), len(b.pkg)) }), true
}

func (r rule) allows(i imported) bool {
	if ours, ok := strings.CutPrefix(i.path, module+"/"); ok {
		return matchAny(r.ours, ours) || i.test && (ours == i.pkg || matchAny(r.tests, ours))
	}
	first, _, _ := strings.Cut(i.path, "/")
	if strings.Contains(first, ".") || first == "C" {
		return slices.ContainsFunc(r.modules, func(m string) bool { return match(m+"/...", i.path) })
	}
	return i.test || !matchAny(r.deny, i.path)
}

func matchAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, name) })
}

func match(pattern, name string) bool {
	if pattern == "..." {
		return true
	}
	if tree, ok := strings.CutSuffix(pattern, "/..."); ok {
		return name == tree || strings.HasPrefix(name, tree+"/")
	}
	return name == pattern
}
