// Command module is package asker as a module.
package main

import (
	guest "github.com/protoo-go/protoo/wasmhost/guest/go"
	"github.com/protoo-go/protoo/wasmhost/guest/go/examples/asker"
)

func init() { guest.Serve(guest.Module{Request: asker.Handle}) }

func main() {}
