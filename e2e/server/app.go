package main

import (
	"log/slog"
	"os"
	"time"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/middleware/messenger"
	"github.com/protoo-go/protoo/middleware/sessions"
)

// newApp has the paths of protoo-edge, and those that make something go wrong.
func newApp(grace time.Duration) *core.App {
	app := core.New(core.Options{
		GracePeriod: grace,
		// Requests outlive the half a minute in which both sides notice that a QUIC connection is cut.
		Timeout: func(string) time.Duration { return 5 * time.Minute },
	})
	logLives(app)
	app.Use("/echo", echo)
	app.Use("/users", messenger.New(app, messenger.Options{}).Handle)
	app.Use("/sessions", sessions.New(app, sessions.Options{}).Handle)
	app.Message("/close", closeWith)
	app.Message("/flood", flood)
	app.Message("/datagram", datagram)
	return app
}

// logLives tells the tests what the server has seen of its peers.
func logLives(app *core.App) {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	app.OnOnline(func(p *core.Peer) {
		log.Info("online", "peer", p, "conn", p.Conn())
		p.OnDisconnect(func(code int, reason string) {
			log.Info("disconnected", "peer", p, "code", code, "reason", reason)
		})
	})
}

// echo answers a request with its own data.
func echo(req *core.Request, _ core.Next) error { return req.Reply(200, "OK", req.Data()) }

// closeWith closes the asker's connection, without an answer.
func closeWith(req *core.Request, _ core.Next) error {
	var as struct {
		Code   int
		Reason string
	}
	if err := req.Bind(&as); err != nil {
		return err
	}
	return req.Peer().Close(as.Code, as.Reason)
}

// flood sends the asker requests until its queue is full.
func flood(req *core.Request, _ core.Next) error {
	const most = 10_000 // far more than windows and queues hold
	peer, data := req.Peer(), req.Data()
	for range most {
		if !peer.Connected() {
			return nil
		}
		peer.Send(core.NewRequest("message", "/flood", data))
	}
	return core.Error(500, "nothing was ever full")
}

// datagram sends the request's data back in a datagram.
func datagram(req *core.Request, _ core.Next) error {
	conn, ok := req.Peer().Conn().(interface{ SendDatagram(msg []byte) error })
	if !ok {
		return core.Error(501, "no datagrams here")
	}
	return conn.SendDatagram([]byte(`{"method":"message","path":"/datagram","id":"datagram","data":` + string(req.Data()) + `}`))
}
