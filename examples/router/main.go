// Router shows what a router can do, with rooms that people enter, ask about and leave: middleware,
// parameters that are checked once, routers in routers, routes with several methods, handlers that
// answer later, and handlers for errors.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/memory"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

var errFull = errors.New("the room is full")

// newApp returns the application; it writes what it did to out.
func newApp(out io.Writer) *core.App {
	app := core.New(core.Options{Env: "production"})

	// Middleware: every request comes by, and so does every response on its way back.
	app.Use("/", func(req *core.Request, next core.Next) error {
		req.OnResponse(func(res *core.Response) {
			fmt.Fprintf(out, "%s asks for %v: %d %s\n", req.Peer().Username(), req, res.Status(), res.Reason())
		})
		next()
		return nil
	})

	// Only for those with the role, which the accept listener has given them.
	app.Use("/admin", func(req *core.Request, next core.Next) error {
		if req.Peer().Data().Get("role") != "admin" {
			return core.Error(403, "for administrators")
		}
		next()
		return nil
	})
	app.Method("stats", "/admin/peers", func(req *core.Request, _ core.Next) error {
		return req.Reply(200, fmt.Sprint(app.Peers("", "", nil), " peers"))
	})

	app.Use("/rooms", newRooms(app).Handle)

	// Error handlers stand behind what they are for. What they do not know goes on to the next of
	// them, and in the end becomes a 500, whose cause stays here in production.
	app.Catch("/rooms", func(err error, req *core.Request, next core.Next) error {
		if errors.Is(err, errFull) {
			return req.Reply(486, err.Error())
		}
		next(err)
		return nil
	})
	app.OnRouteError(func(err error, _ *core.Request) { fmt.Fprintln(out, "route error:", err) })
	return app
}

// newRooms returns the router for what is below /rooms. It could be mounted anywhere.
func newRooms(app *core.App) *core.Router {
	rooms := map[string]*room{"kitchen": {size: 1}, "garden": {size: 100}}
	r := app.NewRouter(core.RouterOptions{})

	// Wherever a path of this router has the parameter, the room is looked up, once for a request.
	r.Param(func(req *core.Request, next core.Next, name string) error {
		room := rooms[name]
		if room == nil {
			return core.Error(404, "no such room")
		}
		req.Set("room", room)
		next()
		return nil
	}, "room")

	r.Route("/:room").
		Method("enter", func(req *core.Request, _ core.Next) error {
			if err := roomOf(req).enter(req.Peer().Username()); err != nil {
				return err
			}
			return req.Reply(200, "welcome")
		}).
		Method("leave", func(req *core.Request, _ core.Next) error {
			roomOf(req).leave(req.Peer().Username())
			return req.Reply(200, "goodbye")
		})

	// A router in the router. The room is the outer one's parameter, the name its own.
	people := app.NewRouter(core.RouterOptions{MergeParams: true})
	people.Method("find", "/:name", func(req *core.Request, next core.Next) error {
		if req.Param("name") != "me" {
			next(core.SkipRoute)
			return nil
		}
		return req.Reply(200, "you should know")
	})
	people.Method("find", "/:name", func(req *core.Request, _ core.Next) error {
		// Whoever looks takes a while. Other requests of the same peer are handled meanwhile.
		time.AfterFunc(time.Millisecond, func() {
			if !roomOf(req).has(req.Param("name")) {
				_ = req.Reply(404, req.Param("name")+" is not in the "+req.Param("room"))
				return
			}
			_ = req.Reply(200, "found in the "+req.Param("room"))
		})
		return nil
	})
	r.Use("/:room/people", people.Handle)

	r.Method("paint", "/:room/walls/:wall(\\d+)", func(*core.Request, core.Next) error {
		panic("the paint is all over the floor")
	})
	return r
}

func roomOf(req *core.Request) *room { return req.Get("room").(*room) }

// A room has people in it, as many as its size.
type room struct {
	mu     sync.Mutex
	size   int
	people []string
}

func (r *room) enter(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.people) == r.size {
		return errFull
	}
	r.people = append(r.people, name)
	return nil
}

func (r *room) leave(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.people = slices.DeleteFunc(r.people, func(n string) bool { return n == name })
}

func (r *room) has(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.people, name)
}

// run connects two peers, who send their requests and wait for each response.
func run(ctx context.Context, out io.Writer) error {
	app := newApp(out)
	transport := memory.New(app, accept, memory.Options{})
	app.Attach(transport)
	defer app.Close(true)

	peers := make(map[string]*memory.Conn)
	for _, name := range []string{"alice", "bob"} {
		conn, err := transport.Dial(ctx, core.ConnectRequest{Query: map[string][]string{"username": {name}}})
		if err != nil {
			return err
		}
		peers[name] = conn
	}
	for _, r := range []struct{ who, method, path string }{
		{"alice", "enter", "/rooms/kitchen"},
		{"bob", "enter", "/rooms/kitchen"},
		{"bob", "enter", "/rooms/cellar"},
		{"bob", "find", "/rooms/kitchen/people/alice"},
		{"bob", "find", "/rooms/garden/people/alice"},
		{"bob", "find", "/rooms/garden/people/me"},
		{"alice", "leave", "/rooms/kitchen"},
		{"bob", "enter", "/rooms/kitchen"},
		{"bob", "paint", "/rooms/kitchen/walls/north"},
		{"bob", "paint", "/rooms/kitchen/walls/1"},
		{"bob", "stats", "/admin/peers"},
		{"alice", "stats", "/admin/peers"},
	} {
		if err := peers[r.who].Send(fmt.Appendf(nil, `{"method":%q,"path":%q,"id":1}`, r.method, r.path)); err != nil {
			return err
		}
		if _, err := peers[r.who].Receive(ctx); err != nil {
			return err
		}
	}
	return nil
}

// accept believes what a client says about itself, and that alice may do what others may not.
func accept(r *core.ConnectRequest) (core.Identity, error) {
	id := core.Identity{Username: r.QueryValue("username"), UUID: "1"}
	if id.Username == "alice" {
		id.Data = map[string]any{"role": "admin"}
	}
	return id, nil
}
