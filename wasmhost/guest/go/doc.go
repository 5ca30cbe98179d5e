// Package guest is for those who write a protoo module in Go. Its names are those of package core, so that one source
// file is both: a handler that a program mounts with app.Use, and a module that a server loads.
//
//	func Handle(req *guest.Request, next guest.Next) error {
//		if req.Param("room") == "staff" {
//			return guest.Error(403, "staff only")
//		}
//		next()
//		return nil
//	}
//
//	func init() { guest.Serve(guest.Module{Request: Handle}) }
//
// Outside of WebAssembly the types are core's own, and Serve does nothing. A module is built from a program whose main is empty:
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o module.wasm .
//
// and needs a manifest, which wasmhost.AppendManifest adds. It asks for 16 MiB of memory, for the affinity "pinned", because
// what a handler waits for has to come back to it, and for the events and fields that it uses:
//
//	{"name":"staff","events":["request","returned"],"fields":["path","param"],"memory":16777216,"affinity":"pinned"}
//
// # What is different in a module
//
// A handler waits in next and in [Transaction.Wait], and nowhere else: while it waits there, the instance serves other
// requests. One that blocks in a channel or sleeps is stopped by the host. After next(err) and after a reply it goes on at once, and what it
// has said is done when it waits or returns.
//
// Fields that the manifest does not list can be read until the handler waits for the first time. Values that
// are stored in a request or peer are JSON for other modules and for the server, so a number comes back as a float64.
//
// Next needs the event "returned", OnResponse the event "response", Send the capability "peer.send" and, to learn of the
// answer, "async" and the event "reply".
package guest

// A Module is what Serve makes available to the host. What is nil is passed over.
type Module struct {
	Request Handler
	Connect Accept
	// Online and Offline are told of peers that come and go. They must not wait.
	Online, Offline func(*Peer)
	// Configure gets the operator's settings before everything else, "" if there are none. An error keeps the module
	// from being loaded.
	Configure func(settings JSON) error
}
