package core

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzPattern lets any pattern meet any path: no panic, errors that name the
// pattern, and the same verdict by segments, by regular expression and from the
// index.
func FuzzPattern(f *testing.F) {
	for i, line := range readRoutingVectors(f) {
		if pattern := vectorPattern(f, line.Pattern); pattern.source == sourcePath && i%10 == 0 {
			f.Add(pattern.path, line.matchingPath(), byte(i))
		}
	}
	f.Fuzz(func(t *testing.T, path, requested string, options byte) {
		o := fuzzOptions(options)
		if len(requested) > maxPatternLen {
			return
		}
		ways, err := newWays(Path(path), o)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "pattern ") {
				t.Errorf("error %q does not name the pattern", err)
			}
			return
		}
		params, n, ok, err := ways.matcher.match(requested, nil)
		if ok && err != nil || !ok && (n != 0 || len(params) > 0) {
			t.Errorf("%v %d %t %v", params, n, ok, err)
		}
		if n < 0 || n > len(requested) || ok && !o.end && !atBoundary(requested, n) {
			t.Errorf("%d bytes matched", n)
		}
		names := map[string]bool{}
		for _, p := range params {
			if names[p.name] || !utf8.ValidString(p.value) {
				t.Errorf("param %+v of %v", p, params)
			}
			names[p.name] = true
		}
		if utf8.ValidString(requested) {
			if err := ways.disagree(requested); err != nil {
				t.Error(err)
			}
		}
	})
}

// matchingPath returns a path that matches a vector's pattern, if it has one.
func (line vectorLine) matchingPath() string {
	for _, path := range slices.Sorted(maps.Keys(line.Paths)) {
		if line.Paths[path] != nil && len(path) < 64 {
			return path
		}
	}
	return "/"
}

// FuzzIndex compares the index with asking every layer of a stack.
func FuzzIndex(f *testing.F) {
	f.Add("\x01/a\n\x00/\n\x03/:x/\n\x01/:x?/b\n\n\x01/a/:id(\\d+)?\n\x00~b\n\x01|/a /:x/b", "/a/b", byte(1))
	f.Add("\x01/:username/:uuid?\n\x01*\n\x00/a*\n\x01/a//b\n\x01//\n\x03/x?/y?/", "/a//", byte(0))
	f.Add("\x01/É\n\x05/k\n\x01/a/É/:x\n\x01/a/(b)?\n\x00/a+/b", "/a/é/k", byte(0))
	f.Fuzz(func(t *testing.T, stack, path string, from byte) {
		lines := strings.Split(stack, "\n")
		if len(lines) > 50 || len(path) > maxPatternLen {
			return
		}
		var layers []*matcher
		for _, line := range lines {
			layers = append(layers, fuzzLayer(line))
		}
		list := listCandidates(newIndex(layers), path, int(from))
		for i, layer := range list {
			if layer < int(from) || layer >= len(layers) || i > 0 && layer <= list[i-1] {
				t.Fatalf("candidates %v of %d from %d", list, len(layers), from)
			}
		}
		for i, m := range layers {
			if i < int(from) || slices.Contains(list, i) {
				continue
			}
			if m == nil {
				t.Errorf("layer %d is for every path, but no candidate for %q", i, path)
			} else if _, _, ok, err := m.match(path, nil); ok || err != nil {
				t.Errorf("layer %d (%q) matches %q, but is no candidate", i, lines[i], path)
			}
		}
	})
}

// fuzzLayer makes a layer of a byte of options and a pattern: a path, a regular
// expression after "~", or several paths after "|". It returns nil for what
// does not compile.
func fuzzLayer(line string) *matcher {
	if line == "" {
		return nil
	}
	pattern := Path(line[1:])
	if expression, ok := strings.CutPrefix(line[1:], "~"); ok {
		re, err := regexp.Compile(expression)
		if err != nil {
			return nil
		}
		pattern = Regexp(re)
	} else if list, ok := strings.CutPrefix(line[1:], "|"); ok {
		pattern = AnyOf(paths(strings.Fields(list)...)...)
	}
	m, err := pattern.compile(fuzzOptions(line[0]))
	if err != nil {
		return nil
	}
	return m
}

func fuzzOptions(b byte) matchOptions {
	return matchOptions{end: b&1 != 0, strict: b&2 != 0, caseSensitive: b&4 != 0}
}
