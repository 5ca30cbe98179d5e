package main

import (
	"fmt"
	"unicode/utf8"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/config"
	"github.com/protoo-go/protoo/core"
)

// newAccept returns what decides who may connect, and as whom, where no module does. A new value of identity.type gets a case here.
func newAccept(cfg *config.Config) core.Accept {
	switch cfg.Identity.Type {
	case "development":
		return developmentIdentity
	case "wasm":
		return undecided
	default:
		panic("no identity of type " + cfg.Identity.Type) // the configuration knows its values
	}
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
