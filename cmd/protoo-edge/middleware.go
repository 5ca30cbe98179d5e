package main

import (
	"fmt"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/config"
	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/middleware/messenger"
	"github.com/protoo-go/protoo/middleware/presence"
	"github.com/protoo-go/protoo/middleware/sessions"
)

// A builder makes the handler of an entry of the configuration's middleware.
type builder func(*core.App, *config.Middleware) (core.Handler, error)

// builders are the kinds of middleware that this program has, by the name under which they are used.
var builders = map[string]builder{
	"messenger": func(app *core.App, m *config.Middleware) (core.Handler, error) {
		return messenger.New(app, m.Messenger).Handle, nil
	},
	"sessions": func(app *core.App, m *config.Middleware) (core.Handler, error) {
		return sessions.New(app, m.Sessions).Handle, nil
	},
	"presence": func(app *core.App, m *config.Middleware) (core.Handler, error) {
		return presence.New(app, m.Presence).Handle, nil
	},
	"echo": func(*core.App, *config.Middleware) (core.Handler, error) { return echo, nil },
}

// echo answers a request with its own data.
func echo(req *core.Request, _ core.Next) error { return req.Reply(200, "OK", req.Data()) }

// mount builds the stack in the order of the configuration.
func mount(app *core.App, stack []*config.Middleware) error {
	for i, m := range stack {
		h, err := builders[m.Use](app, m)
		if err != nil {
			return fmt.Errorf("middleware[%d]: %s at %s: %w", i, m.Use, m.Path, err)
		}
		app.Use(m.Path, h)
	}
	return nil
}

// verifyMiddleware finds entries that cannot be built.
func verifyMiddleware(cfg *config.Config) config.Mistakes {
	var mistakes config.Mistakes
	for i, m := range cfg.Middleware {
		if builders[m.Use] == nil {
			mistakes = append(mistakes, config.Mistake{
				Origin:  m.Origin,
				Key:     fmt.Sprintf("middleware[%d]", i),
				Problem: m.Use + " is not built in yet",
			})
		}
	}
	return mistakes
}
