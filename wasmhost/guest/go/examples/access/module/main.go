// Command module is package access as a module.
package main

import (
	guest "github.com/protoo-go/protoo/wasmhost/guest/go"
	"github.com/protoo-go/protoo/wasmhost/guest/go/examples/access"
)

func init() { guest.Serve(guest.Module{Request: access.Handle}) }

func main() {}
