// Package client connects to a protoo server, sends requests to it, serves those that it
// sends, and comes back by itself when the connection is lost.
//
//	c, err := client.Dial(ctx, "ws://127.0.0.1:8080/?username=alice&uuid=phone", client.Options{
//		Routes: func(app *core.App) {
//			app.Message("*", func(req *core.Request, next core.Next) error {
//				log.Printf("%s: %s", req.Sender(), req.Data())
//				return req.Reply(200, "seen")
//			})
//		},
//	})
//	if err != nil {
//		return err
//	}
//	defer c.Close(0, "")
//	res, err := c.Request(ctx, "message", "/users/bob", "Hi Bob!")
//
// # Connections
//
// A client is a [core.App] with one peer, the server. While the connection is lost that
// peer is in a grace period without end: requests and replies are held, within a bound, and go out
// in order when there is a connection again. A request's time runs on meanwhile.
//
// The client tries again after a random time below a limit that doubles with every attempt; see
// [Backoff]. It gives up, and ends, when that makes no sense:
//
//	close code 3000           another connection has taken its place: ErrReplaced
//	close code 1000, 1008     the server wants no more of it, or does not want it at all
//	close code 4401, 4403     the server does not accept its identity
//	refused with 3xx or 4xx   likewise, except for 408, 425 and 429
//
// # Concurrency
//
// All methods may be called by any goroutine at any time. Handlers run as [core] says.
package client
