package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"

	"github.com/protoo-go/protoo/wasmhost"
	"github.com/protoo-go/protoo/wasmhost/meter"
)

func wasmCheckCommand() *command {
	s := new(moduleSettings)
	c := &command{
		name:    "wasm check",
		args:    "FILE",
		summary: "find out what a module is, and whether a server would load it",
		details: `It prints the manifest, what the module imports and exports, and what it takes. Then it loads the module as a
server does, with the default limits: metered, compiled, an instance made, its self-test run. The exit code is 1 if that fails.`,
		flags: pflag.NewFlagSet("wasm check", pflag.ContinueOnError),
	}
	s.flags(c.flags)
	c.run = func(ctx context.Context, args []string, std streams) (int, error) {
		if err := c.arguments(args, 1); err != nil {
			return 0, err
		}
		file, err := c.readModule(args)
		if err != nil {
			return 0, err
		}
		o, err := s.options(std)
		if err != nil {
			return 0, err
		}
		return exitOK, checkModule(ctx, file, o, std.out)
	}
	return c
}

// checkModule prints what there is to know about a module.
func checkModule(ctx context.Context, file []byte, o wasmhost.ModuleOptions, w io.Writer) error {
	metered, err := meter.Meter(file, meter.Options{})
	if err != nil {
		return fmt.Errorf("wasm check: it cannot be metered: %w", err)
	}
	info := &metered.Info
	fmt.Fprintf(w, "size      %d bytes, %d when metered; %d functions\n", len(file), len(metered.Code), info.Functions)
	for _, m := range info.Memories {
		fmt.Fprintf(w, "memory    %d KiB at first\n", m.Min*64)
	}
	for _, i := range info.Imports {
		fmt.Fprintf(w, "import    %s\n", printable(i.Module+"."+i.Name))
	}
	for _, e := range info.Exports {
		fmt.Fprintf(w, "export    %v %s\n", e.Kind, printable(e.Name))
	}
	host, err := wasmhost.New(wasmhost.Options{OnLog: func(e wasmhost.LogEntry) { fmt.Fprintf(w, "log       %s\n", printable(e.Text)) }})
	if err != nil {
		return err
	}
	defer func() { _ = host.Close() }() // nobody else closes it
	module, err := host.Load(ctx, file, o)
	if err != nil {
		return fmt.Errorf("wasm check: it cannot be loaded: %w", err)
	}
	m := module.Manifest()
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "manifest  %s\n", printable(string(text)))
	fmt.Fprintf(w, "grants    %s\n", needed(m.Capabilities))
	fmt.Fprintf(w, "fuel      %d for an instance\n", module.Stats().Fuel)
	fmt.Fprintln(w, "ok")
	return nil
}

// needed writes capabilities as a configuration does.
func needed(capabilities []wasmhost.Capability) string {
	names := make([]string, len(capabilities))
	for i, c := range capabilities {
		names[i] = string(c)
	}
	return "[" + strings.Join(names, ", ") + "]"
}
