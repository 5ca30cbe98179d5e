package main

import (
	"context"
	"log/slog"
	"os/signal"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/config"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/systemd"
)

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

WebAssembly modules stand in front of these, or where the file puts them: --wasm /rooms=limiter.wasm,kv mounts one that may
use the store; "connect" behind the file lets it decide who may connect, and on_error=skip, limits.fuel=1000000 or
settings={a: 1} are keys of an entry of the file.

Every setting is a key of the file, a variable PROTOO_KEY of the environment, and a flag --key, each overriding the one
before. The flags below are the usual ones; "protoo-edge print --defaults" explains all settings.

SIGHUP reads the file again: what can be applied is, what needs a restart is logged, and a file with a mistake changes
nothing. SIGTERM closes the clients little by little with 1012, so that they come back at an even rate and have their answers: see the
settings of drain. An interrupt (Ctrl-C) closes them at once with 1001. Both end with exit code 0; a second signal ends at once.`,
		flags: s.flags("serve"),
	}
	c.run = func(ctx context.Context, args []string, std streams) (int, error) {
		if err := c.arguments(args, 0); err != nil {
			return 0, err
		}
		cfg, err := s.load()
		if err != nil {
			return 0, err
		}
		log, level := newLogger(std.err, cfg)
		return exitOK, serve(ctx, cfg, s.load, std, log, level)
	}
	return c
}

// serve serves until ctx ends. load reads the configuration again.
func serve(ctx context.Context, cfg *config.Config, load func() (*config.Config, error), std streams, log *slog.Logger, level *slog.LevelVar) error {
	s, err := newServer(cfg, log, level)
	if err != nil {
		return err
	}
	defer s.close()
	addrs, err := s.listen()
	if err != nil {
		return err
	}
	setGCPercent(cfg.Memory.GCPercent)
	if cfg.Memory.ReleaseWhenIdle {
		go releaseWhenIdle(ctx)
	}
	hangups := s.hangups()
	defer signal.Stop(hangups)
	if s.modules.Len() > 0 {
		s.modules.Watch(cfg.Wasm.CheckInterval)
	}
	s.announce(std.out, addrs)
	s.fetchCertificates()
	s.api.announce(std.out)
	s.notify(systemd.Ready)
	return s.run(ctx, hangups, load)
}
