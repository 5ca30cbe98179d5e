//go:build wasip1

// Command protoo is the guest in Go for our own host.
package main

import (
	"strings"

	"github.com/protoo-go/protoo/bench/rivals/wasm/guest"
	protoo "github.com/protoo-go/protoo/wasmhost/guest/go"
)

var mode string // what the settings say: a name that guest.Run knows, "watch" or "refuse"

func handle(req *protoo.Request, next protoo.Next) error {
	guest.Run(mode)
	digit := guest.Digit(req.Method(), req.Path(), req.ID(), req.Param("room"), string(req.Data()), req.Peer().UUID())
	if err := req.SetPath("/rooms/" + digit); err != nil {
		return err
	}
	switch mode {
	case "":
	case "watch":
		req.OnResponse(func(*protoo.Response) {})
	default:
		return protoo.Error(403, "no")
	}
	next()
	return nil
}

func configure(settings protoo.JSON) error {
	mode = strings.Trim(string(settings), `"`)
	return nil
}

func init() { protoo.Serve(protoo.Module{Request: handle, Configure: configure}) }

func main() {}
