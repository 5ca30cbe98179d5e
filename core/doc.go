// Package core is protoo without a network: an application, its router, its
// peers and the transactions between them.
//
// A peer is a client: a username and the uuid of one of its devices. A
// transport (WebSocket, WebTransport, memory) accepts connections, names the
// peer behind each one, and hands every message it reads to [Link.Receive]. A
// request then walks down the application's stack of middleware and routes, as
// in Express:
//
//	app := core.New(core.Options{})
//	app.Use("/", func(req *core.Request, next core.Next) error {
//		log.Print(req.Method(), " ", req.Path())
//		next()
//		return nil
//	})
//	app.Message("/users/:username/:uuid?", func(req *core.Request, next core.Next) error {
//		n := app.Peers(req.Param("username"), req.Param("uuid"), func(p *core.Peer) { p.Send(req) })
//		if n == 0 {
//			return core.Error(404, "peer not found")
//		}
//		return req.Reply(200, fmt.Sprintf("message sent to %d peers", n))
//	})
//
// # Patterns
//
// A layer's path is a string in Express 4's dialect, a regular expression
// ([Regexp]) or several of both ([AnyOf]). Mounted with Use it matches a prefix that
// ends at a slash; in a route it matches the whole path.
//
//	/users             /users, /Users, /users/            not /users/alice in a route
//	/users/:name       /users/alice                       not /users, /users/alice/1
//	/users/:name/:id?  /users/alice, /users/alice/1
//	/calls/:id(\\d+)   /calls/42                          not /calls/x
//	/abc?d             /abd, /abcd
//	/files/*           /files/a/b (param "0" is "a/b")
//
// # Errors
//
// A handler that returns an error has called next with it, and so has one that
// panics ([PanicError]). From then on only error handlers ([Router.Catch]) run,
// until one of them calls next without an error. What none of them takes is
// reported to [App.OnRouteError] and answered: with its status and reason when
// it was made by [Error], otherwise with 500.
//
// # Concurrency
//
// A request belongs to one goroutine at a time: the handler's, until it calls
// next or hands the request on. Everything else in this package may be used by
// any goroutine at any time, unless its documentation says otherwise.
//
// The requests of one peer start in the order in which they arrived, one handler
// at a time. A handler that blocks delays the next requests of its own peer and
// nobody else's; responses are never delayed. Sending never waits for the network.
package core

// Version is the version of the protoo module, in the form of https://semver.org.
const Version = "0.1.0"
