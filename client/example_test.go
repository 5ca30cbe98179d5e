package client_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"
	"strings"

	"github.com/protoo-go/protoo/client"
	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/websocket"
)

func Example() {
	// A server that asks everybody who comes, and tells the time.
	asked := make(chan *core.Transaction, 1)
	app := core.New(core.Options{})
	app.OnOnline(func(p *core.Peer) { asked <- p.Send(core.NewRequest("message", "/", "How are you?")) })
	app.Message("/time", func(req *core.Request, _ core.Next) error {
		res, err := (<-asked).Wait(req.Context())
		if err != nil {
			return err
		}
		return req.Reply(200, "OK", "noon, and you are "+res.Reason())
	})
	ws := websocket.New(app, func(r *core.ConnectRequest) (core.Identity, error) {
		return core.Identity{Username: r.QueryValue("username"), UUID: r.QueryValue("uuid")}, nil
	}, websocket.Options{})
	server := httptest.NewServer(ws)
	defer server.Close()
	defer ws.Close()

	url := "ws" + strings.TrimPrefix(server.URL, "http") + "/?username=alice&uuid=phone"
	if err := askForTheTime(context.Background(), url); err != nil {
		log.Fatal(err)
	}
	// Output:
	// asked "How are you?"
	// it is "noon, and you are fine"
}

func askForTheTime(ctx context.Context, url string) error {
	c, err := client.Dial(ctx, url, client.Options{
		Routes: func(app *core.App) {
			app.Message("*", func(req *core.Request, next core.Next) error {
				fmt.Println("asked", req.Data())
				return req.Reply(200, "fine")
			})
		},
	})
	if err != nil {
		return err
	}
	defer c.Close(0, "")

	res, err := c.Request(ctx, "message", "/time", nil)
	if err != nil {
		return err // 404 and the like are a *client.Error
	}
	fmt.Println("it is", res.Data())
	return nil
}
