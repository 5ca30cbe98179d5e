// Command module is package authorizer as a module.
package main

import (
	guest "github.com/protoo-go/protoo/wasmhost/guest/go"
	"github.com/protoo-go/protoo/wasmhost/guest/go/examples/authorizer"
)

func init() { guest.Serve(guest.Module{Connect: authorizer.Accept}) }

func main() {}
