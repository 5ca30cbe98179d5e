// Package messenger lets peers send messages to each other:
//
//	app.Use("/users", messenger.New(app, messenger.Options{}).Handle)
//
// A "message" request to /users/alice goes to all of alice's devices, one to
// /users/alice/1 to that device alone. Its data is passed on as it came, with the sender that
// the server knows.
//
// If there is one such device, it answers: its responses, provisional ones included, are relayed to
// the sender, and so is the 408 or 410 if it gives none. If there are several, the sender gets 200 "message sent to N peers" at
// once, and what the devices answer is ignored. If there is none, the answer is 404 "peer not found".
//
// Who sends to their own user is one of the recipients. A client that does not want its own
// copy knows it by the sender's uuid.
package messenger

import (
	"fmt"
	"strings"

	"github.com/protoo-go/protoo/core"
)

// Options change how a messenger works. The zero value is what most applications want.
type Options struct {
	// Path is the pattern of the addresses, below the path where the router is mounted. It names
	// the parameters username and, if single devices can be addressed, uuid. Default "/:username/:uuid?".
	Path string
}

// New returns a router for the application app, to be mounted in it. It panics if the
// path is malformed or does not name the username.
func New(app *core.App, o Options) *core.Router {
	if o.Path == "" {
		o.Path = "/:username/:uuid?"
	}
	if !strings.Contains(o.Path, ":username") {
		panic(fmt.Sprintf("messenger: path %q has no parameter :username", o.Path))
	}
	r := app.NewRouter(core.RouterOptions{})
	r.Message(o.Path, func(req *core.Request, _ core.Next) error { return send(app, req) })
	return r
}

func send(app *core.App, req *core.Request) error {
	username, uuid := req.Param("username"), req.Param("uuid")
	var target *core.Peer
	found := 0
	// To Peers, no username stands for every user: nobody may write to all of them by leaving it out.
	if username != "" {
		found = app.Peers(username, uuid, func(p *core.Peer) { target = p })
	}
	switch found {
	case 0:
		return req.Reply(404, "peer not found")
	case 1:
		core.Forward(req, target)
		return nil
	}
	sent, err := app.Broadcast(username, uuid, req)
	if err != nil {
		return err
	}
	if sent == 0 {
		return req.Reply(503, "peers too slow")
	}
	return req.Reply(200, fmt.Sprintf("message sent to %d peers", sent))
}
