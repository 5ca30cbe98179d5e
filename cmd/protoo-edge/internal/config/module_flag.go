package config

import (
	"slices"
	"strings"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/spelling"
)

// ModuleFlag is the flag that mounts a module in front of the rest of the stack. It can be given several times.
const ModuleFlag = "wasm"

// ModuleFlagSyntax is what stands behind it: [parseModule] reads that.
const ModuleFlagSyntax = "PATH=FILE[,GRANT...][,KEY=VALUE...]"

// parseModule reads an entry as it is on the command line. What follows the file are capabilities, "connect", and the other
// keys of an entry with their values. It returns what is wrong with the text, or "".
func parseModule(text string) (m *Middleware, problem string) {
	m = newMiddleware("wasm")
	path, rest, ok := strings.Cut(text, "=")
	file, rest, _ := strings.Cut(rest, ",")
	if !ok || file == "" {
		return m, "expected " + ModuleFlagSyntax + ", such as /rooms=limiter.wasm,kv,log,on_error=skip, got " + quote(text)
	}
	for _, v := range []struct{ key, text string }{{"path", path}, {"file", file}} {
		if problem := find(m.settings, v.key).set(v.text, Origin{}); problem != "" {
			return m, v.key + ": " + problem
		}
	}
	given := make(map[string]bool)
	for word := ""; rest != ""; {
		word, rest, _ = strings.Cut(rest, ",")
		key, text, hasValue := strings.Cut(word, "=")
		if key == "settings" && hasValue && rest != "" { // commas are part of it
			text, rest = text+","+rest, ""
		}
		switch {
		case word == "":
			continue
		case given[key]:
			return m, key + ": given twice"
		case hasValue:
			problem = m.setKey(key, text)
		default:
			problem = m.grant(word)
		}
		if problem != "" {
			return m, problem
		}
		given[key] = true
	}
	return m, ""
}

// setKey sets what can be chosen about a module behind its path and file.
func (m *Middleware) setKey(key, text string) (problem string) {
	others := slices.DeleteFunc(slices.Clone(m.settings), func(s *Setting) bool { return slices.Contains([]string{"path", "file", "grants"}, s.Key) })
	s, below := lookUp(others, key)
	switch {
	case below:
		all := slices.DeleteFunc(keys(others), func(k string) bool { return !strings.HasPrefix(k, key+".") })
		return key + ": expected a key below it: " + strings.Join(all, ", ")
	case s == nil:
		near := suggest(others, "", key, "")
		if near == "" {
			near = "; expected " + strings.Join(keys(others), ", ")
		}
		return "unknown key " + quote(key) + near
	case s.setNode == nil:
		problem = s.set(text, Origin{})
	default:
		problem = s.setSection(text)
	}
	if problem != "" {
		return key + ": " + problem
	}
	return ""
}

// grant takes a word without a value, which is a capability or "connect".
func (m *Middleware) grant(word string) (problem string) {
	switch s, _ := lookUp(m.settings, word); {
	case word == "connect":
		m.Wasm.Connect = true
	case isCapability(word):
		m.Wasm.Grants = append(m.Wasm.Grants, word)
	case s != nil:
		return word + ": " + s.problem("nothing")
	default:
		near := spelling.Nearest(word, slices.Concat(Capabilities, keys(m.settings)))
		return "expected a grant (" + strings.Join(Capabilities, ", ") + "), connect, or KEY=VALUE, got " + quote(word) + didYouMean(near)
	}
	return ""
}

// setSection assigns a section that is written on one line, in braces, as a file can have it too.
func (s *Setting) setSection(text string) (problem string) {
	if !strings.HasPrefix(text, "{") {
		return "expected " + s.expects + " in braces, such as {a: 1, b: text}, got " + quote(text)
	}
	n, mistakes := parseYAML([]byte(text))
	var r reader
	if len(mistakes) == 0 {
		s.setNode(n, &r, s.Key)
		mistakes = r.mistakes
	}
	if len(mistakes) == 0 {
		return ""
	}
	if key := strings.TrimPrefix(mistakes[0].Key, s.Key+"."); key != "" {
		return key + ": " + mistakes[0].Problem
	}
	return mistakes[0].Problem
}
