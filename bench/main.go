// Command bench measures what requests and peers cost over each of protoo's transports, on the machine at hand.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// What was measured is written when the terminal is closed, too, unless that was to be ignored, as nohup has it.
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		ends = append(ends, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	context.AfterFunc(ctx, stop)                            // a second Ctrl-C ends the program at once
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // writing to a pipe that nobody reads is an error and not the end
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
