// Command gorilla answers protoo requests with the least that github.com/gorilla/websocket needs for it: no
// router, no peers, no transactions.
package main

import (
	"log"
	"net/http"
	"sync"

	"github.com/gorilla/websocket"

	"github.com/protoo-go/protoo/bench/rivals/internal/attend"
	"github.com/protoo-go/protoo/bench/rivals/internal/echo"
)

// Small buffers, and a pool for those that are written from, are what the documentation advises for many connections.
var upgrader = websocket.Upgrader{
	Subprotocols:    []string{"protoo"},
	ReadBufferSize:  1024,
	WriteBufferSize: 1024,
	WriteBufferPool: new(sync.Pool),
}

func serve(w http.ResponseWriter, r *http.Request) {
	c, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	go func() { // so that the handler's stack and buffers can go
		defer c.Close()
		for {
			_, msg, err := c.ReadMessage()
			if err != nil {
				return
			}
			response, ok := echo.Answer(msg)
			if !ok || c.WriteMessage(websocket.TextMessage, response) != nil {
				return
			}
		}
	}()
}

func main() {
	addr := attend.Address("127.0.0.1:8085")
	log.Fatal(http.ListenAndServe(addr, http.HandlerFunc(serve)))
}
