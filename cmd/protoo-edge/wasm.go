package main

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/scaffold"
	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/wasmhost"
)

// wasmGroup begins the names of the commands for those who write modules.
const wasmGroup = "wasm"

func wasmCommands() []*command {
	return []*command{wasmNewCommand(), wasmBuildCommand(), wasmCheckCommand(), wasmRunCommand()}
}

func wasmNewCommand() *command {
	c := &command{
		name:    "wasm new",
		args:    strings.Join(scaffold.Languages(), "|") + " FOLDER",
		summary: "begin a module",
		details: `It makes the folder, whose name is the module's, with a module that greets and the library for its language.
Nothing is fetched from anywhere.`,
		flags: pflag.NewFlagSet("wasm new", pflag.ContinueOnError),
	}
	c.run = func(_ context.Context, args []string, std streams) (int, error) {
		if err := c.arguments(args, 2); err != nil {
			return 0, err
		}
		if len(args) < 2 {
			return 0, usageError("wasm new: missing the language and the folder, such as go hello")
		}
		files, err := scaffold.New(args[0], args[1])
		if err != nil {
			return 0, fmt.Errorf("wasm new: %w", err)
		}
		for _, f := range files {
			fmt.Fprintln(std.out, printable(f))
		}
		return exitOK, nil
	}
	return c
}

func wasmBuildCommand() *command {
	c := &command{
		name:    "wasm build",
		args:    "[FOLDER]",
		summary: "build a module with the tools that are found here",
		details: `The folder is the current one by default, and its files say which language it is. The module is FOLDER/FOLDER.wasm, which
is replaced in one step, so that a server that serves it takes the new one over. A file manifest.json becomes part of it.`,
		flags: pflag.NewFlagSet("wasm build", pflag.ContinueOnError),
	}
	out := c.flags.StringP("output", "o", "", "write the module to this `file`")
	key := c.flags.String("key", "", "sign the module with the Ed25519 key in this `file`, in PEM, as \"openssl genpkey -algorithm ed25519\" makes it")
	c.run = func(ctx context.Context, args []string, std streams) (int, error) {
		if err := c.arguments(args, 1); err != nil {
			return 0, err
		}
		dir := "."
		if len(args) == 1 {
			dir = args[0]
		}
		o := scaffold.Options{Output: *out, Log: std.err}
		if *key != "" {
			var err error
			if o.Key, err = readKey(*key); err != nil {
				return 0, fmt.Errorf("wasm build: %w", err)
			}
		}
		file, err := scaffold.Build(ctx, dir, o)
		if err != nil {
			return 0, fmt.Errorf("wasm build: %w", err)
		}
		info, err := os.Stat(file)
		if err != nil {
			return 0, err
		}
		fmt.Fprintf(std.out, "%s: %d bytes\n", printable(file), info.Size())
		return exitOK, nil
	}
	return c
}

// readKey reads an Ed25519 key in PKCS #8 (RFC 8410).
func readKey(name string) (ed25519.PrivateKey, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s is not PEM", name)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s has a key that is not for Ed25519", name)
	}
	return key, nil
}

// moduleSettings are what the commands that load a module can be told of it.
type moduleSettings struct {
	grants   []string
	settings string
}

func (s *moduleSettings) flags(f *pflag.FlagSet) {
	f.StringSliceVar(&s.grants, "grant", nil, "let the module use this `capability`, as a configuration would (default: what it asks for)")
	f.StringVar(&s.settings, "settings", "", "what the module is told of its configuration: `JSON`, or @FILE")
}

// options are those with which a file is loaded. A module gets what it asks for unless it is said what it gets.
func (s *moduleSettings) options(std streams) (wasmhost.ModuleOptions, error) {
	o := wasmhost.ModuleOptions{Grants: wasmhost.Capabilities()}
	if s.grants != nil {
		o.Grants = nil
		for _, g := range s.grants {
			o.Grants = append(o.Grants, wasmhost.Capability(g))
		}
	}
	if s.settings != "" {
		text, err := readArgument(s.settings, "the settings are", std.in)
		if err != nil {
			return o, err
		}
		o.Settings = core.JSON(text)
	}
	return o, nil
}

// readArgument returns the JSON that an argument stands for: @FILE and - as in the command call.
func readArgument(arg, what string, stdin io.Reader) ([]byte, error) {
	text, from := []byte(arg), stdin
	if name, ok := strings.CutPrefix(arg, "@"); ok {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from = f
	}
	if arg == "-" || arg != "" && arg[0] == '@' {
		var err error
		if text, err = io.ReadAll(io.LimitReader(from, maxData)); err != nil {
			return nil, err
		}
	}
	if !json.Valid(text) {
		return nil, usageError(what + " not JSON")
	}
	return text, nil
}

// readModule reads the file that a command's first argument names.
func (c *command) readModule(args []string) ([]byte, error) {
	if len(args) == 0 {
		return nil, usageError(c.name + ": missing the module's file")
	}
	return os.ReadFile(args[0])
}
