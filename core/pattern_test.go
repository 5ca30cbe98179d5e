package core

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// vectorLine is a line of testdata/routing/vectors.ndjson, which its generator describes.
type vectorLine struct {
	Pattern json.RawMessage
	Options []string
	Paths   map[string]any
	Error   string
}

func TestPatternVectors(t *testing.T) {
	count := 0
	for _, line := range readRoutingVectors(t) {
		pattern := vectorPattern(t, line.Pattern)
		if line.Error != "" {
			count++
			if _, err := pattern.compile(matchOptions{end: true}); err == nil {
				t.Errorf("%s compiled, expected an error (%s)", line.Pattern, line.Error)
			} else if !strings.HasPrefix(err.Error(), "pattern ") {
				t.Errorf("%s: error %q does not name the pattern", line.Pattern, err)
			}
			continue
		}
		for _, options := range line.Options {
			ways, err := newWays(pattern, vectorOptions(options))
			if err != nil {
				t.Errorf("%s %q: %v", line.Pattern, options, err)
				continue
			}
			for path, want := range line.Paths {
				count++
				name := fmt.Sprintf("%s %q %q", line.Pattern, options, path)
				if got := vectorResult(ways.matcher, path); !reflect.DeepEqual(got, want) {
					t.Errorf("%s: got %v, expected %v", name, got, want)
				}
				if err := ways.disagree(path); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
	if count < 6000 {
		t.Errorf("only %d vectors", count)
	}
}

// matchWays holds a matcher and what must agree with it.
type matchWays struct {
	matcher         *matcher
	index           *index
	expression      *matcher // by regular expression, if matcher goes by segments
	expressionIndex *index
}

func newWays(pattern Pattern, o matchOptions) (w matchWays, err error) {
	m, err := pattern.compile(o)
	if err != nil {
		return w, err
	}
	w = matchWays{matcher: m, index: newIndex([]*matcher{m})}
	if len(m.ways) == 1 && m.ways[0].segments != nil {
		x, err := newExpression(pattern.firstPath(), o)
		if e, ok := errors.AsType[*patternError](err); ok && e.expected == fmt.Sprintf(tooLarge, maxExpressionSize) {
			return w, nil // segments have room for more
		} else if err != nil {
			return w, fmt.Errorf("as a regular expression: %w", err)
		}
		w.expression = &matcher{ways: []way{{expression: x}}}
		w.expressionIndex = newIndex([]*matcher{w.expression})
	}
	return w, nil
}

// firstPath returns the path of a pattern with one.
func (p Pattern) firstPath() string {
	for p.source == sourceAnyOf {
		p = p.anyOf[0]
	}
	return p.path
}

// disagree returns how the verdicts on a path differ.
func (w matchWays) disagree(path string) error {
	params, n, ok, err := w.matcher.match(path, nil)
	c := w.index.candidates(path, 0)
	if c.next() != 0 && (ok || err != nil) {
		return errors.New("the index does not have it")
	}
	if w.expression == nil {
		return nil
	}
	params2, n2, ok2, err2 := w.expression.match(path, nil)
	if n != n2 || ok != ok2 || !slices.Equal(params, params2) || !reflect.DeepEqual(err, err2) {
		return fmt.Errorf("%v %d %t %v by segments, %v %d %t %v by regular expression",
			params, n, ok, err, params2, n2, ok2, err2)
	}
	c = w.expressionIndex.candidates(path, 0)
	if c.next() != 0 && (ok || err != nil) {
		return errors.New("the index does not have its regular expression")
	}
	return nil
}

func readRoutingVectors(t testing.TB) []vectorLine {
	t.Helper()
	file, err := os.Open("../testdata/routing/vectors.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var lines []vectorLine
	scanner := bufio.NewScanner(file)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		var line vectorLine
		if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
			t.Fatalf("%v in %.100s", err, scanner.Bytes())
		}
		lines = append(lines, line)
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

func vectorPattern(t testing.TB, raw json.RawMessage) Pattern {
	t.Helper()
	var path string
	var expression struct{ Regexp, Flags string }
	var list []json.RawMessage
	switch {
	case json.Unmarshal(raw, &path) == nil:
		return Path(path)
	case json.Unmarshal(raw, &list) == nil:
		var patterns []Pattern
		for _, item := range list {
			patterns = append(patterns, vectorPattern(t, item))
		}
		return AnyOf(patterns...)
	case json.Unmarshal(raw, &expression) == nil:
		source := expression.Regexp
		if expression.Flags != "" {
			source = "(?" + expression.Flags + ")" + source
		}
		return Regexp(regexp.MustCompile(source))
	}
	t.Fatalf("%s is not a pattern", raw)
	return Pattern{}
}

func vectorOptions(s string) matchOptions {
	return matchOptions{
		caseSensitive: strings.Contains(s, "c"),
		strict:        strings.Contains(s, "s"),
		end:           strings.Contains(s, "e"),
	}
}

// vectorResult matches and returns the result as encoding/json has it in the vectors.
func vectorResult(m *matcher, path string) any {
	params, n, ok, err := m.match(path, nil)
	if undecoded, ok := errors.AsType[*decodeError](err); ok {
		return undecoded.param
	}
	switch {
	case !ok:
		return nil
	case len(params) == 0:
		return []any{float64(n)}
	}
	object := map[string]any{}
	for _, p := range params {
		object[p.name] = p.value
	}
	return []any{float64(n), object}
}

func TestFoldRune(t *testing.T) {
	data, err := os.ReadFile("../testdata/routing/folding.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Folding map[string]string }
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if 0xD800 <= r && r <= 0xDFFF {
			continue
		}
		want := r
		if s, ok := file.Folding[string(r)]; ok {
			want = []rune(s)[0]
		}
		got := foldRune(r)
		if got != want && !unicode.Is(unicode.Cn, want) { // unless Go's version of Unicode lacks it
			t.Errorf("foldRune(%U) = %U, expected %U", r, got, want)
		}
		if again := foldRune(got); again != got {
			t.Errorf("foldRune(%U) = %U, which folds to %U", r, got, again)
		}
	}
}

func TestPatternString(t *testing.T) {
	re := regexp.MustCompile(`^/a\d`)
	for _, test := range []struct {
		pattern Pattern
		want    string
	}{
		{Pattern{}, ""},
		{Path("/users/:id?"), "/users/:id?"},
		{Regexp(re), `regexp(^/a\d)`},
		{Regexp(nil), "regexp(nil)"},
		{AnyOf(), "[]"},
		{AnyOf(Path("/a"), Regexp(re), AnyOf(Path("/b"))), `[/a regexp(^/a\d) [/b]]`},
	} {
		if got := test.pattern.String(); got != test.want {
			t.Errorf("got %q, expected %q", got, test.want)
		}
	}
}

func TestPatternErrors(t *testing.T) {
	for _, test := range []struct {
		pattern Pattern
		want    string
	}{
		{AnyOf(), `pattern []: expected at least one pattern`},
		{AnyOf(Path("/a"), AnyOf()), `pattern []: expected at least one pattern`},
		{Regexp(nil), `pattern regexp(nil): expected a regular expression`},
		{Path("/\xff"), `pattern "/\xff": expected valid UTF-8`},
		{Path(strings.Repeat("/a", 1025)), `pattern "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a"…: 2050 bytes long, expected at most 2048`},
		{Path("/a("), `pattern "/a(": at byte 3: expected a closing parenthesis`},
		{Path("/é)b"), `pattern "/é)b": at byte 3: expected an opening parenthesis before ")"`},
		{Path("/a++"), `pattern "/a++": at byte 3: expected something to repeat before '+'`},
		{Path("/:id/x(?=y)"), `pattern "/:id/x(?=y)": at byte 6: expected no lookahead or lookbehind`},
		{Path("/x(?!y)"), `pattern "/x(?!y)": at byte 2: expected no lookahead or lookbehind, except one that excludes text before a single character`},
		{Path("/:id((a)\\1)"), `pattern "/:id((a)\\1)": at byte 8: expected no backreference`},
		{Path("/:id([b-a])"), `pattern "/:id([b-a])": at byte 5: expected the ranges of the class to be in order`},
		{Path("/a[b"), `pattern "/a[b": at byte 2: expected a closing bracket`},
		{Path("/a{3,2}"), `pattern "/a{3,2}": at byte 2: expected the counts of the repetition to be in order`},
		{Path("/x(?<n>a)(?<n>b)"), `pattern "/x(?<n>a)(?<n>b)": at byte 9: expected "(?<name>" with a name of letters and digits that no other group has`},
		{Path("/x(a?)+"), `pattern "/x(a?)+": at byte 6: expected something to repeat that cannot match nothing`},
		{Path("/x(b|(a))+"), `pattern "/x(b|(a))+": at byte 9: expected something to repeat whose groups all take part in each round`},
		{Path("/x(?:-{40}){40}"), `pattern "/x(?:-{40}){40}": at byte 11: expected at most 1000 repetitions, also of what is repeated itself`},
		{Path("/x😀+"), `pattern "/x😀+": at byte 2: expected no repetition of a character beyond U+FFFF, of which JavaScript would repeat the second half`},
		{Path("/:a-😀[b😀]"), `pattern "/:a-😀[b😀]": at byte 10: expected no character beyond U+FFFF in a class, which JavaScript would read as two`},
		{Path("/" + strings.Repeat("*", 100)), `pattern "/` + strings.Repeat("*", 100) + `": at byte 0: expected at most 10000 characters after writing out its repetitions, counted once for each group`},
		{Path("/x(?!" + strings.Repeat("-{1000}", 3) + ")-"), `pattern "/x(?!-{1000}-{1000}-{1000})-": at byte 2: expected at most 2500 characters in texts before params`},
		{Path("/:a--:b\\b"), `pattern "/:a--:b\\b": at byte 0: expected no \b or \B together with a param after text of several characters`},
	} {
		_, err := test.pattern.compile(matchOptions{end: true})
		if err == nil || err.Error() != test.want {
			t.Errorf("%v: got %v, expected %s", test.pattern, err, test.want)
		}
	}
	if _, err := Path(`/a\`).compile(matchOptions{strict: true}); err == nil {
		t.Error(`/a\ compiled as a strict mount, in which it escapes what follows`)
	}
}

// TestMounts has what the vectors cannot: where protoo is stricter than Express.
func TestMounts(t *testing.T) {
	for _, test := range []struct {
		pattern Pattern
		path    string
		n       int
		ok      bool
	}{
		{Path("/"), "/a", 0, true},
		{Path("/a"), "/a/b", 2, true},
		{Path("/a"), "/a", 2, true},
		{Path("/a"), "/ab", 0, false},
		{Path("/a"), "/a//b", 3, true},
		{Regexp(regexp.MustCompile(`/b`)), "/a/b", 0, false},
		{Regexp(regexp.MustCompile(`/a`)), "/a/a", 2, true},
		{Regexp(regexp.MustCompile(`/a`)), "/a.b", 0, false},
		{Regexp(regexp.MustCompile(`/a|/ab`)), "/ab", 0, false},
		{Regexp(regexp.MustCompile(`x*`)), "/a", 0, true},
		{AnyOf(Regexp(regexp.MustCompile(`/a`)), Path("/ab")), "/ab", 3, true},
		{AnyOf(Path("/a/b"), Path("/a")), "/a/b", 4, true},
		{AnyOf(Path("/a"), Path("/a/b")), "/a/b", 2, true},
	} {
		m, err := test.pattern.compile(matchOptions{})
		if err != nil {
			t.Fatal(err)
		}
		params, n, ok, err := m.match(test.path, nil)
		if n != test.n || ok != test.ok || err != nil || len(params) > 0 {
			t.Errorf("%v %q: got %v %d %t %v, expected %d %t", test.pattern, test.path, params, n, ok, err, test.n, test.ok)
		}
	}
}

func TestMatchAppends(t *testing.T) {
	before := []param{{"a", "%41"}, {"b", "2"}}
	for _, pattern := range []Pattern{Path("/:a/:a"), Path("/:a(\\d+)/:a"), Path("*")} {
		m, err := pattern.compile(matchOptions{end: true})
		if err != nil {
			t.Fatal(err)
		}
		params, _, ok, err := m.match("/1/%32", before)
		if !ok || err != nil || len(params) != 3 || !slices.Equal(params[:2], before) {
			t.Errorf("%v: %v %t %v", pattern, params, ok, err)
		}
		if params, _, ok, err = m.match("/1/%zz", before); ok || !slices.Equal(params, before) || err == nil {
			t.Errorf("%v: %v %t %v", pattern, params, ok, err)
		}
	}
}

func TestDecodeParam(t *testing.T) {
	for _, test := range []struct {
		value, want string
		ok          bool
	}{
		{"", "", true},
		{"alice", "alice", true},
		{"é", "é", true},
		{"%41%2f%2F", "A//", true},
		{"a%20b", "a b", true},
		{"%C3%A9é", "éé", true},
		{"%F4%8F%BF%BF", "\U0010FFFF", true},
		{"%00", "\x00", true},
		{"+", "+", true},
		{"%", "", false},
		{"a%4", "", false},
		{"%4g", "", false},
		{"%-1", "", false},
		{"%C3", "", false},
		{"%C3é", "", false},
		{"%A9", "", false},
		{"%C0%AF", "", false},       // overlong
		{"%ED%A0%80", "", false},    // a surrogate
		{"%F4%90%80%80", "", false}, // beyond U+10FFFF
		{"\xff", "", false},         // not percent-encoded, but not UTF-8 either
		{"%41\xc3", "", false},      // nor this
		{"%C3\xa9", "é", true},      // the codec lets no such path through
		{"%61%62%6", "", false},     // cut off
		{strings.Repeat("%61", 682) + "%", "", false},
	} {
		got, ok := decodeParam(test.value)
		if ok != test.ok || ok && got != test.want {
			t.Errorf("%q: got %q %t, expected %q %t", test.value, got, ok, test.want, test.ok)
		}
	}
	long := &decodeError{"id", strings.Repeat("%zz", 600)}
	if s := long.Error(); len(s) > 200 {
		t.Errorf("an error of %d bytes: %s", len(s), s)
	}
}

// raceAllocs is how many allocations more the race detector causes.
var raceAllocs float64

func TestMatchAllocs(t *testing.T) {
	for _, test := range []struct {
		pattern, path string
		room          int // in the slice for the params
		want          float64
	}{
		{"/users", "/users", 0, 0},
		{"/Users/Online", "/uSERS/oNLINE/", 0, 0},
		{"/café", "/CAFÉ", 0, 0},
		{"/:username/:uuid?", "/alice/1234", 2, 0},
		{"/:username/:uuid?", "/alice/1234", 0, 1},
		{"/:username/:uuid?", "/alice/1234/more", 2, 0},
		{"/:username/:uuid?", "/al%20ice/1234", 2, 2}, // bytes and their string
		{"*", "/alice/1234", 1, 0},
	} {
		m, err := Path(test.pattern).compile(matchOptions{end: true})
		if err != nil {
			t.Fatal(err)
		}
		params := make([]param, 0, test.room)
		if got := testing.AllocsPerRun(100, func() { _, _, _, _ = m.match(test.path, params) }); got > test.want+raceAllocs {
			t.Errorf("%s %s: %v allocations, expected %v", test.pattern, test.path, got, test.want)
		}
	}
}
