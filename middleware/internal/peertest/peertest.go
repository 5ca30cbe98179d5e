// Package peertest gives tests of middleware an application with clients, whose traffic is written and
// compared frame by frame:
//
//	peertest.Run(t, core.Options{}, func(w *peertest.World) {
//		alice, bob := w.Connect("alice", "1"), w.Connect("bob", "1")
//		alice.Send(`{"method":"message","path":"/users/bob","id":1}`)
//		bob.Expect(`{"method":"message","path":"/users/bob","id":1,"sender":{"username":"alice","uuid":"1"}}`)
//	})
//
// In a frame that is expected, $name stands for some characters of a string: any at its first
// appearance, afterwards, also in frames to send, the same. $_ stands for any each time.
package peertest

import (
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/protoo-go/protoo/core"
)

// A World is an application under test, in fake time.
type World struct {
	*testing.T
	App *core.App

	names map[string]string

	mu     sync.Mutex
	errors []error
}

// Run runs test in a bubble of package synctest. Route errors that the test has not asked for with
// RouteErrors fail it.
func Run(t *testing.T, o core.Options, test func(*World)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &World{T: t, App: core.New(o), names: make(map[string]string)}
		w.App.OnRouteError(func(err error, _ *core.Request) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.errors = append(w.errors, err)
		})
		test(w)
		for _, err := range w.RouteErrors() {
			t.Errorf("route error: %v", err)
		}
		if err := w.App.Close(true); err != nil {
			t.Errorf("App.Close: %v", err)
		}
	})
}

// RouteErrors returns the route errors since it was last called.
func (w *World) RouteErrors() []error {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	errs := w.errors
	w.errors = nil
	return errs
}

// Value returns what $name has turned out to be.
func (w *World) Value(name string) string { return w.names[name] }

// Forget makes the next appearance of $name its first.
func (w *World) Forget(name string) { delete(w.names, name) }

var placeholder = regexp.MustCompile(`\$\w+`)

func (w *World) expand(frame string) string {
	return placeholder.ReplaceAllStringFunc(frame, func(p string) string {
		value, known := w.names[p[1:]]
		if !known {
			w.Fatalf("nothing is known about %s in %s", p, frame)
		}
		return value
	})
}

// match compares a frame with what was expected, and learns the names that appear for the first time.
func (w *World) match(want, got string) bool {
	var pattern strings.Builder
	var learned []string
	end := 0
	for _, span := range placeholder.FindAllStringIndex(want, -1) {
		pattern.WriteString(regexp.QuoteMeta(want[end:span[0]]))
		name := want[span[0]+1 : span[1]]
		end = span[1]
		if value, known := w.names[name]; known {
			pattern.WriteString(regexp.QuoteMeta(value))
			continue
		}
		pattern.WriteString(`((?:[^"\\]|\\.)+)`)
		learned = append(learned, name)
	}
	pattern.WriteString(regexp.QuoteMeta(want[end:]))
	found := regexp.MustCompile("^" + pattern.String() + "$").FindStringSubmatch(got)
	if found == nil {
		return false
	}
	for i, name := range learned {
		if name != "_" {
			w.names[name] = found[i+1]
		}
	}
	return true
}

// A Client is a peer's connection, seen from the outside.
type Client struct {
	Peer *core.Peer

	w    *World
	name string
	link *core.Link

	mu       sync.Mutex
	received []string
	closed   bool
	slow     bool
}

// Connect brings a peer online, or back.
func (w *World) Connect(username, uuid string) *Client {
	w.Helper()
	c := &Client{w: w, name: username + "/" + uuid}
	link, err := w.App.Connect(core.Identity{Username: username, UUID: uuid}, conn{c})
	if err != nil {
		w.Fatalf("Connect %s: %v", c.name, err)
	}
	c.link, c.Peer = link, link.Peer()
	return c
}

// Send sends frames to the application, one after the other, each when the handlers of
// the one before have returned.
func (c *Client) Send(frames ...string) {
	for _, frame := range frames {
		c.SendRaw(c.w.expand(frame))
	}
}

// SendRaw is Send for a single frame in which $ stands for itself. While a handler blocks, another goroutine may
// go on sending, as one of the transport's would that the loop was handed to.
func (c *Client) SendRaw(frame string) {
	c.link.Receive(core.NewLoop(func() {}), []byte(frame))
}

// Disconnect ends the connection without a word.
func (c *Client) Disconnect() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.link.Closed(core.CloseAbnormal, "")
}

// SetSlow makes the client one that does not read, or one that does.
func (c *Client) SetSlow(slow bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slow = slow
}

// Received returns the frames since it was last called, when all goroutines are at rest.
func (c *Client) Received() []string {
	synctest.Wait()
	return c.Drain()
}

// Drain is Received without the waiting.
func (c *Client) Drain() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	received := c.received
	c.received = nil
	return received
}

// Expect fails the test unless the client has received these frames, and no others,
// since Expect or Received was last called.
func (c *Client) Expect(frames ...string) {
	c.w.Helper()
	received := c.Received()
	ok := len(received) == len(frames)
	for i := 0; ok && i < len(frames); i++ {
		ok = c.w.match(frames[i], received[i])
	}
	if !ok {
		c.w.Fatalf("%s has received\n\t%s\nwant\n\t%s", c.name,
			strings.Join(received, "\n\t"), strings.Join(frames, "\n\t"))
	}
}

// conn is the application's end of a client's connection.
type conn struct{ c *Client }

func (e conn) Send(msg []byte) error {
	e.c.mu.Lock()
	defer e.c.mu.Unlock()
	switch {
	case e.c.closed:
		return core.ErrClosed
	case e.c.slow:
		return core.ErrSlow
	}
	e.c.received = append(e.c.received, string(msg))
	return nil
}

func (e conn) Close(int, string) error {
	e.c.mu.Lock()
	defer e.c.mu.Unlock()
	e.c.closed = true
	return nil
}

func (e conn) Resume() {}

func (e conn) String() string { return "test/" + e.c.name }
