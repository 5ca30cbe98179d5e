package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// An Origin says where a value comes from. The zero value stands for the default.
type Origin struct {
	File         string
	Line, Column int
	Env          string
	Flag         string
}

func (o Origin) String() string {
	switch {
	case o.Line > 0:
		return o.File + ":" + strconv.Itoa(o.Line)
	case o.File != "":
		return o.File
	case o.Env != "":
		return "env " + o.Env
	case o.Flag != "":
		return "flag --" + o.Flag
	}
	return "default"
}

// rank orders origins as they override each other.
func (o Origin) rank() int {
	switch {
	case o.File != "":
		return 1
	case o.Env != "":
		return 2
	case o.Flag != "":
		return 3
	}
	return 0
}

// A Mistake is one thing that is wrong with a configuration.
type Mistake struct {
	Origin  Origin
	Key     string // "" if it is about no key
	Problem string // what was expected, and what there is
}

// Error returns one line: where, the key, and the problem. Places in a file are written as compilers do.
func (m Mistake) Error() string {
	var parts []string
	switch o := m.Origin; {
	case o.Line > 0:
		parts = append(parts, fmt.Sprintf("%s:%d:%d", o.File, o.Line, o.Column))
	case o.File != "":
		parts = append(parts, o.File)
	case o.Env != "":
		parts = append(parts, o.Env)
	case o.Flag != "":
		parts = append(parts, "--"+o.Flag)
	}
	if m.Key != "" && (m.Origin.Env == "" && m.Origin.Flag == "") {
		parts = append(parts, m.Key)
	}
	return strings.Join(append(parts, m.Problem), ": ")
}

// Mistakes are all that is wrong with a configuration, in the order of the file, the environment and the flags.
type Mistakes []Mistake

func (m Mistakes) Error() string {
	lines := make([]string, len(m))
	for i := range m {
		lines[i] = m[i].Error()
	}
	return strings.Join(lines, "\n")
}

// OnlyFlags tells whether all of them are on the command line.
func (m Mistakes) OnlyFlags() bool {
	return !slices.ContainsFunc(m, func(m Mistake) bool { return m.Origin.Flag == "" })
}

func (m Mistakes) sorted() Mistakes {
	slices.SortStableFunc(m, func(a, b Mistake) int {
		return cmp.Or(
			cmp.Compare(a.Origin.rank(), b.Origin.rank()),
			cmp.Compare(a.Origin.Line, b.Origin.Line),
			cmp.Compare(a.Origin.Column, b.Origin.Column),
		)
	})
	return m
}

// cut shortens what somebody wrote where it gets long.
func cut(s string, most int) string {
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}

// quote shows what somebody wrote.
func quote(s string) string { return strconv.Quote(cut(s, 64)) }
