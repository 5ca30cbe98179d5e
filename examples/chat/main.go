// Chat lets two people write to each other, in memory: alice from her phone, and bob, who is online
// with a phone and a laptop.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/url"
	"os"

	"github.com/protoo-go/protoo/client"
	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/middleware/messenger"
	"github.com/protoo-go/protoo/transports/memory"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer) error {
	app := core.New(core.Options{})
	app.Use("/users", messenger.New(app, messenger.Options{}).Handle)
	transport := memory.New(app, accept, memory.Options{})
	app.Attach(transport)
	defer app.Close(true)

	phone, laptop := make(chan string, 1), make(chan string, 1)
	for uuid, inbox := range map[string]chan string{"phone": phone, "laptop": laptop} {
		bob, err := connect(ctx, transport, "bob", uuid, func(sender, text string) string {
			inbox <- sender + ": " + text
			return "seen on the " + uuid
		})
		if err != nil {
			return err
		}
		defer bob.Close(0, "")
	}
	alice, err := connect(ctx, transport, "alice", "phone", nil)
	if err != nil {
		return err
	}
	defer alice.Close(0, "")

	// To all of bob's devices: the server answers.
	res, err := alice.Request(ctx, "message", "/users/bob", "Hi Bob!")
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "server:", res.Reason())
	fmt.Fprintln(out, "bob's phone shows", <-phone)
	fmt.Fprintln(out, "bob's laptop shows", <-laptop)

	// To one of them: that device answers.
	res, err = alice.Request(ctx, "message", "/users/bob/laptop", "Are you at your desk?")
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "bob's laptop shows", <-laptop)
	fmt.Fprintln(out, "bob's laptop:", res.Reason())

	// To nobody.
	_, err = alice.Request(ctx, "message", "/users/carol", "Hi Carol!")
	fmt.Fprintln(out, "server:", err)
	return nil
}

// accept believes what a client says about itself.
func accept(r *core.ConnectRequest) (core.Identity, error) {
	return core.Identity{Username: r.QueryValue("username"), UUID: r.QueryValue("uuid")}, nil
}

// connect brings a client online that answers the messages it receives with what read returns.
func connect(ctx context.Context, t *memory.Transport, username, uuid string, read func(sender, text string) string) (*client.Client, error) {
	return client.Dial(ctx, "memory:", client.Options{
		Dial: func(ctx context.Context, _ string) (client.Conn, error) {
			query := url.Values{"username": {username}, "uuid": {uuid}}
			return t.Dial(ctx, core.ConnectRequest{Query: query})
		},
		Routes: func(app *core.App) {
			app.Message("*", func(req *core.Request, _ core.Next) error {
				var text string
				if err := req.Bind(&text); err != nil {
					return err
				}
				var sender struct{ Username string }
				if err := req.Sender().Bind(&sender); err != nil {
					return err
				}
				return req.Reply(200, read(sender.Username, text))
			})
		},
	})
}
