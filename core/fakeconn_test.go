package core

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A fakeConn is a connection whose other end is the test. What write gives it is read
// as transports do it: on one goroutine until a handler detains that.
type fakeConn struct {
	link    *Link
	loop    *Loop
	serving atomic.Bool
	in      chan string
	wake    chan struct{}

	mu       sync.Mutex
	sent     []string
	room     int   // how many messages Send takes; below 0 any number
	fail     error // what Send fails with
	closes   []string
	resumed  int
	detached int
}

// dial connects a peer to app. The test either calls receive, or serve and write, and hangUp
// at the end.
func dial(t *testing.T, app *App, username, uuid string) *fakeConn {
	t.Helper()
	c := newFakeConn()
	if err := c.connect(app, Identity{Username: username, UUID: uuid}); err != nil {
		t.Fatalf("connecting %s/%s: %v", username, uuid, err)
	}
	return c
}

func newFakeConn() *fakeConn {
	return &fakeConn{room: -1}
}

func (c *fakeConn) connect(app *App, id Identity) (err error) {
	c.loop = NewLoop(func() {
		if c.serving.Load() {
			c.read()
		}
	})
	c.link, err = app.Connect(id, c)
	return err
}

func (c *fakeConn) peer() *Peer { return c.link.Peer() }

// receive gives the link one message, on the calling goroutine.
func (c *fakeConn) receive(msg string) Flow { return c.link.Receive(c.loop, []byte(msg)) }

// serve starts to read what write is given, until hangUp.
func (c *fakeConn) serve() {
	c.in, c.wake = make(chan string, 4096), make(chan struct{}, 1)
	c.serving.Store(true)
	go c.read()
}

func (c *fakeConn) read() {
	for msg := range c.in {
		switch c.receive(msg) {
		case Pause:
			<-c.wake
		case Detached:
			c.mu.Lock()
			c.detached++
			c.mu.Unlock()
			return
		}
	}
}

func (c *fakeConn) write(messages ...string) {
	for _, m := range messages {
		c.in <- m
	}
}

func (c *fakeConn) hangUp() { close(c.in) }

func (c *fakeConn) Send(msg []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.fail != nil:
		return c.fail
	case len(c.closes) > 0:
		return ErrClosed
	case c.room == 0:
		return ErrSlow
	}
	c.room--
	c.sent = append(c.sent, string(msg))
	return nil
}

func (c *fakeConn) Close(code int, reason string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closes = append(c.closes, fmt.Sprintf("%d %s", code, reason))
	return nil
}

func (c *fakeConn) Resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resumed++
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *fakeConn) String() string { return "fake" }

// take returns what was sent since it was last called.
func (c *fakeConn) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	sent := c.sent
	c.sent = nil
	return sent
}

// want compares what was sent since the last time.
func (c *fakeConn) want(t *testing.T, messages ...string) {
	t.Helper()
	if got := c.take(); !slices.Equal(got, messages) {
		t.Errorf("sent\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(messages, "\n\t"))
	}
}

// wantClosed compares the codes and reasons that Close was called with.
func (c *fakeConn) wantClosed(t *testing.T, closes ...string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Equal(c.closes, closes) {
		t.Errorf("closed with %q, want %q", c.closes, closes)
	}
}

func (c *fakeConn) count(n *int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return *n
}

// settle lets everything happen that is about to, in a second of a synctest bubble's time: loops are
// handed over.
func settle() {
	time.Sleep(time.Second)
	synctest.Wait()
}

// The texts of messages.

func ask(path, id, data string) string {
	return fmt.Sprintf(`{"method":"message","path":%q,"id":%q,"data":%s}`, path, id, cmp.Or(data, "null"))
}

func answer(status int, reason, id string) string {
	return fmt.Sprintf(`{"status":%d,"reason":%q,"id":%q}`, status, reason, id)
}

// events is a list of what has happened.
type events struct {
	mu   sync.Mutex
	list []string
}

func (e *events) add(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, fmt.Sprintf(format, args...))
}

func (e *events) want(t *testing.T, want ...string) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if !slices.Equal(e.list, want) {
		t.Errorf("got events\n\t%s\nwant\n\t%s", strings.Join(e.list, "\n\t"), strings.Join(want, "\n\t"))
	}
	e.list = nil
}

// watch records when peers go online and offline, lose their connection and get it back.
func (e *events) watch(app *App) {
	app.OnOnline(func(p *Peer) {
		e.add("online %v", p)
		p.OnDisconnect(func(code int, reason string) { e.add("disconnect %v %d %s", p, code, reason) })
		p.OnReconnect(func() { e.add("reconnect %v", p) })
	})
	app.OnOffline(func(p *Peer) { e.add("offline %v", p) })
}
