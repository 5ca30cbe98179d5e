package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/pflag"

	"github.com/protoo-go/protoo/core"
)

// commit is what a release was built from: -ldflags "-X main.commit=...". What go build writes into a program by itself depends on the
// folder, and the same commit is to give the same program everywhere.
var commit string

func versionCommand() *command {
	c := &command{
		name:    "version",
		summary: "print the versions of protoo-edge and Go, and the commit it was built from",
		flags:   pflag.NewFlagSet("version", pflag.ContinueOnError),
	}
	c.run = func(_ context.Context, args []string, std streams) (int, error) {
		if err := c.arguments(args, 0); err != nil {
			return 0, err
		}
		info, _ := debug.ReadBuildInfo()
		printVersion(std.out, info)
		return exitOK, nil
	}
	return c
}

func printVersion(w io.Writer, info *debug.BuildInfo) {
	commit, date, state := commit, "", ""
	if info != nil {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				commit = cmp.Or(commit, s.Value)
			case "vcs.time":
				date = " of " + s.Value
			case "vcs.modified":
				if s.Value == "true" {
					state = ", with changes"
				}
			}
		}
	}
	if commit == "" {
		commit = "unknown"
	}
	fmt.Fprintf(w, "protoo-edge %s\n%s %s/%s\ncommit %s%s%s\n",
		core.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH, commit, date, state)
}
