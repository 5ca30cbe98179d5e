// Sizeprobe serves one peer, whose messages are the lines of standard input and
// of standard output. It is about the smallest program that needs all of core,
// and "make size" holds what it weighs as WebAssembly to a budget.
package main

import (
	"bufio"
	"fmt"
	"os"

	"github.com/protoo-go/protoo/core"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "sizeprobe:", err)
		os.Exit(1)
	}
}

func run() error {
	app := core.New(core.Options{})
	app.Use("/", func(req *core.Request, next core.Next) error {
		next()
		return nil
	})
	users := app.NewRouter(core.RouterOptions{})
	users.Message("/:username/:uuid", func(req *core.Request, _ core.Next) error {
		peer := app.Peer(req.Param("username"), req.Param("uuid"))
		if peer == nil {
			return core.Error(404, "peer not found")
		}
		core.Forward(req, peer)
		return nil
	})
	app.Use("/users", users.Handle)

	conn := &output{resumed: make(chan struct{}, 1)}
	link, err := app.Connect(core.Identity{Username: "alice", UUID: "1"}, conn)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	ended := make(chan struct{})
	var loop *core.Loop
	read := func() {
		for lines.Scan() {
			switch link.Receive(loop, lines.Bytes()) {
			case core.Pause:
				<-conn.resumed
			case core.Detached:
				return
			}
		}
		link.Closed(core.CloseNormal, "")
		close(ended)
	}
	loop = core.NewLoop(read)
	read()
	<-ended
	return lines.Err()
}

// output is a core.Conn that writes a line for each message.
type output struct{ resumed chan struct{} }

func (*output) Send(msg []byte) error {
	_, err := fmt.Printf("%s\n", msg)
	return err
}

func (*output) Close(int, string) error { return os.Stdin.Close() }

func (o *output) Resume() {
	select {
	case o.resumed <- struct{}{}:
	default:
	}
}

func (*output) String() string { return "stdio" }
