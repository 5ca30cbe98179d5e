// Package rewriter moves requests from an old path to a new one and marks the responses.
package rewriter

import (
	"strings"

	guest "github.com/protoo-go/protoo/wasmhost/guest/go"
)

// Handle rewrites /old/... to /new/..., and shows the handlers behind it where the request came from.
func Handle(req *guest.Request, next guest.Next) error {
	rest, old := strings.CutPrefix(req.Path(), "/old/")
	if !old {
		next()
		return nil
	}
	if err := req.SetPath("/new/" + rest); err != nil {
		return err
	}
	req.Set("moved", true)
	req.OnResponse(func(res *guest.Response) {
		_ = res.SetData(map[string]any{"moved": true, "status": res.Status(), "data": res.Data()}) // can be encoded
	})
	next()
	if !req.Ended() {
		return req.Reply(202, "somebody is still at it")
	}
	return nil
}
