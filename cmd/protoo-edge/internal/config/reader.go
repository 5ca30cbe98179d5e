package config

import (
	"encoding/json"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/spelling"
)

// reader assigns what a file says to settings, and collects what is wrong with it.
type reader struct {
	file     string
	mistakes Mistakes
}

func (r *reader) origin(n *node) Origin { return Origin{File: r.file, Line: n.line, Column: n.column} }

func (r *reader) mistake(n *node, key, problem string) {
	r.mistakes = append(r.mistakes, Mistake{r.origin(n), key, problem})
}

// section reads a mapping whose keys, behind prefix, are those of settings. Settings are named relative to the
// file's outermost level, or to that of an entry, in which case prefix also names the entry.
func (r *reader) section(n *node, prefix string, settings []*Setting) {
	r.level(n, prefix, "", settings)
}

func (r *reader) level(n *node, prefix, path string, settings []*Setting) {
	lines := make(map[string]int)
	for _, p := range n.pairs {
		key := path + p.key.text
		if line, twice := lines[key]; twice {
			r.mistake(p.key, prefix+key, "given twice, first in line "+strconv.Itoa(line))
			continue
		}
		lines[key] = p.key.line
		s, below := lookUp(settings, key)
		if strings.Contains(p.key.text, ".") { // a path of keys is no key
			s, below = nil, false
		}
		switch {
		case s != nil:
			r.assign(s, p.value, prefix)
		case !below:
			r.mistake(p.key, prefix+key, "unknown key"+suggest(settings, path, key, prefix))
		case p.value.kind == mapping:
			r.level(p.value, prefix, key+".", settings)
		case p.value.kind != nothing: // a section whose lines are all comments is fine
			r.mistake(p.value, prefix+key, "expected a section with keys below it, got "+describe(p.value))
		}
	}
}

// lookUp returns the setting with a key, and whether there are any below it.
func lookUp(settings []*Setting, key string) (s *Setting, below bool) {
	for _, s := range settings {
		if s.Key == key {
			return s, false
		}
		below = below || strings.HasPrefix(s.Key, key+".")
	}
	return nil, below
}

func (r *reader) assign(s *Setting, n *node, prefix string) {
	from := r.origin(n)
	switch {
	case s.setNode != nil:
		want := sequence
		if s.kind == "section" {
			want = mapping
		}
		if n.kind != want {
			r.mistake(n, prefix+s.Key, s.problem(describe(n)))
			return
		}
		s.Origin = from
		s.setNode(n, r, prefix+s.Key)
	case n.kind == scalar:
		text := n.text
		if s.isPath && text != "" && !filepath.IsAbs(text) {
			text = filepath.Join(filepath.Dir(r.file), text)
		}
		if problem := s.set(text, from); problem != "" {
			r.mistake(n, prefix+s.Key, problem)
		}
	case n.kind == sequence && s.setList != nil:
		s.Origin = from
		r.assignList(s, n, prefix)
	default:
		r.mistake(n, prefix+s.Key, s.problem(describe(n)))
	}
}

func (r *reader) assignList(s *Setting, n *node, prefix string) {
	var texts []string
	for _, item := range n.items {
		if item.kind != scalar || !s.setList([]string{item.text}) {
			r.mistake(item, prefix+s.Key, s.problem(describe(item)))
			continue
		}
		texts = append(texts, item.text)
	}
	s.setList(texts)
}

func describe(n *node) string {
	if n.kind == scalar {
		return quote(n.text)
	}
	return n.kind.String()
}

// suggest ends a message about a key that does not exist: with the nearest one at its level, with the same
// one, or nearly so, at another, or with how to write a path of keys.
func suggest(settings []*Setting, path, key, prefix string) string {
	name := strings.TrimPrefix(key, path)
	var here, lasts []string
	full := make(map[string]string) // of the last part of a key
	for _, s := range settings {
		if s.Key == name && strings.Contains(name, ".") {
			section, rest, _ := strings.Cut(name, ".")
			return "; write it as a section: \"" + section + ":\", and indented below it \"" + rest + ":\""
		}
		if rest, ok := strings.CutPrefix(s.Key, path); ok {
			sibling, _, _ := strings.Cut(rest, ".")
			here = append(here, sibling)
		}
		last := s.Key[strings.LastIndexByte(s.Key, '.')+1:]
		if _, taken := full[last]; !taken {
			full[last] = s.Key
			lasts = append(lasts, last)
		}
	}
	if near := spelling.Nearest(name, here); near != "" {
		return didYouMean(prefix + path + near)
	}
	if near := spelling.Nearest(name, lasts); near != "" {
		return didYouMean(prefix + full[near])
	}
	if near := spelling.Nearest(name, keys(settings)); near != "" {
		return didYouMean(prefix + near)
	}
	return ""
}

func keys(settings []*Setting) []string {
	names := make([]string, len(settings))
	for i, s := range settings {
		names[i] = s.Key
	}
	return names
}

func didYouMean(name string) string {
	if name == "" {
		return ""
	}
	return "; did you mean " + name + "?"
}

// duplicates finds keys that are given twice in what is not read as settings.
func (r *reader) duplicates(n *node, prefix string) {
	lines := make(map[string]int)
	for _, p := range n.pairs {
		if line, twice := lines[p.key.text]; twice {
			r.mistake(p.key, prefix+p.key.text, "given twice, first in line "+strconv.Itoa(line))
		}
		lines[p.key.text] = p.key.line
		r.duplicates(p.value, prefix+p.key.text+".")
	}
	for _, item := range n.items {
		r.duplicates(item, prefix)
	}
}

// json returns a node as JSON. Plain scalars that JSON also has are numbers, booleans and null, all others
// are strings.
func (n *node) json() []byte {
	text, err := json.Marshal(n.any())
	if err != nil { // the values come from text that is valid UTF-8
		return []byte("null")
	}
	return text
}

func (n *node) any() any {
	switch n.kind {
	case mapping:
		m := make(map[string]any, len(n.pairs))
		for _, p := range n.pairs {
			m[p.key.text] = p.value.any()
		}
		return m
	case sequence:
		items := make([]any, len(n.items))
		for i, item := range n.items {
			items[i] = item.any()
		}
		return items
	case scalar:
		if !n.quoted && json.Valid([]byte(n.text)) {
			return json.RawMessage(n.text)
		}
		return n.text
	}
	return nil
}
