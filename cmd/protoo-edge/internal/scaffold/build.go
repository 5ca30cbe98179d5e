package scaffold

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/protoo-go/protoo/wasmhost"
)

// A project is a module that is being built.
type project struct {
	ctx     context.Context //nolint:containedctx // of one call of Build
	dir     string
	sources []string // what has the language's pattern, in dir
	scratch string   // a folder for what is made on the way
	out     string   // the file that is made, in scratch
	log     io.Writer
}

// Options say what a build makes of a module. The zero value works.
type Options struct {
	Output string             // the file that is written; by default NAME.wasm in the folder
	Key    ed25519.PrivateKey // signs the module, if there is one
	Log    io.Writer          // gets what the tools say, nobody by default
}

// Build builds the module in a folder, and returns the name of the file that it has written. Where the folder has
// a manifest.json it becomes part of the module.
func Build(ctx context.Context, dir string, o Options) (string, error) {
	l, sources, err := detect(dir)
	if err != nil {
		return "", err
	}
	out := o.Output
	if out == "" {
		name, err := moduleName(dir)
		if err != nil {
			return "", err
		}
		out = filepath.Join(dir, name+".wasm")
	}
	scratch, err := os.MkdirTemp("", "protoo-wasm-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(scratch) }() // what is left is the system's to clean up
	p := &project{ctx: ctx, dir: dir, sources: sources, scratch: scratch, out: filepath.Join(scratch, "module.wasm"), log: o.Log}
	if err := l.build(p); err != nil {
		return "", err
	}
	module, err := os.ReadFile(p.out)
	if err != nil {
		return "", err
	}
	if module, err = p.addManifest(module); err != nil {
		return "", err
	}
	if o.Key != nil {
		module = wasmhost.Sign(module, o.Key)
	}
	return out, replace(out, module)
}

// detect finds out which language the project in a folder is written in.
func detect(dir string) (*language, []string, error) {
	if _, err := os.ReadDir(dir); err != nil {
		return nil, nil, err
	}
	var patterns []string
	for _, l := range languages {
		sources, err := filepath.Glob(filepath.Join(filepath.Clean(dir), l.source))
		if err != nil {
			return nil, nil, err
		}
		if len(sources) > 0 {
			return l, sources, nil
		}
		patterns = append(patterns, l.source)
	}
	return nil, nil, fmt.Errorf("there is no module in %s, which would have a file %s", dir, strings.Join(patterns, ", "))
}

func (p *project) addManifest(module []byte) ([]byte, error) {
	name := filepath.Join(p.dir, "manifest.json")
	text, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return module, nil
	}
	if err != nil {
		return nil, err
	}
	m, err := wasmhost.ParseManifest(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return wasmhost.AppendManifest(module, m)
}

// replace writes a file in one step, so that a server that watches it never sees half of it.
func replace(name string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // err says what matters
	}
	return err
}

// tool returns the first of some programs that there is. Otherwise the error says how to get one.
func tool(install string, names ...string) (string, error) {
	for _, name := range names {
		if found, err := exec.LookPath(name); err == nil {
			return found, nil
		}
	}
	return "", fmt.Errorf("there is no %s here: %s", names[0], install)
}

// run runs a tool in the project's folder.
func (p *project) run(env []string, name string, args ...string) error {
	cmd := exec.CommandContext(p.ctx, name, args...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = p.log, p.log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(name), err)
	}
	return nil
}

// own returns the sources that are not the library.
func (p *project) own(library string) []string {
	return slices.DeleteFunc(p.inDir(), func(name string) bool { return name == library })
}

// inDir returns the project's sources relative to its folder, in which tools run.
func (p *project) inDir() []string {
	var names []string
	for _, s := range p.sources {
		names = append(names, filepath.Base(s))
	}
	return names
}
