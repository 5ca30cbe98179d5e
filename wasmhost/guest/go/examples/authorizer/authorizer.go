// Package authorizer decides who may connect, by a token in the query.
package authorizer

import (
	"strings"

	guest "github.com/protoo-go/protoo/wasmhost/guest/go"
)

// Accept takes a token of the form "name:secret" and wants the secret to be "sesame".
func Accept(r *guest.ConnectRequest) (guest.Identity, error) {
	name, secret, _ := strings.Cut(r.QueryValue("token"), ":")
	if secret != "sesame" {
		return guest.Identity{}, guest.Reject(401, "wrong token")
	}
	return guest.Identity{
		Username: name,
		UUID:     r.QueryValue("uuid"),
		Data:     map[string]any{"role": "user"},
	}, nil
}
