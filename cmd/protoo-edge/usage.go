package main

import (
	"fmt"
	"io"
	"strings"
)

// help prints what the program does, or what the command named by args does.
func help(all []*command, args []string, w io.Writer) error {
	if len(args) == 0 {
		fmt.Fprint(w, "protoo-edge connects protoo clients with each other.\n\nCommands:\n")
		for _, c := range all {
			fmt.Fprintf(w, "  %-10s %s\n", c.name, c.summary)
		}
		fmt.Fprintf(w, "  %-10s say more about a command\n", "help")
		fmt.Fprintf(w, "\nWithout a command it is %q, and its flags may be given: protoo-edge --addr 127.0.0.1:9000\n", all[0].name)
		return nil
	}
	c, err := find(all, strings.Join(args[:min(len(args), words(args[0]))], " "))
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "protoo-edge %s\n\n%s\n", strings.TrimSpace(c.name+" "+c.args), sentence(c.summary))
	if c.details != "" {
		fmt.Fprintf(w, "\n%s\n", c.details)
	}
	if c.flags.HasFlags() {
		fmt.Fprintf(w, "\nFlags:\n%s", c.flags.FlagUsagesWrapped(110))
	}
	return nil
}

// words returns how many there are in the name of a command that begins with this one.
func words(first string) int {
	if first == wasmGroup {
		return 2
	}
	return 1
}

func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] + "." }
