//go:build wasip1

// Command goplugin is the guest for go-plugin.
package main

import (
	"context"

	"github.com/protoo-go/protoo/bench/rivals/wasm/guest"
	"github.com/protoo-go/protoo/bench/rivals/wasm/middleware"
)

type plugin struct{}

func (plugin) OnRequest(_ context.Context, r *middleware.Request) (*middleware.Verdict, error) {
	guest.Run(r.GetId())
	return &middleware.Verdict{Path: "/rooms/" + guest.Digit(r.GetMethod(), r.GetPath(), r.GetId(), r.GetRoom(), r.GetData(), r.GetPeer())}, nil
}

func (plugin) OnResponse(_ context.Context, r *middleware.Response) (*middleware.Verdict, error) {
	_ = r.GetStatus()
	return &middleware.Verdict{}, nil
}

func init() { middleware.RegisterMiddleware(plugin{}) }

func main() {}
