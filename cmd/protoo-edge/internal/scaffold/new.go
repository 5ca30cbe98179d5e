package scaffold

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"
)

// nameOf is what a folder may be called: the module gets its name, in the source text of any language.
var nameOf = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// New begins a module in a folder, which must not exist or be empty, and returns the files that it has made. The folder's name
// is the module's.
func New(languageName, dir string) ([]string, error) {
	i := slices.IndexFunc(languages, func(l *language) bool { return l.name == languageName })
	if i < 0 {
		return nil, fmt.Errorf("language %q is not known, want one of %s", languageName, strings.Join(Languages(), ", "))
	}
	l := languages[i]
	name, err := moduleName(dir)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if len(entries) > 0 {
		return nil, fmt.Errorf("%s is not empty", dir)
	}
	files, err := l.files()
	if err != nil {
		return nil, err
	}
	if err := l.fill(files, name); err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(files))
	for i, name := range names {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			return nil, err
		}
		if err := os.WriteFile(file, files[name], 0o600); err != nil {
			return nil, err
		}
		names[i] = file
	}
	return names, nil
}

// moduleName returns the name that a folder gives its module.
func moduleName(dir string) (string, error) {
	full, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	name := filepath.Base(full)
	if !nameOf.MatchString(name) {
		return "", fmt.Errorf("%q is no name for a module: use a letter from a to z and then letters, digits and _", name)
	}
	return name, nil
}

// fill adds what the templates of the language make.
func (l *language) fill(files map[string][]byte, name string) error {
	dir := "templates/" + l.name
	entries, err := templates.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		t, err := template.ParseFS(templates, path.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		var text bytes.Buffer
		if err := t.Execute(&text, struct{ Name string }{name}); err != nil {
			return err
		}
		files[strings.Replace(strings.TrimSuffix(e.Name(), ".tmpl"), "NAME", name, 1)] = text.Bytes()
	}
	return nil
}
