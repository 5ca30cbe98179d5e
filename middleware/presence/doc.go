// Package presence tells peers who is online:
//
//	app.Use("/presence", presence.New(app, presence.Options{}).Handle)
//
// A peer names the users it wants to watch, and gets their devices that are online now:
//
//	{"method":"presence","path":"/presence","id":1,"data":{"usernames":["alice","bob"]}}
//	{"status":200,"reason":"OK","id":1,"data":{"users":[{"username":"alice","uuids":["phone"]},{"username":"bob","uuids":[]}]}}
//
// The users come in the order in which they were named. Of one with very many devices not all are listed, and it has
// "more":true.
//
// From then on the peer is told of each device of theirs that comes online or goes offline, in
// a request without a sender, to the path of its own request:
//
//	{"method":"presence","path":"/presence","id":"~4fz","data":{"username":"bob","uuid":"laptop","online":true}}
//
// What is told last is true: a change may be told twice, and one that a device has taken back at once, as the state that it has
// left the device in. What the peer answers is ignored.
//
// The next request replaces the names, an empty list ends the watching, and so does going offline. Changes are held in the
// watcher's own grace period like other messages, and dropped like them when they do not fit, so a client asks
// again after it has reconnected. A device in its grace period is online.
package presence
