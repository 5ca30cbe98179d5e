package memory_test

import (
	"context"
	"fmt"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/memory"
)

func Example() {
	app := core.New(core.Options{})
	app.Message("/hello", func(req *core.Request, _ core.Next) error {
		return req.Reply(200, "hello "+req.Peer().Username())
	})
	accept := func(r *core.ConnectRequest) (core.Identity, error) {
		if r.QueryValue("username") == "" {
			return core.Identity{}, core.Reject(401, "who are you?")
		}
		return core.Identity{Username: r.QueryValue("username"), UUID: "1"}, nil
	}
	transport := memory.New(app, accept, memory.Options{})
	app.Attach(transport)

	ctx := context.Background()
	_, err := transport.Dial(ctx, core.ConnectRequest{})
	fmt.Println(err)

	conn, err := transport.Dial(ctx, core.ConnectRequest{Query: map[string][]string{"username": {"alice"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = conn.Send([]byte(`{"method":"message","path":"/hello","id":"1"}`))
	msg, _ := conn.Receive(ctx)
	fmt.Printf("%s\n", msg)

	_ = app.Close(true)
	_, err = conn.Receive(ctx)
	fmt.Println(err)
	// Output:
	// 401 who are you?
	// {"status":200,"reason":"hello alice","id":"1"}
	// closed: 1001 shutting down
}
