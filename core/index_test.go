package core

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func compileAll(t testing.TB, o matchOptions, patterns ...Pattern) []*matcher {
	t.Helper()
	matchers := make([]*matcher, len(patterns))
	for i, p := range patterns {
		var err error
		if matchers[i], err = p.compile(o); err != nil {
			t.Fatal(err)
		}
	}
	return matchers
}

func listCandidates(x *index, path string, from int) []int {
	list := []int{}
	c := x.candidates(path, from)
	for i := c.next(); i >= 0; i = c.next() {
		list = append(list, i)
	}
	return list
}

func paths(patterns ...string) []Pattern {
	list := make([]Pattern, len(patterns))
	for i, p := range patterns {
		list[i] = Path(p)
	}
	return list
}

// TestIndexCandidates fixes which layers are asked about a path: not only all
// that match, which the fuzz target checks, but also few others.
func TestIndexCandidates(t *testing.T) {
	route, mount := matchOptions{end: true}, matchOptions{}
	strict := matchOptions{end: true, strict: true}
	for _, test := range []struct {
		o        matchOptions
		patterns []string
		path     string
		want     []int
	}{
		{route, []string{"/", "/a", "/a/b", "/:x", "/:x/b"}, "/a", []int{1, 3}},
		{route, []string{"/", "/a", "/a/b", "/:x", "/:x/b"}, "/a/b/", []int{2, 4}},
		{route, []string{"/", "/a", "/a/b", "/:x", "/:x/b"}, "/", []int{0}},
		{route, []string{"/", "/a", "/a/b", "/:x", "/:x/b"}, "/x/y", []int{}},
		{mount, []string{"/", "/a", "/a/b", "/:x", "/:x/b"}, "/a/b/c", []int{0, 1, 2, 3, 4}},
		{mount, []string{"/", "/a", "/a/b", "/:x", "/:x/b"}, "/q/r", []int{0, 3}},
		{strict, []string{"/a", "/a/", "/a//", "/a/:x"}, "/a/", []int{0, 1, 2}},
		{route, []string{"/a/:x?", "/a/:x?/", "/a/:x/:y?"}, "/a", []int{0, 1}},
		{route, []string{"/a/:x?", "/a/:x?/", "/a/:x/:y?"}, "/a/1/", []int{0, 1, 2}},
		{route, []string{"/a/:x?", "/a/:x?/", "/a/:x/:y?"}, "/b/1", []int{}},
		{mount, []string{"/a/:x?", "/:x/b/:y?"}, "/c/b/d", []int{1}},
		{route, []string{"/Users", "/CAFÉ", "/k"}, "/uSERS", []int{0}},
		{route, []string{"/Users", "/CAFÉ", "/k"}, "/café", []int{1}},
		{route, []string{"/Users", "/CAFÉ", "/k"}, "/\u212a", []int{}},
		{route, []string{"/users/:id(\\d+)", "/rooms/:id(\\d+)?", "/rooms/:id(\\d+)/x", "/a/:b-:c/d"}, "/rooms/7", []int{1}},
		{route, []string{"/users/:id(\\d+)", "/rooms/:id(\\d+)?", "/rooms/:id(\\d+)/x", "/a/:b-:c/d"}, "/rooms", []int{1}},
		{route, []string{"/users/:id(\\d+)", "/rooms/:id(\\d+)?", "/rooms/:id(\\d+)/x", "/a/:b-:c/d"}, "/rooms/7/x", []int{1, 2}},
		{route, []string{"/users/:id(\\d+)", "/rooms/:id(\\d+)?", "/rooms/:id(\\d+)/x", "/a/:b-:c/d"}, "/a/1-2/d", []int{3}},
		{route, []string{"/a/:b-:c", "/a/:b-:c*", "/a/x?"}, "/a/1-2/d", []int{1}},
		{route, []string{"/a/:b-:c", "/a/:b-:c*", "/a/x?"}, "/b/", []int{}},
		{route, []string{"/files/*", "/files/*/x", "/:a/*", "/ab?c/d", "/e/(f)", "*"}, "/files/a/x", []int{0, 1, 2, 5}},
		{route, []string{"/files/*", "/files/*/x", "/:a/*", "/ab?c/d", "/e/(f)", "*"}, "/ac/d", []int{2, 3, 5}},
		{route, []string{"/files/*", "/files/*/x", "/:a/*", "/ab?c/d", "/e/(f)", "*"}, "/e/f", []int{2, 4, 5}},
	} {
		x := newIndex(compileAll(t, test.o, paths(test.patterns...)...))
		if got := listCandidates(x, test.path, 0); !slices.Equal(got, test.want) {
			t.Errorf("%v %+v %s: got %v, expected %v", test.patterns, test.o, test.path, got, test.want)
		}
	}
}

func TestIndexOrder(t *testing.T) {
	matchers := compileAll(t, matchOptions{end: true}, Path("/a/b"), Path("/:x/b"), Path("/a/:y"), AnyOf(Path("/a/b"), Path("/a/:y"), Path("/:x/b")),
		Regexp(regexp.MustCompile("b")), Path("/:x/:y"), Path("/a/b"), Path("*"), Path("/c"))
	matchers = slices.Insert(matchers, 3, nil)
	x := newIndex(matchers)
	all := []int{0, 1, 2, 3, 4, 5, 6, 7, 8}
	for from := range 11 {
		want := all[min(from, len(all)):]
		if got := listCandidates(x, "/a/b", from); !slices.Equal(got, want) {
			t.Errorf("from %d: got %v, expected %v", from, got, want)
		}
	}
	if got := listCandidates(x, "", 0); !slices.Equal(got, []int{3, 5, 8}) {
		t.Errorf("for an empty path: %v", got)
	}
	if got := listCandidates(newIndex(nil), "/a", 0); len(got) != 0 {
		t.Errorf("of no layers: %v", got)
	}
}

