package core_test

import (
	"errors"
	"fmt"
	"strings"

	"github.com/protoo-go/protoo/core"
)

// client is the transport of these examples: it hands requests to the application and
// prints what comes back. Real ones are in the folder transports.
type client struct {
	name string
	link *core.Link
	loop *core.Loop
	got  chan struct{} // one value for each message
}

func connect(app *core.App, name string) *client {
	c := &client{name: name, loop: core.NewLoop(func() {}), got: make(chan struct{}, 16)}
	link, err := app.Connect(core.Identity{Username: name, UUID: "1"}, c)
	if err != nil {
		panic(err)
	}
	c.link = link
	return c
}

// ask sends a request and waits for an answer.
func (c *client) ask(method, path string) {
	c.write(fmt.Sprintf(`{"method":%q,"path":%q,"id":7}`, method, path))
	<-c.got
}

func (c *client) write(msg string) { c.link.Receive(c.loop, []byte(msg)) }

func (c *client) Send(msg []byte) error {
	fmt.Printf("to %s: %s\n", c.name, msg)
	c.got <- struct{}{}
	return nil
}

func (c *client) Close(int, string) error { return nil }
func (c *client) Resume()                 {}
func (c *client) String() string          { return "example" }

func ExampleApp() {
	app := core.New(core.Options{})
	app.OnOnline(func(p *core.Peer) { fmt.Println("online:", p) })
	app.Use("/", func(req *core.Request, next core.Next) error {
		fmt.Println(req.Method(), req.Path())
		next()
		return nil
	})
	app.Message("/echo", func(req *core.Request, _ core.Next) error {
		return req.Reply(200, "ok", req.Data())
	})

	alice := connect(app, "alice")
	alice.ask("message", "/echo")
	alice.ask("message", "/nowhere")
	// Output:
	// online: alice/1
	// message /echo
	// to alice: {"status":200,"reason":"ok","id":7}
	// message /nowhere
	// to alice: {"status":404,"reason":"no handler for message at /nowhere","id":7}
}

// A router sees what its mount leaves of the path.
func ExampleRouter() {
	app := core.New(core.Options{})
	devices := app.NewRouter(core.RouterOptions{MergeParams: true})
	devices.Use("/", func(req *core.Request, next core.Next) error {
		fmt.Println(req.BasePath(), "+", req.Path())
		next()
		return nil
	})
	devices.Message("/:device", func(req *core.Request, _ core.Next) error {
		return req.Reply(200, req.Param("device")+" of "+req.Param("user"))
	})
	app.Use("/users/:user/devices", devices.Handle)

	connect(app, "alice").ask("message", "/users/bob/devices/phone")
	// Output:
	// /users/bob/devices + /phone
	// to alice: {"status":200,"reason":"phone of bob","id":7}
}

// What several routes need to know about a parameter is looked up once.
func ExampleRouter_Param() {
	ages := map[string]int{"bob": 42}
	app := core.New(core.Options{})
	app.Param(func(req *core.Request, next core.Next, name string) error {
		age, known := ages[name]
		if !known {
			return core.Error(404, "user not found")
		}
		req.Set("age", age)
		next()
		return nil
	}, "user")
	app.Message("/users/:user/age", func(req *core.Request, _ core.Next) error {
		return req.Reply(200, "ok", req.Get("age"))
	})

	alice := connect(app, "alice")
	alice.ask("message", "/users/bob/age")
	alice.ask("message", "/users/eve/age")
	// Output:
	// to alice: {"status":200,"reason":"ok","id":7,"data":42}
	// to alice: {"status":404,"reason":"user not found","id":7}
}

// Error handlers stand in the same stack, behind what they are for.
func ExampleRouter_Catch() {
	errBusy := errors.New("busy")
	app := core.New(core.Options{})
	app.Message("/files/:name", func(req *core.Request, _ core.Next) error {
		if strings.Contains(req.Param("name"), "/") {
			panic("not a name")
		}
		return errBusy
	})
	app.Catch("/files", func(err error, req *core.Request, next core.Next) error {
		if errors.Is(err, errBusy) {
			return req.Reply(503, "try again later")
		}
		next(err) // for somebody else
		return nil
	})
	app.Catch("/", func(err error, _ *core.Request, _ core.Next) error {
		fmt.Println(err)
		return core.Error(500, "our mistake")
	})

	alice := connect(app, "alice")
	alice.ask("message", "/files/a")
	alice.ask("message", "/files/a%2Fb")
	// Output:
	// to alice: {"status":503,"reason":"try again later","id":7}
	// panic: not a name
	// to alice: {"status":500,"reason":"our mistake","id":7}
}

func ExampleRoute() {
	app := core.New(core.Options{})
	app.Route("/rooms/:room").
		All(func(req *core.Request, next core.Next) error {
			if req.Param("room") == "attic" {
				next(core.SkipRoute) // go on behind this route
			} else {
				next()
			}
			return nil
		}).
		Session(func(req *core.Request, _ core.Next) error { return req.Reply(200, "welcome") }).
		Method("leave", func(req *core.Request, _ core.Next) error { return req.Reply(200, "goodbye") })

	alice := connect(app, "alice")
	alice.ask("session", "/rooms/kitchen")
	alice.ask("leave", "/rooms/kitchen")
	alice.ask("session", "/rooms/attic")
	// Output:
	// to alice: {"status":200,"reason":"welcome","id":7}
	// to alice: {"status":200,"reason":"goodbye","id":7}
	// to alice: {"status":404,"reason":"no handler for session at /rooms/attic","id":7}
}

// Bob gets Alice's request, with her as the sender, and his answers are passed on to her.
func ExampleForward() {
	app := core.New(core.Options{})
	app.Message("/users/:user", func(req *core.Request, _ core.Next) error {
		found := app.Peers(req.Param("user"), "", func(p *core.Peer) { core.Forward(req, p) })
		if found == 0 {
			return core.Error(404, "peer not found")
		}
		return nil
	})

	alice, bob := connect(app, "alice"), connect(app, "bob")
	alice.write(`{"method":"message","path":"/users/bob","id":7,"data":"hello"}`)
	bob.write(`{"status":100,"reason":"reading","id":7}`)
	bob.write(`{"status":200,"reason":"read","id":7,"data":"hello, Alice"}`)
	// Output:
	// to bob: {"method":"message","path":"/users/bob","id":7,"data":"hello","sender":{"username":"alice","uuid":"1"}}
	// to alice: {"status":100,"reason":"reading","id":7}
	// to alice: {"status":200,"reason":"read","id":7,"data":"hello, Alice"}
}

// A handler may call next later, from another goroutine. Until then the request is its own.
func ExampleNext() {
	permitted := func(req *core.Request) error { return nil } // a slow question to a database
	app := core.New(core.Options{})
	app.Use("/private", func(req *core.Request, next core.Next) error {
		go func() { next(permitted(req)) }()
		return nil
	})
	app.Message("/private/diary", func(req *core.Request, _ core.Next) error {
		return req.Reply(200, "dear diary")
	})

	connect(app, "alice").ask("message", "/private/diary")
	// Output:
	// to alice: {"status":200,"reason":"dear diary","id":7}
}
