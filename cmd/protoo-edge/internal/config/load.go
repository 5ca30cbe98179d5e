package config

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/spelling"
)

// Sources are what a configuration is read from, in rising precedence.
type Sources struct {
	File    string   // YAML; "" for none
	Environ []string // as os.Environ returns it
	Flags   []Flag   // as they came on the command line
}

// A Flag is a setting on the command line, or one of the modules that [ModuleFlag] mounts.
type Flag struct{ Name, Text string }

// Load reads a configuration. Whatever is wrong with it is in the error, which is of type Mistakes unless the
// file cannot be read at all.
func Load(from Sources) (*Config, error) {
	var text []byte
	if from.File != "" {
		f, err := os.Open(from.File)
		if err != nil {
			return nil, fmt.Errorf("configuration: %w", err)
		}
		defer f.Close()
		if text, err = io.ReadAll(io.LimitReader(f, maxFile+1)); err != nil {
			return nil, fmt.Errorf("configuration: %w", err)
		}
	}
	return load(from, text)
}

// load is Load with the text of the file.
func load(from Sources, text []byte) (*Config, error) {
	c := New()
	c.File = from.File
	mistakes := c.readFile(from.File, text)
	mistakes = append(mistakes, c.readEnv(from.Environ)...)
	mistakes = append(mistakes, c.readFlags(from.Flags)...)
	c.finish()
	// What a value means is looked at only where all have been understood.
	if len(mistakes) == 0 {
		mistakes = c.check()
	}
	if len(mistakes) > 0 {
		return nil, mistakes.sorted()
	}
	return c, nil
}

func (c *Config) readFile(name string, text []byte) Mistakes {
	root, mistakes := parseYAML(text)
	for i := range mistakes {
		mistakes[i].Origin.File = name
	}
	if len(mistakes) > 0 {
		return mistakes
	}
	r := &reader{file: name}
	r.section(root, "", c.settings)
	return r.mistakes
}

func (c *Config) readEnv(environ []string) Mistakes {
	var mistakes Mistakes
	known := make(map[string]*Setting)
	var names []string
	for _, s := range c.settings {
		if name := s.Env(); name != "" {
			known[name] = s
			names = append(names, name)
		}
	}
	for _, variable := range environ {
		name, text, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, envPrefix) || text == "" || foreign.MatchString(name) {
			continue
		}
		from := Origin{Env: name}
		s := known[name]
		if s == nil {
			near := spelling.Nearest(name, names)
			mistakes = append(mistakes, Mistake{from, "", "no such setting" + didYouMean(near)})
			continue
		}
		if problem := s.set(text, from); problem != "" {
			mistakes = append(mistakes, Mistake{from, s.Key, problem})
		}
	}
	return mistakes
}

// FileEnv is the variable that names the file.
const FileEnv = envPrefix + "CONFIG"

// foreign are variables that have our prefix and are not about settings: those that name the program itself,
// and those that Kubernetes gives to every container beside a service called protoo or protoo-edge.
var foreign = regexp.MustCompile(`^` + envPrefix + `(CONFIG|EDGE(_.*)?|SERVICE_(HOST|PORT)(_.*)?|PORT(_.*)?)$`)

func (c *Config) readFlags(flags []Flag) Mistakes {
	var mistakes Mistakes
	known := make(map[string]*Setting)
	for _, s := range c.settings {
		known[s.Flag()] = s
	}
	var modules []*Middleware
	for _, f := range flags {
		from := Origin{Flag: f.Name}
		if f.Name == ModuleFlag {
			m, problem := parseModule(f.Text)
			if problem != "" {
				mistakes = append(mistakes, Mistake{from, "middleware", problem})
			}
			m.Origin = from
			modules = append(modules, m)
			continue
		}
		if problem := known[f.Name].set(f.Text, from); problem != "" {
			mistakes = append(mistakes, Mistake{from, known[f.Name].Key, problem})
		}
	}
	if len(modules) > 0 {
		c.Middleware = append(modules, c.Middleware...)
		c.find("middleware").Origin = Origin{Flag: ModuleFlag}
	}
	return mistakes
}
