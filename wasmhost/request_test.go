package wasmhost

import (
	"testing"

	"github.com/protoo-go/protoo/core"
)

func text(f field, val string) func(*frameWriter) {
	return func(w *frameWriter) { w.add(f, "", val) }
}

func TestActions(t *testing.T) {
	cases := []struct {
		name  string
		give  func(g *guest) []byte
		reply string
		log   []string
	}{
		{
			name:  "next",
			give:  func(g *guest) []byte { return g.give(actionNext, 0, nil) },
			reply: `{"status":200,"reason":"/a","id":"1","data":{"x":1}}`,
		}, {
			name: "next with changes",
			give: func(g *guest) []byte {
				return g.give(actionNext, flagChanges, frame(func(w *frameWriter) {
					w.add(fieldPath, "", "/changed")
					w.add(fieldData, "", "[1]")
				}))
			},
			reply: `{"status":200,"reason":"/changed","id":"1","data":[1]}`,
		}, {
			name: "changes without the flag",
			give: func(g *guest) []byte {
				return g.give(actionNext, 0, frame(text(fieldPath, "/changed")))
			},
			reply: `{"status":200,"reason":"/a","id":"1","data":{"x":1}}`,
		}, {
			name:  "no data any more",
			give:  func(g *guest) []byte { return g.give(actionNext, flagChanges, frame(text(fieldData, ""))) },
			reply: `{"status":200,"reason":"/a","id":"1"}`,
		}, {
			name:  "skip route",
			give:  func(g *guest) []byte { return g.give(actionSkipRoute, 0, nil) },
			reply: `{"status":201,"reason":"behind the route","id":"1"}`,
		}, {
			name: "reply",
			give: func(g *guest) []byte {
				return g.give(actionReply, 0, frame(func(w *frameWriter) {
					w.addUint32(fieldStatus, 299)
					w.add(fieldReason, "", "mine")
					w.add(fieldData, "", `"d"`)
				}))
			},
			reply: `{"status":299,"reason":"mine","id":"1","data":"d"}`,
		}, {
			name:  "reply without a status",
			give:  func(g *guest) []byte { return g.give(actionReply, 0, frame(func(*frameWriter) {})) },
			reply: `{"status":200,"reason":"","id":"1"}`,
		}, {
			name: "error",
			give: func(g *guest) []byte {
				return g.give(actionError, 0, frame(func(w *frameWriter) {
					w.addUint32(fieldStatus, 403)
					w.add(fieldReason, "", "not you")
				}))
			},
			reply: `{"status":403,"reason":"not you","id":"1"}`,
			log:   []string{"route 403 not you"},
		}, {
			name:  "error in words",
			give:  func(g *guest) []byte { return g.give(actionError, 0, frame(text(fieldError, "broken"))) },
			reply: `{"status":500,"reason":"broken","id":"1"}`,
			log:   []string{"route broken"},
		}, {
			name:  "invalid data",
			give:  func(g *guest) []byte { return g.give(actionReply, 0, frame(text(fieldData, "{"))) },
			reply: `{"status":500,"reason":"module test 1: frame at event request: invalid JSON: unexpected end (at byte 1)","id":"1"}`,
			log:   []string{"fail request frame", "route module test 1: frame at event request: invalid JSON: unexpected end (at byte 1)"},
		}, {
			name: "invalid path, and data that would be valid",
			give: func(g *guest) []byte {
				return g.give(actionNext, flagChanges, frame(func(w *frameWriter) {
					w.add(fieldData, "", "[1]")
					w.add(fieldPath, "", "changed")
				}))
			},
			reply: `{"status":500,"reason":"module test 1: frame at event request: core: path \"changed\" does not start with a slash","id":"1"}`,
			log:   []string{"fail request frame", `route module test 1: frame at event request: core: path "changed" does not start with a slash`},
		}, {
			name:  "trap",
			give:  func(*guest) []byte { return unreachable },
			reply: `{"status":500,"reason":"module test 1: trap at event request: wasm error: unreachable","id":"1"}`,
			log:   []string{"fail request trap", "route module test 1: trap at event request: wasm error: unreachable"},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			g := &guest{manifest: manifest(EventRequest)}
			g.on = c.give(g)
			m := r.load(g)
			r.app.OnRouteError(func(err error, _ *core.Request) { r.log.add("route %v", err) })
			r.app.Route("/a").All(m.Handle, last)
			r.app.All("/a", func(req *core.Request, _ core.Next) error { return req.Reply(201, "behind the route") })
			r.app.All("/changed", last)
			alice := r.dial("alice", "1")
			alice.ask("/a", "1", `{"x":1}`)
			alice.want(t, c.reply)
			r.log.want(t, c.log...)
		})
	}
}
