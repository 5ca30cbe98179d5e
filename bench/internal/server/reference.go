package server

import (
	"encoding/json"
	"io"
	"net"
	"net/http"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// serveReference is what all figures are divided by before those of different days are compared. It is the
// plainest server for the job, a goroutine for each connection, gobwas/ws with its own helpers, encoding/json, and has nothing of
// ours in it. Whoever makes it faster makes all that was measured before worthless.
func serveReference(host string) (*server, error) {
	return serveHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		upgrader := ws.HTTPUpgrader{Protocol: func(name string) bool { return name == "protoo" }}
		conn, _, _, err := upgrader.Upgrade(r, w)
		if err != nil {
			return
		}
		go echo(conn)
	}), io.NopCloser(nil), host, nil)
}

func echo(conn net.Conn) {
	defer conn.Close()
	for {
		msg, err := wsutil.ReadClientText(conn)
		if err != nil {
			return
		}
		var request struct {
			ID   json.RawMessage `json:"id"`
			Data json.RawMessage `json:"data"`
		}
		if json.Unmarshal(msg, &request) != nil {
			return
		}
		response, err := json.Marshal(struct {
			Status int             `json:"status"`
			Reason string          `json:"reason"`
			ID     json.RawMessage `json:"id"`
			Data   json.RawMessage `json:"data"`
		}{200, "OK", request.ID, request.Data})
		if err != nil || wsutil.WriteServerText(conn, response) != nil {
			return
		}
	}
}
