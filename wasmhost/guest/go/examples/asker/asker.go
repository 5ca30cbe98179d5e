// Package asker puts a request to another user and answers with what that one says.
package asker

import (
	"fmt"

	guest "github.com/protoo-go/protoo/wasmhost/guest/go"
)

// Handle belongs to a path with the parameters "username" and "uuid": whom to ask.
func Handle(req *guest.Request, _ guest.Next) error {
	peer := req.App().Peer(req.Param("username"), req.Param("uuid"))
	if peer == nil {
		return guest.Error(404, "nobody to ask")
	}
	if err := req.Reply(100, "asking"); err != nil {
		return err
	}
	question := guest.NewRequest("question", "/questions", req.Data())
	res, err := peer.Send(question).Wait(req.Context())
	if err != nil {
		return err
	}
	if res.IsReject() {
		return guest.Error(res.Status(), res.Reason())
	}
	return req.Reply(200, fmt.Sprintf("%s says %q", peer.Username(), res.Reason()), res.Data())
}
