// Package scaffold begins modules in the languages that there are libraries for, and builds them with the tools found on the
// machine.
package scaffold

import (
	"embed"
	"io/fs"
	"path"
	"strings"

	"github.com/protoo-go/protoo/wasmhost/guest"
)

//go:embed templates
var templates embed.FS

// A language is one that modules can be written in.
type language struct {
	name    string
	source  string // the pattern of a file that is in every project, and in none of the others
	library string // the folder of the library in [guest.Files]
	folder  string // where its files go in a project
	keep    func(file string) bool
	build   func(p *project) error
}

var languages = []*language{
	{name: "go", source: "go.mod", library: "go", folder: "guest", keep: inModule, build: buildGo},
	{name: "c", source: "*.c", library: "c", folder: ".", build: buildC},
	{name: "rust", source: "*.rs", library: "rust/src", folder: "protoo", build: buildRust},
	{name: "assemblyscript", source: "*.ts", library: "assemblyscript", folder: ".", build: buildAssemblyScript},
	{name: "zig", source: "*.zig", library: "zig", folder: ".", build: buildZig},
}

// Languages returns the names of the languages.
func Languages() []string {
	var names []string
	for _, l := range languages {
		names = append(names, l.name)
	}
	return names
}

// inModule tells whether a file of the library for Go is compiled into modules. The others need this repository.
func inModule(file string) bool {
	return !strings.HasSuffix(file, "_test.go") && file != "native.go"
}

// files returns the names and contents of the library's files, by their place in a project.
func (l *language) files() (map[string][]byte, error) {
	entries, err := guest.Files.ReadDir(l.library)
	if err != nil {
		return nil, err
	}
	files := make(map[string][]byte)
	for _, e := range entries {
		if e.IsDir() || l.keep != nil && !l.keep(e.Name()) {
			continue
		}
		content, err := fs.ReadFile(guest.Files, path.Join(l.library, e.Name()))
		if err != nil {
			return nil, err
		}
		files[path.Join(l.folder, e.Name())] = content
	}
	return files, nil
}
