package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/trial"
	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/wasmhost"
)

// runSettings are what can be chosen about a trial.
type runSettings struct {
	module         moduleSettings
	mount          string
	username, uuid string
	others         []string
	connect        bool
	timeout        time.Duration
}

func wasmRunCommand() *command {
	s := new(runSettings)
	f := pflag.NewFlagSet("wasm run", pflag.ContinueOnError)
	s.module.flags(f)
	f.StringVar(&s.mount, "mount", "/", "mount the module at this `path`")
	f.StringVar(&s.username, "username", "alice", "the request comes from user `name`")
	f.StringVar(&s.uuid, "uuid", "phone", "the request comes from the user's device `id`")
	f.StringArrayVar(&s.others, "peer", nil, "another peer is online, `NAME/DEVICE`, which answers every request with its data; may be given several times")
	f.BoolVar(&s.connect, "connect", false, "ask the module about a connection instead: JSON is an object with path, query, header, origin, remote, secure")
	f.DurationVar(&s.timeout, "timeout", 10*time.Second, "how long the final response may take")
	c := &command{
		name:    "wasm run",
		args:    "FILE JSON",
		summary: "show a module one request, and print what it does",
		details: `JSON is a request: {"path": "/hello"}, if wanted with method (message), data and id. @FILE reads it from a file and - from
the standard input. Behind the module a handler answers with 200 and the data. The exit code is 1 if the module fails, and
0 whatever it says to the request.

  protoo-edge wasm run hello/hello.wasm '{"path": "/hello"}'
  protoo-edge wasm run door.wasm --connect '{"query": {"token": ["alice:sesame"]}}'`,
		flags: f,
	}
	c.run = func(ctx context.Context, args []string, std streams) (int, error) {
		if err := c.arguments(args, 2); err != nil {
			return 0, err
		}
		file, err := c.readModule(args)
		if err != nil {
			return 0, err
		}
		if len(args) < 2 {
			return 0, usageError(`wasm run: missing the request, such as '{"path": "/hello"}'`)
		}
		text, err := readArgument(args[1], "wasm run: the request is", std.in)
		if err != nil {
			return 0, err
		}
		return s.try(ctx, file, text, std)
	}
	return c
}

// try shows a module what text says.
func (s *runSettings) try(ctx context.Context, file, text []byte, std streams) (int, error) {
	o, err := s.options(std)
	if err != nil {
		return 0, err
	}
	how := trial.Request
	if s.connect {
		how = trial.Connect
	}
	r, err := how(ctx, file, text, o)
	if r != nil {
		printTrial(std.out, r)
	}
	if err != nil {
		return 0, fmt.Errorf("wasm run: %w", err)
	}
	if _, failed := errors.AsType[*wasmhost.Error](r.Error); failed {
		return exitFailure, nil
	}
	return exitOK, nil
}

func (s *runSettings) options(std streams) (trial.Options, error) {
	o := trial.Options{Mount: s.mount, Peer: core.Identity{Username: s.username, UUID: s.uuid}, Timeout: s.timeout}
	for _, text := range s.others {
		name, device, ok := strings.Cut(text, "/")
		if !ok || name == "" || device == "" {
			return o, usageError(fmt.Sprintf("wasm run: --peer: expected NAME/DEVICE, got %q", text))
		}
		o.Others = append(o.Others, core.Identity{Username: name, UUID: device})
	}
	if !strings.HasPrefix(s.mount, "/") {
		return o, usageError(fmt.Sprintf("wasm run: --mount: expected a path, got %q", s.mount))
	}
	var err error
	o.Module, err = s.module.options(std)
	return o, err
}

// printTrial prints a result, a line for each thing that has happened.
func printTrial(w io.Writer, r *trial.Result) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-9s %s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	line("action", "%s", r.Action)
	if r.Error != nil {
		line("error", "%v", r.Error)
	}
	if p := r.Passed; p != nil {
		line("passed on", "%s %s %s", p.Method(), p.OriginalPath(), p.Data())
	}
	if id := r.Identity; id != nil {
		line("peer", "%s/%s %v", id.Username, id.UUID, id.Data)
	}
	for _, text := range r.Sent {
		line("sent", "%s", text)
	}
	for _, text := range r.Messages {
		line("response", "%s", text)
	}
	line("fuel", "%d", r.Fuel)
	levels := [...]string{"debug", "info", "warning", "error"}
	for _, e := range r.Log {
		line("log", "%s: %s", levels[min(int(e.Level), len(levels)-1)], e.Text)
	}
}
