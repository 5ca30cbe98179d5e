package config

import "strings"

// A Setting is one thing that can be chosen.
type Setting struct {
	// Key names it in the file; a dot stands for a level of indentation.
	Key string
	// Doc says what it is for, in lines of a comment.
	Doc string
	// Live settings are applied by a reload, the others by a restart.
	Live bool
	// Secret values are never shown, and not taken from the command line, which everybody on the machine can read.
	Secret bool
	// Common settings are listed in the help of the commands.
	Common bool
	// Origin says where the value comes from.
	Origin Origin

	value
}

// Flag returns the name of the flag, without the dashes, or "" if there is none.
func (s *Setting) Flag() string {
	if s.Secret || s.setNode != nil {
		return ""
	}
	return strings.NewReplacer(".", "-", "_", "-").Replace(s.Key)
}

// Env returns the name of the environment variable, or "" if there is none.
func (s *Setting) Env() string {
	if s.setNode != nil {
		return ""
	}
	return envPrefix + strings.ToUpper(strings.ReplaceAll(s.Key, ".", "_"))
}

// Kind returns one word for what the value is: "duration", "size".
func (s *Setting) Kind() string { return s.kind }

// IsSwitch tells whether the value is true or false.
func (s *Setting) IsSwitch() bool { return s.kind == kindSwitch }

// Text returns the value as it can be written in the file; that of a secret is masked.
func (s *Setting) Text() string {
	if s.Secret && s.show() != "" {
		return mask
	}
	return s.show()
}

const (
	envPrefix = "PROTOO_"
	mask      = "********"
)

// set assigns text and returns what is wrong with it, or "".
func (s *Setting) set(text string, from Origin) string {
	if !s.parse(text) {
		return s.problem(quote(text))
	}
	s.Origin = from
	return ""
}

// problem says what was expected; got describes what there is instead.
func (s *Setting) problem(got string) string {
	if s.Secret {
		got = "something else"
	}
	return "expected " + s.expects + ", got " + got
}
