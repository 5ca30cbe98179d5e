// Command gobwas answers protoo requests with the least that github.com/gobwas/ws and its package wsutil need for it: no
// router, no peers, no transactions.
package main

import (
	"log"
	"net"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/protoo-go/protoo/bench/rivals/internal/attend"
	"github.com/protoo-go/protoo/bench/rivals/internal/echo"
)

// The upgrade without net/http is what the documentation advises for many connections.
var upgrader = ws.Upgrader{Protocol: func(name []byte) bool { return string(name) == "protoo" }}

func serve(c net.Conn) {
	defer c.Close()
	if _, err := upgrader.Upgrade(c); err != nil {
		return
	}
	for {
		msg, op, err := wsutil.ReadClientData(c)
		if err != nil {
			return
		}
		response, ok := echo.Answer(msg)
		if !ok || wsutil.WriteServerMessage(c, op, response) != nil {
			return
		}
	}
}

func main() {
	addr := attend.Address("127.0.0.1:8086")
	l, err := net.Listen("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go serve(c)
	}
}
