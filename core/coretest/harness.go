package coretest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/protoo-go/protoo/core"
)

// patience is how long the suite waits for something that is bound to happen.
const patience = 60 * time.Second

// server is an application behind the transport under test. Its route /echo
// answers with the request's data.
type server struct {
	t       *testing.T
	ctx     context.Context // ends when patience does
	app     *core.App
	dial    Dial
	journal journal // of peers that went online and offline, and what a test adds
}

// byQuery admits everybody under the name they give in the query.
func byQuery(r *core.ConnectRequest) (core.Identity, error) {
	return core.Identity{Username: r.QueryValue("username"), UUID: r.QueryValue("uuid")}, nil
}

func newServer(t *testing.T, start Start, o core.Options, accept core.Accept) *server {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	s := &server{t: t, ctx: ctx, app: core.New(o)}
	s.app.OnOnline(func(p *core.Peer) {
		s.journal.add("online %v", p)
		p.OnDisconnect(func(code int, reason string) { s.journal.add("disconnect %v %d %s", p, code, reason) })
		p.OnReconnect(func() { s.journal.add("reconnect %v", p) })
	})
	s.app.OnOffline(func(p *core.Peer) { s.journal.add("offline %v", p) })
	s.app.All("/echo", func(req *core.Request, _ core.Next) error {
		return req.Reply(200, "ok", req.Data())
	})
	s.dial = start(t, s.app, accept)
	return s
}

// client is a connection to a server. What it calls on t makes most of its methods ones
// for the test's own goroutine.
type client struct {
	Client
	t   *testing.T
	ctx context.Context
}

// connect returns a client that is online.
func (s *server) connect(username, uuid string) *client {
	s.t.Helper()
	conn, err := s.dial(s.ctx, "/", url.Values{"username": {username}, "uuid": {uuid}})
	if err != nil {
		s.t.Fatalf("dial as %s/%s: %v", username, uuid, err)
	}
	return s.adopt(conn)
}

// adopt waits until the server takes requests: a client may be done with dialing before
// its peer is online.
func (s *server) adopt(conn Client) *client {
	s.t.Helper()
	s.t.Cleanup(conn.Drop)
	c := &client{conn, s.t, s.ctx}
	c.echo("hello")
	return c
}

// message is a message of either kind. All ids are strings here.
type message struct {
	Method string          `json:"method,omitempty"`
	Path   string          `json:"path,omitempty"`
	Status int             `json:"status,omitempty"`
	Reason string          `json:"reason,omitempty"`
	ID     string          `json:"id"`
	Data   json.RawMessage `json:"data,omitempty"`
}

func (m message) encode() []byte {
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}

func request(path, id string, data any) message {
	b, err := json.Marshal(data)
	if err != nil {
		panic(err)
	}
	return message{Method: "message", Path: path, ID: id, Data: b}
}

func (m message) number() int {
	n := -1
	_ = json.Unmarshal(m.Data, &n)
	return n
}

// send may be called by any goroutine.
func (c *client) send(m message) {
	c.t.Helper()
	if err := c.Send(m.encode()); err != nil && c.ctx.Err() == nil {
		c.t.Errorf("client: sending %.100s: %v", m.encode(), err)
	}
}

// next returns the next message or why there is none. It may be called by any goroutine.
func (c *client) next() (message, error) {
	var m message
	raw, err := c.Receive(c.ctx)
	if err == nil {
		if err = json.Unmarshal(raw, &m); err != nil {
			err = fmt.Errorf("message %.200q: %w", raw, err)
		}
	}
	return m, err
}

func (c *client) receive() message {
	c.t.Helper()
	m, err := c.next()
	if err != nil {
		c.t.Fatalf("client: receiving: %v", err)
	}
	return m
}

// call sends a request and returns the next message, which must be the response.
func (c *client) call(m message) message {
	c.t.Helper()
	c.send(m)
	res := c.receive()
	if res.ID != m.ID || res.Status == 0 {
		c.t.Fatalf("client: got %s in answer to %.100s", res.encode(), m.encode())
	}
	return res
}

// echo makes sure that the server answers.
func (c *client) echo(data string) {
	c.t.Helper()
	want := request("/echo", "echo", data)
	if res := c.call(want); res.Status != 200 || string(res.Data) != string(want.Data) {
		c.t.Fatalf("client: echo of %.100s: got %.200s", want.Data, res.encode())
	}
}

// answer accepts a request with the request's own data.
func (c *client) answer(req message) {
	c.t.Helper()
	c.send(message{Status: 200, Reason: "ok", ID: req.ID, Data: req.Data})
}

// wantClosed receives the end of the connection, with nothing before it.
func (c *client) wantClosed(code int, reason string) {
	c.t.Helper()
	m, err := c.next()
	var got Closed
	if !errors.As(err, &got) {
		c.t.Fatalf("client: got message %.200s and error %v, want Closed with %d %q", m.encode(), err, code, reason)
	}
	if want := (Closed{code, reason}); got != want {
		c.t.Fatalf("client: got %v, want %v", got, want)
	}
}

// closed receives until the connection has ended.
func (c *client) closed() Closed {
	c.t.Helper()
	for {
		_, err := c.next()
		if end, ok := errors.AsType[Closed](err); ok {
			return end
		}
		if err != nil {
			c.t.Fatalf("client: receiving: %v", err)
		}
	}
}

// wait waits for an event.
func (s *server) wait(what string, event <-chan struct{}) {
	s.t.Helper()
	select {
	case <-event:
	case <-s.ctx.Done():
		s.t.Fatalf("%s: not within %v", what, patience)
	}
}

// final waits for a transaction's final response.
func (s *server) final(tr *core.Transaction, status int, reason string) {
	s.t.Helper()
	s.wait("the end of "+tr.String(), tr.Done())
	if res := tr.Final(); res.Status() != status || res.Reason() != reason {
		s.t.Errorf("%v: got %d %q, want %d %q", tr, res.Status(), res.Reason(), status, reason)
	}
}

// window is how many requests the suite lets wait for their responses, so that no queue overflows.
const window = 200

// slots limits how many requests are under way.
type slots chan struct{}

func (s slots) take(ctx context.Context) bool {
	select {
	case s <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s slots) free() { <-s }

// counter counts from 0, for any number of goroutines.
type counter struct{ n atomic.Int64 }

func (c *counter) next() int { return int(c.n.Add(1)) - 1 }

// journal is what has happened, in order.
type journal struct {
	mu      sync.Mutex
	entries []string
	changed chan struct{} // closed when there is a new entry
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, fmt.Sprintf(format, args...))
	if j.changed != nil {
		close(j.changed)
		j.changed = nil
	}
}

func (j *journal) read() (entries []string, changed <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.changed == nil {
		j.changed = make(chan struct{})
	}
	return slices.Clone(j.entries), j.changed
}

// await waits until as many entries are there as are wanted, and compares them.
func (s *server) await(want ...string) {
	s.t.Helper()
	got := s.until(fmt.Sprintf("%d events", len(want)), func(got []string) bool { return len(got) >= len(want) })
	if !slices.Equal(got, want) {
		s.t.Fatalf("got events\n%q\nwant\n%q", got, want)
	}
}

// until waits until enough has happened.
func (s *server) until(what string, enough func(entries []string) bool) []string {
	s.t.Helper()
	for {
		entries, changed := s.journal.read()
		if enough(entries) {
			return entries
		}
		select {
		case <-changed:
		case <-s.ctx.Done():
			s.t.Fatalf("%s: not within %v; events: %q", what, patience, entries)
		}
	}
}
