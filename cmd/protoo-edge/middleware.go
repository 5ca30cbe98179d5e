package main

import (
	"fmt"
	"log/slog"
	"slices"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/config"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/modules"
	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/middleware/messenger"
	"github.com/protoo-go/protoo/middleware/presence"
	"github.com/protoo-go/protoo/middleware/sessions"
)

// A builder makes the handler of an entry of the configuration's middleware.
type builder func(*stack, *config.Middleware) (core.Handler, error)

// stack is what is being built.
type stack struct {
	app       *core.App
	modules   *modules.Set
	outgoing  *outgoing
	bounds    *bounds
	listeners []*modules.Module // that decide about connections, the first one first
}

// builders are the kinds of middleware that this program has, by the name under which they are used.
var builders = map[string]builder{
	"messenger": func(s *stack, m *config.Middleware) (core.Handler, error) {
		return messenger.New(s.app, m.Messenger).Handle, nil
	},
	"sessions": func(s *stack, m *config.Middleware) (core.Handler, error) {
		return sessions.New(s.app, m.Sessions).Handle, nil
	},
	"presence": func(s *stack, m *config.Middleware) (core.Handler, error) {
		return presence.New(s.app, m.Presence).Handle, nil
	},
	"echo":  func(*stack, *config.Middleware) (core.Handler, error) { return echo, nil },
	"limit": func(s *stack, m *config.Middleware) (core.Handler, error) { return s.bounds.rule(m), nil },
	"http":  func(s *stack, m *config.Middleware) (core.Handler, error) { return s.outgoing.forward(m), nil },
	"wasm": func(s *stack, m *config.Middleware) (core.Handler, error) {
		module, err := s.modules.Load(m)
		if err != nil {
			return nil, err
		}
		if m.Wasm.Connect {
			s.listeners = append(s.listeners, module)
		}
		return module.Handle, nil
	},
}

// echo answers a request with its own data.
func echo(req *core.Request, _ core.Next) error { return req.Reply(200, "OK", req.Data()) }

// mount builds the stack in the order of the configuration. What cannot be built is a mistake in that.
func (s *stack) mount(entries []*config.Middleware) config.Mistakes {
	var mistakes config.Mistakes
	for i, m := range entries {
		h, err := builders[m.Use](s, m)
		if err != nil {
			mistakes = append(mistakes, config.Mistake{Origin: m.Origin, Key: fmt.Sprintf("middleware[%d]", i), Problem: err.Error()})
			continue
		}
		s.app.Use(m.Path, h)
	}
	return mistakes
}

// accept puts the modules that decide about connections in front of who does so otherwise.
func (s *stack) accept(behind core.Accept) core.Accept {
	for _, m := range slices.Backward(s.listeners) {
		behind = m.Accept(behind)
	}
	return behind
}

// verifyMiddleware finds entries that cannot be built, by building them. They serve nobody.
func verifyMiddleware(cfg *config.Config) config.Mistakes {
	app := core.New(core.Options{})
	defer func() { _ = app.Close(true) }() // has no transports
	set, err := modules.New(cfg, app, slog.New(slog.DiscardHandler))
	if err != nil {
		return config.Mistakes{cfg.Mistake("wasm.cache", err.Error())}
	}
	defer set.Close()
	out, err := newOutgoing(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return config.Mistakes{cfg.Mistake("webhooks.secrets", err.Error())}
	}
	within := newBounds(app, cfg, slog.New(slog.DiscardHandler))
	return (&stack{app: app, modules: set, outgoing: out, bounds: within}).mount(cfg.Middleware)
}
