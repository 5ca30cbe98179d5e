// Command module is package limiter as a module.
package main

import (
	guest "github.com/protoo-go/protoo/wasmhost/guest/go"
	"github.com/protoo-go/protoo/wasmhost/guest/go/examples/limiter"
)

func init() { guest.Serve(guest.Module{Request: limiter.Handle}) }

func main() {}
