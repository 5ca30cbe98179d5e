package config

import (
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// Print writes the configuration as a file that means the same, but for secrets, which are masked. Behind each value
// stands where it comes from.
func (c *Config) Print(w io.Writer) error {
	var b strings.Builder
	writeSettings(&b, c.settings, "", func(s *Setting, _ string) (above, behind string) {
		return "", s.Origin.String()
	})
	_, err := io.WriteString(w, b.String())
	return err
}

// PrintDefaults writes a file with every setting, what it is for and its default.
func PrintDefaults(w io.Writer) error {
	var b strings.Builder
	b.WriteString(`# Every setting of protoo-edge with its default. Leave out what need not differ.
# A variable of the environment overrides the file, and a flag overrides both.
# A restart applies what has changed, and SIGHUP that of which it is said.
`)
	writeSettings(&b, New().settings, "", func(s *Setting, indent string) (above, behind string) {
		var lines strings.Builder
		for line := range strings.Lines(strings.TrimSpace(s.Doc)) {
			lines.WriteString(indent + "# " + strings.TrimSpace(line) + "\n")
		}
		facts := []string{"Expected: " + s.expects + "."}
		if s.Live {
			facts = append(facts, "Applied by SIGHUP.")
		}
		lines.WriteString(indent + "# " + strings.Join(facts, " ") + "\n")
		if s.Key == "middleware" {
			describeUses(&lines)
		}
		var ways []string
		if s.Env() != "" {
			ways = append(ways, s.Env())
		}
		if s.Flag() != "" {
			ways = append(ways, "--"+s.Flag())
		}
		if len(ways) > 0 {
			lines.WriteString(indent + "# " + strings.Join(ways, ", ") + "\n")
		}
		return lines.String(), ""
	})
	_, err := io.WriteString(w, b.String())
	return err
}

// describeUses lists what the entries of the stack can have.
func describeUses(b *strings.Builder) {
	for _, use := range Uses() {
		var entry strings.Builder
		entry.WriteString("- use: " + use + "\n")
		writeSettings(&entry, newMiddleware(use).settings, "  ", func(s *Setting, _ string) (above, behind string) {
			return "", s.expects
		})
		b.WriteString("#\n")
		for line := range strings.Lines(entry.String()) {
			if strings.TrimSpace(line) != "" {
				b.WriteString("# " + line)
			}
		}
	}
}

// writeSettings writes settings, whose dots become levels of indentation. note says what stands above each and
// behind it, as a comment; nil says nothing.
func writeSettings(b *strings.Builder, settings []*Setting, indent string, note func(s *Setting, indent string) (above, behind string)) {
	var open []string // the sections that the last line was in
	spacious := false // the last line had something above it
	for _, s := range settings {
		parts := strings.Split(s.Key, ".")
		sections, name := parts[:len(parts)-1], parts[len(parts)-1]
		common := 0
		for common < len(open) && common < len(sections) && open[common] == sections[common] {
			common++
		}
		apart := note != nil && b.Len() > 0
		for i := common; i < len(sections); i++ {
			if apart {
				b.WriteByte('\n')
				apart = false
			}
			b.WriteString(indent + strings.Repeat("  ", i) + sections[i] + ":\n")
		}
		if apart && (spacious || len(sections) < len(open)) {
			b.WriteByte('\n')
		}
		open = sections
		at := indent + strings.Repeat("  ", len(sections))
		above, behind := "", ""
		if note != nil {
			above, behind = note(s, at)
		}
		spacious = above != ""
		if behind != "" {
			behind = "  # " + behind
		}
		b.WriteString(above)
		switch {
		case s.kind == "section":
			fmt.Fprintf(b, "%s%s: %s%s\n", at, name, s.show(), behind)
		case s.setNode != nil && s.show() == "":
			fmt.Fprintf(b, "%s%s: []%s\n", at, name, behind)
		case s.setNode != nil:
			fmt.Fprintf(b, "%s%s:%s\n%s", at, name, behind, s.show())
		default:
			fmt.Fprintf(b, "%s%s: %s%s\n", at, name, s.yaml(), behind)
		}
	}
}

// writeEntry writes one entry of the stack.
func writeEntry(b *strings.Builder, m *Middleware) {
	b.WriteString("  - use: " + m.Use + "\n")
	writeSettings(b, m.chosen(), "    ", nil)
}

// yaml returns the value as a scalar or a list on one line.
func (s *Setting) yaml() string {
	if s.list == nil || s.Secret && s.show() != "" {
		return yamlText(s.Text())
	}
	var items []string
	for _, item := range s.list() {
		items = append(items, yamlText(item))
	}
	return "[" + strings.Join(items, ", ") + "]"
}

// plain is text that YAML takes as it is, also inside of brackets.
var plain = regexp.MustCompile(`^[A-Za-z0-9/.][A-Za-z0-9/._@+%~=:-]*$`)

func yamlText(s string) string {
	if plain.MatchString(s) && !strings.HasSuffix(s, ":") && s != "null" && s != "~" {
		return s
	}
	return strconv.Quote(s) // of printable text, in which Go's escapes are YAML's as well
}
