// Call sets up a call between two devices, in memory, and prints the messages on the wire: an offer, a candidate
// while the device rings, an answer, and the end.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/middleware/sessions"
	"github.com/protoo-go/protoo/transports/memory"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer) error {
	app := core.New(core.Options{})
	app.Use("/sessions", sessions.New(app, sessions.Options{}).Handle)
	transport := memory.New(app, accept, memory.Options{})
	app.Attach(transport)
	defer app.Close(true)

	w := &wire{out: out, peers: make(map[string]*memory.Conn)}
	for _, name := range []string{"alice", "bob"} {
		conn, err := transport.Dial(ctx, core.ConnectRequest{Query: map[string][]string{"username": {name}}})
		if err != nil {
			return err
		}
		w.peers[name] = conn
	}

	// The server's first response tells the caller where everything else about the call goes. The
	// device learns it from the path of the request.
	w.send("alice", `{"method":"session","path":"/sessions/bob/phone","id":1,"data":"offer"}`)
	var connecting struct{ Data struct{ SessionPath string } }
	if err := json.Unmarshal(w.receive(ctx, "alice"), &connecting); err != nil {
		return err
	}
	path := connecting.Data.SessionPath
	w.receive(ctx, "bob")

	// While the device rings both sides may send requests already.
	w.send("bob", `{"status":180,"reason":"ringing","id":1}`)
	w.receive(ctx, "alice")
	w.send("alice", `{"method":"candidate","path":"`+path+`","id":2,"data":"192.0.2.1"}`)
	w.receive(ctx, "bob")
	w.send("bob", `{"status":200,"reason":"OK","id":2}`)
	w.receive(ctx, "alice")

	// Bob accepts, and hangs up.
	w.send("bob", `{"status":200,"reason":"OK","id":1,"data":"answer"}`)
	w.receive(ctx, "alice")
	w.send("bob", `{"method":"end","path":"`+path+`","id":1}`)
	w.receive(ctx, "bob")
	w.receive(ctx, "alice")
	return w.err
}

// accept believes what a client says about itself, and that it is on the phone.
func accept(r *core.ConnectRequest) (core.Identity, error) {
	return core.Identity{Username: r.QueryValue("username"), UUID: "phone"}, nil
}

// A wire prints what peers send and receive. After an error it does nothing.
type wire struct {
	out   io.Writer
	peers map[string]*memory.Conn
	err   error
}

func (w *wire) send(name, message string) {
	if w.err == nil {
		w.print(name, "→", message)
		w.err = w.peers[name].Send([]byte(message))
	}
}

func (w *wire) receive(ctx context.Context, name string) (message []byte) {
	if w.err != nil {
		return nil
	}
	if message, w.err = w.peers[name].Receive(ctx); w.err == nil {
		w.print(name, "←", string(message))
	}
	return message
}

func (w *wire) print(name, arrow, message string) {
	fmt.Fprintf(w.out, "%-5s %s %s\n", name, arrow, message)
}
