package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/websocket"
)

// shutdownTimeout bounds the time between a signal and the end of the process. It leaves silent
// clients the time that the transport gives them to answer a close frame.
const shutdownTimeout = 8 * time.Second

func serveCommand() *command {
	s := new(settings)
	c := &command{
		name:    "serve",
		summary: "serve clients until interrupted",
		details: `WebSocket clients connect to / or /protoo and name themselves in ?username=&uuid=. They are
believed, which is for development only. They reach each other on these paths:

  /users/NAME/DEVICE?     message requests go to the devices of a user
  /sessions/NAME/DEVICE   session requests set up a call with a device
  /presence               presence requests tell who of some users is online
  /echo                   any request is answered with its own data

An interrupt (Ctrl-C) or SIGTERM disconnects the clients with 1001 and ends with exit code 0;
a second one ends at once.`,
		flags: s.flags(),
	}
	c.run = func(ctx context.Context, args []string, std streams) (int, error) {
		if err := c.arguments(args, 0); err != nil {
			return 0, err
		}
		if err := s.check(); err != nil {
			return 0, err
		}
		return exitOK, serve(ctx, *s, std.out, slog.New(slog.NewTextHandler(std.err, &slog.HandlerOptions{Level: s.LogLevel.Level})))
	}
	return c
}

// serve serves until ctx ends.
func serve(ctx context.Context, s settings, out io.Writer, log *slog.Logger) error {
	app := newApp(s, log)
	ws := websocket.New(app, developmentIdentity, websocket.Options{})
	app.Attach(ws)
	server := &http.Server{
		Handler:           newHandler(ws),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	listener, err := net.Listen("tcp", s.Addr)
	if err != nil {
		return fmt.Errorf("%w; --addr chooses another address", err)
	}
	manageMemory(ctx)
	announce(out, listener.Addr())
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return errors.Join(err, shutDown(app, server, log))
	case <-ctx.Done():
		log.Info("shutting down", "peers", app.Stats().Peers)
		return shutDown(app, server, log)
	}
}

func announce(out io.Writer, addr net.Addr) {
	fmt.Fprintf(out, `protoo-edge %s, listening on http://%[2]s
connect to ws://%[2]s/protoo?username=NAME&uuid=DEVICE with the subprotocol protoo
development identity: clients are whoever they say they are; not for networks with strangers
`, core.Version, addr)
}

// shutDown disconnects everybody and stops the server.
func shutDown(app *core.App, server *http.Server, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	closed := make(chan error, 1)
	go func() { closed <- app.Close(true) }()
	err := server.Shutdown(ctx)
	if err == nil {
		select {
		case err = <-closed:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		log.Warn("some connections have not ended in time", "time", shutdownTimeout)
		return server.Close()
	}
	return err
}
