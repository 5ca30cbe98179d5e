// Command gws answers protoo requests with the least that github.com/lxzan/gws needs for it: no
// router, no peers, no transactions. It is what protoo's cost per request is compared with.
package main

import (
	"encoding/json"
	"flag"
	"log"
	"net/http"

	"github.com/lxzan/gws"
)

type handler struct{ gws.BuiltinEventHandler }

func (handler) OnMessage(c *gws.Conn, m *gws.Message) {
	defer m.Close()
	var req struct {
		ID   json.RawMessage `json:"id"`
		Data json.RawMessage `json:"data"`
	}
	if json.Unmarshal(m.Bytes(), &req) != nil {
		return
	}
	out := make([]byte, 0, len(req.Data)+64)
	out = append(out, `{"status":200,"reason":"OK","id":`...)
	out = append(out, req.ID...)
	out = append(out, `,"data":`...)
	out = append(out, req.Data...)
	_ = c.WriteMessage(gws.OpcodeText, append(out, '}'))
}

func main() {
	addr := flag.String("addr", "127.0.0.1:8081", "host:port to listen on")
	flag.Parse()
	upgrader := gws.NewUpgrader(handler{}, &gws.ServerOption{SubProtocols: []string{"protoo"}})
	log.Fatal(http.ListenAndServe(*addr, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r)
		if err != nil {
			return
		}
		go c.ReadLoop()
	})))
}