// TestIndexWorstCase has layers for each combination of literals and params, so
// that a path meets as many nodes as there can be.
func TestIndexWorstCase(t *testing.T) {
	const depth = 7
	var patterns []Pattern
	for bits := range 1 << depth {
		var b strings.Builder
		for i := range depth {
			b.WriteString([]string{"/a", "/:x"}[bits>>i&1])
		}
		patterns = append(patterns, Path(b.String()))
	}
	x := newIndex(compileAll(t, matchOptions{}, patterns...))
	for _, more := range []string{"", "/", strings.Repeat("/a", 1000), strings.Repeat("/", 2000)} {
		if got := listCandidates(x, strings.Repeat("/a", depth)+more, 0); len(got) != len(patterns) {
			t.Errorf("%d candidates, expected %d", len(got), len(patterns))
		}
	}
	if got := listCandidates(x, strings.Repeat("/", 2048), 0); len(got) != 0 {
		t.Errorf("for slashes: %v", got)
	}
}

// routeSet makes stacks of n routes of a kind, and a path that only route i matches.
type routeSet struct {
	name          string
	pattern, path func(i int) string
}

var routeSets = []routeSet{
	{"static", func(i int) string { return fmt.Sprintf("/rooms/room%d", i) }, func(i int) string { return fmt.Sprintf("/rooms/room%d", i) }},
	{"param", func(i int) string { return fmt.Sprintf("/room%d/:id", i) }, func(i int) string { return fmt.Sprintf("/room%d/42", i) }},
	{"peer", func(i int) string { return fmt.Sprintf("/app%d/:username/:uuid?", i) }, func(i int) string { return fmt.Sprintf("/app%d/alice/1234", i) }},
	{"mixed", func(i int) string {
		return fmt.Sprintf([]string{"/rooms/room%d", "/room%d/:id", "/app%d/:username/:uuid?", "/:any/room%d"}[i%4], i)
	}, func(i int) string {
		return fmt.Sprintf([]string{"/rooms/room%d", "/room%d/42", "/app%d/alice/1234", "/x/room%d"}[i%4], i)
	}},
}

func (set *routeSet) build(t testing.TB, n int) (matchers []*matcher, x *index, path string) {
	var patterns []Pattern
	for i := range n {
		patterns = append(patterns, Path(set.pattern(i)))
	}
	matchers = compileAll(t, matchOptions{end: true}, patterns...)
	return matchers, newIndex(matchers), set.path(n - 1)
}

// firstMatch is what a router does until it has found a layer.
func firstMatch(matchers []*matcher, x *index, path string, dst []param) int {
	c := x.candidates(path, 0)
	for i := c.next(); i >= 0; i = c.next() {
		if _, _, ok, _ := matchers[i].match(path, dst); ok {
			return i
		}
	}
	return -1
}

func TestIndexTenThousandRoutes(t *testing.T) {
	const n = 10_000
	for _, set := range routeSets {
		matchers, x, path := set.build(t, n)
		if got := listCandidates(x, path, 0); !slices.Equal(got, []int{n - 1}) {
			t.Errorf("%s: candidates %v, expected only the one that matches", set.name, got)
		}
		params := make([]param, 0, 4)
		if got := testing.AllocsPerRun(100, func() {
			if firstMatch(matchers, x, path, params) != n-1 {
				t.Error("no match")
			}
		}); got != 0 {
			t.Errorf("%s: %v allocations", set.name, got)
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	for _, set := range routeSets {
		for _, n := range []int{10, 100, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", set.name, n), func(b *testing.B) {
				matchers, x, path := set.build(b, n)
				params := make([]param, 0, 4)
				b.ReportAllocs()
				for b.Loop() {
					if firstMatch(matchers, x, path, params) != n-1 {
						b.Fatal("no match")
					}
				}
			})
		}
	}
}

func BenchmarkNewIndex(b *testing.B) {
	for _, set := range routeSets {
		b.Run(set.name+"/10000", func(b *testing.B) {
			matchers, _, _ := set.build(b, 10_000)
			b.ReportAllocs()
			for b.Loop() {
				newIndex(matchers)
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	for _, pattern := range []string{"/users/:username/:uuid?", "/items/:id(\\d+)", "/:a--:b"} {
		b.Run(pattern, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Path(pattern).compile(matchOptions{end: true}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkMatchExpression(b *testing.B) {
	for _, test := range [][2]string{{"/items/:id(\\d+)", "/items/42"}, {"/:a-:b", "/lisbon-porto"}, {"/:a--:b", "/lisbon--porto"}} {
		b.Run(test[0], func(b *testing.B) {
			m := compileAll(b, matchOptions{end: true}, Path(test[0]))[0]
			b.ReportAllocs()
			for b.Loop() {
				if _, _, ok, _ := m.match(test[1], nil); !ok {
					b.Fatal("no match")
				}
			}
		})
	}
}
