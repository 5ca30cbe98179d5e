package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/config"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/spelling"
)

// Exit codes. The command call has more of them.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// A usageError is a mistake in the command line.
type usageError string

func (e usageError) Error() string { return string(e) }

// A command is one of the things that protoo-edge does.
type command struct {
	name    string
	args    string // what follows the name, for the usage
	summary string // one line
	details string // what "help NAME" says besides
	flags   *pflag.FlagSet
	// run does it, with the arguments that are not flags, and returns the exit code.
	run func(ctx context.Context, args []string, std streams) (int, error)
}

// streams are what a process reads from and writes to.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

func commands() []*command {
	all := []*command{serveCommand(), checkCommand(), printCommand(), callCommand(), healthCommand()}
	return append(append(all, wasmCommands()...), versionCommand())
}

// run executes a command line and returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	code, err := execute(ctx, args, streams{stdin, stdout, stderr})
	if err == nil {
		return code
	}
	if mistakes, ok := errors.AsType[config.Mistakes](err); ok {
		for _, m := range mistakes {
			fmt.Fprintf(stderr, "protoo-edge: %s\n", printable(m.Error()))
		}
		if mistakes.OnlyFlags() {
			return exitUsage
		}
		return exitFailure
	}
	fmt.Fprintf(stderr, "protoo-edge: %s\n", printable(err.Error()))
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	return exitFailure
}

func execute(ctx context.Context, args []string, std streams) (int, error) {
	all := commands()
	name := all[0].name
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		name, args = args[0], args[1:]
	} else if len(args) > 0 && (args[0] == "--help" || args[0] == "-h") {
		name, args = "help", nil
	}
	if name == "help" {
		return exitOK, help(all, args, std.out)
	}
	if name == wasmGroup && len(args) > 0 {
		if args[0] == "--help" || args[0] == "-h" {
			return exitOK, help(all, nil, std.out)
		}
		name, args = name+" "+args[0], args[1:]
	}
	c, err := find(all, name)
	if err != nil {
		return 0, err
	}
	c.flags.SetOutput(io.Discard)
	c.flags.Usage = func() {}
	switch err := c.flags.Parse(args); {
	case errors.Is(err, pflag.ErrHelp):
		return exitOK, help(all, []string{c.name}, std.out)
	case err != nil:
		return 0, flagError(c, err)
	}
	return c.run(ctx, c.flags.Args(), std)
}

func find(all []*command, name string) (*command, error) {
	i := slices.IndexFunc(all, func(c *command) bool { return c.name == name })
	if i >= 0 {
		return all[i], nil
	}
	if name == wasmGroup {
		return nil, usageError("wasm: missing what to do: new, build, check or run")
	}
	names := []string{"help"}
	for _, c := range all {
		names = append(names, c.name)
	}
	return nil, usageError(fmt.Sprintf("unknown command %q%s", name, suggestion("", spelling.Nearest(name, names), "protoo-edge help")))
}

// flagError says what is wrong with a flag in the words of this program.
func flagError(c *command, err error) error {
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok {
		return usageError(err.Error())
	}
	given := "--" + unknown.GetSpecifiedName()
	if group := unknown.GetSpecifiedShortnames(); group != "" {
		given = "-" + group
	}
	var names []string
	c.flags.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	near := spelling.Nearest(strings.TrimLeft(given, "-"), names)
	return usageError(fmt.Sprintf("unknown flag %s%s", given, suggestion("--", near, "protoo-edge help "+c.name)))
}

// suggestion ends a message about an unknown name.
func suggestion(prefix, near, helpCommand string) string {
	if near == "" {
		return fmt.Sprintf("; %q lists what there is", helpCommand)
	}
	return fmt.Sprintf("; did you mean %s%s?", prefix, near)
}

// arguments checks how many there are.
func (c *command) arguments(args []string, atMost int) error {
	if len(args) > atMost {
		return usageError(fmt.Sprintf("%s: unexpected argument %q", c.name, args[atMost]))
	}
	return nil
}
