package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/config"
)

func checkCommand() *command {
	s := new(settings)
	c := &command{
		name:    "check",
		summary: "find what is wrong with a configuration",
		details: `It reads what serve would read: the file, the environment and the flags. Every mistake is a line of
its own, with the place, the key, and what was expected. The exit code is 1 if there are any.`,
		flags: s.flags("check"),
	}
	c.run = func(_ context.Context, args []string, std streams) (int, error) {
		if err := c.arguments(args, 0); err != nil {
			return 0, err
		}
		cfg, err := s.load()
		if err == nil {
			if mistakes := verifyMiddleware(cfg); len(mistakes) > 0 {
				err = mistakes
			}
		}
		if mistakes, ok := errors.AsType[config.Mistakes](err); ok {
			for _, m := range mistakes {
				fmt.Fprintln(std.out, printable(m.Error()))
			}
			return exitFailure, nil
		}
		if err != nil {
			return 0, err
		}
		if cfg.File != "" {
			fmt.Fprintf(std.out, "%s: ", printable(cfg.File))
		}
		fmt.Fprintln(std.out, "ok")
		return exitOK, nil
	}
	return c
}

func printCommand() *command {
	s := new(settings)
	c := &command{
		name:    "print",
		summary: "print the configuration, and where each value comes from",
		details: `It reads what serve would read: the file, the environment and the flags. What it prints is a file
that means the same, but for secrets, which are masked.

Every setting is a key of the file, a variable PROTOO_KEY of the environment, and a flag --key. A flag overrides the
environment, and that the file. "protoo-edge print --defaults" explains all of them.`,
		flags: s.flags("print"),
	}
	defaults := c.flags.Bool("defaults", false, "print every setting with its default and what it is for")
	c.run = func(_ context.Context, args []string, std streams) (int, error) {
		if err := c.arguments(args, 0); err != nil {
			return 0, err
		}
		if *defaults {
			return exitOK, config.PrintDefaults(std.out)
		}
		cfg, err := s.load()
		if err != nil {
			return 0, err
		}
		return exitOK, cfg.Print(std.out)
	}
	return c
}

// verify finds what a configuration asks for and this machine does not have.
func verify(cfg *config.Config) config.Mistakes {
	var mistakes config.Mistakes
	if m, ok := verifyCertificate(cfg); !ok {
		mistakes = append(mistakes, m)
	}
	mistakes = append(mistakes, verifyIdentity(cfg)...)
	return append(mistakes, verifyAPI(cfg)...)
}
