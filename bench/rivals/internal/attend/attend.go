// Package attend has the servers do what whoever measures them asks for.
package attend

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
)

// Address reads the flags that all servers have, and returns where to listen.
func Address(usual string) string {
	addr := flag.String("addr", usual, "host:port to listen on")
	attended := flag.Bool("attended", false, "give back memory for each line on standard input, and end with it")
	flag.Parse()
	if *attended {
		go func() {
			serve(os.Stdin, os.Stdout)
			os.Exit(0)
		}()
	}
	return *addr
}

// serve answers each line with one, when what the program does not need has been given back.
func serve(in io.Reader, out io.Writer) {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		debug.FreeOSMemory()
		fmt.Fprintln(out, "{}")
	}
}
