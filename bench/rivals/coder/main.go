// Command coder answers protoo requests with the least that github.com/coder/websocket needs for it: no
// router, no peers, no transactions.
package main

import (
	"context"
	"log"
	"net/http"

	"github.com/coder/websocket"

	"github.com/protoo-go/protoo/bench/rivals/internal/attend"
	"github.com/protoo-go/protoo/bench/rivals/internal/echo"
)

func serve(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"protoo"}})
	if err != nil {
		return
	}
	defer c.CloseNow()
	ctx := context.Background() // one that can end costs a goroutine's wake-up for each message
	for {
		_, msg, err := c.Read(ctx)
		if err != nil {
			return
		}
		response, ok := echo.Answer(msg)
		if !ok || c.Write(ctx, websocket.MessageText, response) != nil {
			return
		}
	}
}

func main() {
	addr := attend.Address("127.0.0.1:8084")
	log.Fatal(http.ListenAndServe(addr, http.HandlerFunc(serve)))
}
