package main

import (
	"net/http"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/modules"
)

// newInternal serves what is for operators.
func newInternal(set *modules.Set) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /modules", set)
	return mux
}
