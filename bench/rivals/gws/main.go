// Command gws answers protoo requests with the least that github.com/lxzan/gws needs for it: no
// router, no peers, no transactions. It is what protoo's cost per request is compared with.
package main

import (
	"log"
	"net/http"

	"github.com/lxzan/gws"

	"github.com/protoo-go/protoo/bench/rivals/internal/attend"
	"github.com/protoo-go/protoo/bench/rivals/internal/echo"
)

type handler struct{ gws.BuiltinEventHandler }

func (handler) OnMessage(c *gws.Conn, m *gws.Message) {
	defer m.Close()
	if response, ok := echo.Answer(m.Bytes()); ok {
		_ = c.WriteMessage(gws.OpcodeText, response)
	}
}

func main() {
	addr := attend.Address("127.0.0.1:8081")
	upgrader := gws.NewUpgrader(handler{}, &gws.ServerOption{SubProtocols: []string{"protoo"}})
	log.Fatal(http.ListenAndServe(addr, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r)
		if err != nil {
			return
		}
		go c.ReadLoop()
	})))
}
