package main

import (
	"errors"
	"fmt"
	"log/slog"
	"unicode/utf8"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/config"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/identity"
	"github.com/protoo-go/protoo/core"
)

// newGate returns what lets clients in by tokens, and knows what was revoked.
func newGate(app *core.App, cfg *config.Config, log *slog.Logger) (*identity.Gate, error) {
	gate, err := identity.New(app, gateOptions(cfg, log))
	if err != nil {
		return nil, identityMistake(cfg, err)
	}
	if gate.Decides() {
		app.All(cfg.Identity.Path, gate.Handle)
	}
	if cfg.Identity.Type == "static" {
		log.Warn("identity.type is static, which is for trials: its secrets do not expire, and are in the configuration")
	}
	return gate, nil
}

func gateOptions(cfg *config.Config, log *slog.Logger) identity.Options {
	o := cfg.Identity
	o.Report = func(err error) { log.Error("trouble with identity", "error", err) }
	return o
}

// identityMistake says which setting an error of the package identity is about.
func identityMistake(cfg *config.Config, err error) error {
	if wrong, ok := errors.AsType[*identity.OptionError](err); ok {
		return config.Mistakes{cfg.Mistake("identity."+wrong.Key, wrong.Err.Error())}
	}
	return err
}

// newAccept returns what decides who may connect, and as whom, where no module does. A new value of identity.type gets a case here, or
// in the package identity.
func newAccept(cfg *config.Config, gate *identity.Gate) core.Accept {
	switch {
	case gate.Decides():
		return gate.Accept
	case cfg.Identity.Type == "development":
		return developmentIdentity
	case cfg.Identity.Type == "wasm":
		return undecided
	default:
		panic("no identity of type " + cfg.Identity.Type) // the configuration knows its values
	}
}

// credentials is what clients put into the query, besides a token.
func credentials(cfg *config.Config) string {
	if cfg.Identity.Type == "development" {
		return "username=NAME&uuid=DEVICE"
	}
	return "uuid=DEVICE"
}

// logIntroduction logs whose first request was refused. The request is never logged: it has a token.
func logIntroduction(id *core.Identity, r *core.ConnectRequest, log *slog.Logger) {
	if id.Introduction == nil {
		return
	}
	in := *id.Introduction
	accept, conn := in.Accept, r.Transport+"/"+r.RemoteAddr
	in.Accept = func(req *core.Request) (core.Identity, error) {
		id, err := accept(req)
		if err != nil {
			log.Debug("first request refused", "conn", conn, "error", err)
		}
		return id, err
	}
	id.Introduction = &in
}

// verifyIdentity finds keys that cannot be used.
func verifyIdentity(cfg *config.Config) config.Mistakes {
	o := &cfg.Identity
	if o.Type != "jwt" || o.JWT.Keys == "" {
		return nil
	}
	secret, err := identity.VerifyKeys(o.JWT.Keys)
	switch {
	case err != nil:
		return config.Mistakes{cfg.Mistake("identity.jwt.keys", err.Error())}
	case secret && cfg.Env == config.Production && config.WorldReadable(o.JWT.Keys):
		return config.Mistakes{cfg.Mistake("identity.jwt.keys",
			"it is a secret that everybody on this machine can read, which is refused in production: chmod o-rwx "+o.JWT.Keys)}
	}
	return nil
}

// undecided refuses connections about which no module has decided.
func undecided(*core.ConnectRequest) (core.Identity, error) {
	return core.Identity{}, core.Reject(0, "")
}

// developmentIdentity believes what clients say about themselves.
func developmentIdentity(r *core.ConnectRequest) (core.Identity, error) {
	id := core.Identity{Username: r.QueryValue("username"), UUID: r.QueryValue("uuid")}
	for _, field := range [...]struct{ name, value string }{{"username", id.Username}, {"uuid", id.UUID}} {
		const most = 256
		switch {
		case field.value == "":
			return id, core.Reject(400, fmt.Sprintf("missing %s: connect with ?username=NAME&uuid=DEVICE", field.name))
		case len(field.value) > most:
			return id, core.Reject(400, fmt.Sprintf("%s has %d bytes, at most %d are allowed", field.name, len(field.value), most))
		case !utf8.ValidString(field.value):
			return id, core.Reject(400, field.name+" is not valid UTF-8")
		}
	}
	return id, nil
}
