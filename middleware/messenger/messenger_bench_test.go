package messenger_test

import (
	"bytes"
	"testing"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/middleware/messenger"
)

// wire is a connection that keeps what was sent last.
type wire struct{ last []byte }

func (w *wire) Send(msg []byte) error { w.last = append(w.last[:0], msg...); return nil }
func (*wire) Close(int, string) error { return nil }
func (*wire) Resume()                 {}
func (*wire) String() string          { return "wire" }

// BenchmarkForward sends a message from one peer to another, and the answer back.
func BenchmarkForward(b *testing.B) {
	app := core.New(core.Options{})
	app.Use("/users", messenger.New(app, messenger.Options{}).Handle)
	connect := func(name string) (*wire, *core.Link) {
		w := new(wire)
		link, err := app.Connect(core.Identity{Username: name, UUID: "1"}, w)
		if err != nil {
			b.Fatal(err)
		}
		return w, link
	}
	alice, fromAlice := connect("alice")
	bob, fromBob := connect("bob")
	loop := core.NewLoop(func() {})
	ask := []byte(`{"method":"message","path":"/users/bob","id":"a1","data":{"text":"hello"}}`)
	answer := []byte(`{"status":200,"reason":"OK","id":"a1"}`)
	b.ReportAllocs()
	for b.Loop() {
		fromAlice.Receive(loop, ask)
		fromBob.Receive(loop, answer)
	}
	if !bytes.Contains(bob.last, []byte(`"sender"`)) || !bytes.Equal(alice.last, answer) {
		b.Fatalf("bob has got %s, alice %s", bob.last, alice.last)
	}
}
