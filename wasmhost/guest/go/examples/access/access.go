// Package access lets the staff into the rooms that are theirs.
package access

import guest "github.com/protoo-go/protoo/wasmhost/guest/go"

// Handle belongs to a path with the parameter "room". The room "staff" is for the user "alice".
func Handle(req *guest.Request, next guest.Next) error {
	if req.Param("room") == "staff" && req.Peer().Username() != "alice" {
		return guest.Error(403, "staff only")
	}
	next()
	return nil
}
