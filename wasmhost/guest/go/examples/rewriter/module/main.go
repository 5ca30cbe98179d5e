// Command module is package rewriter as a module.
package main

import (
	guest "github.com/protoo-go/protoo/wasmhost/guest/go"
	"github.com/protoo-go/protoo/wasmhost/guest/go/examples/rewriter"
)

func init() { guest.Serve(guest.Module{Request: rewriter.Handle}) }

func main() {}
