// Hello is a whole server: peers connect to it over WebSocket, greet it, and send each other messages.
package main

import (
	"log"
	"net/http"
	"time"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/middleware/messenger"
	"github.com/protoo-go/protoo/transports/websocket"
)

func main() {
	server := &http.Server{
		Addr:              "127.0.0.1:8080",
		Handler:           newHandler(),
		ReadHeaderTimeout: 5 * time.Second,
	}
	log.Print("connect to ws://127.0.0.1:8080/?username=alice&uuid=phone")
	log.Fatal(server.ListenAndServe())
}

func newHandler() *websocket.Server {
	app := core.New(core.Options{})
	app.Message("/hello", func(req *core.Request, _ core.Next) error {
		return req.Reply(200, "OK", "Hello, "+req.Peer().Username()+"!")
	})
	app.Use("/users", messenger.New(app, messenger.Options{}).Handle)
	return websocket.New(app, accept, websocket.Options{})
}

// accept believes what a client says about itself. A real one asks for a password, a cookie or a token.
func accept(r *core.ConnectRequest) (core.Identity, error) {
	id := core.Identity{Username: r.QueryValue("username"), UUID: r.QueryValue("uuid")}
	if id.Username == "" || id.UUID == "" {
		return id, core.Reject(400, "username or uuid is missing")
	}
	return id, nil
}
