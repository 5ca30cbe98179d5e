// Package sessions sets up calls between two peers and keeps them connected:
//
//	app.Use("/sessions", sessions.New(app, sessions.Options{}).Handle)
//
// # Setting up
//
// A "session" request to /sessions/bob/1 calls that device. The caller gets a provisional 100
// "connecting" at once, whose data names the session's path:
//
//	{"status":100,"reason":"connecting","id":1,"data":{"sessionPath":"/sessions/QX3..."}}
//
// The device gets the request with the caller's data and sender, under the session's path
// instead of its own address:
//
//	{"method":"session","path":"/sessions/QX3...","id":1,"data":{"sdp":"..."},"sender":{"username":"alice","uuid":"1"}}
//
// From then on both sides know the same path, and everything about the call is a request to that path. Whatever the device
// responds is relayed to the caller, data untouched: provisional responses while it rings, 2xx when
// it accepts, 3xx to 6xx when it rejects. If it does neither in time (120 s unless the application says otherwise)
// the caller gets 408, and if it goes offline, 410.
//
// # During the call
//
// A request of either party to the session's path, with any method and at any time after the 100, also while the
// device still rings, goes to the other party, and its responses come back. Anybody else gets 403. The path
// is a secret that cannot be guessed; a path that is not, or no longer, a session's is passed on to the next
// handler, and so ends as a 404. It has to be used letter for letter.
//
// # Ending
//
// The method "end" ends the session, whatever its state. It is always answered with 200 by the
// server itself, so that nobody has to wait in order to hang up, and it is passed on with its data. From the caller, before the device has
// accepted, it cancels the call: the session request gets 487. From the device it rejects the call: the session
// request gets 603 "declined" with the data of the end.
//
// When a party goes offline, or an accept could not be delivered, or the time to answer is over, the server itself
// sends the "end" to whoever does not know yet, without a sender and with the reason in its data:
//
//	{"method":"end","path":"/sessions/QX3...","id":"4fz","data":{"reason":"peer offline"}}
//
// So a session is over for a party when the session request has got a final response that is not 2xx,
// or when it has sent or received an "end". A party that reconnects within the grace period, or
// takes over from another connection, keeps its sessions.
//
// Two peers that call each other at the same moment have two sessions. Which one to drop is theirs to decide.
package sessions
