package core

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// journal is what happened to the requests of a test, in order: which handlers ran, what
// was answered and, after an exclamation mark, which route errors were reported.
type journal struct {
	mu      sync.Mutex
	entries []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, fmt.Sprintf(format, args...))
}

// take empties the journal.
func (j *journal) take() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	entries := j.entries
	j.entries = nil
	return strings.Join(entries, ", ")
}

// pass returns a handler that passes every request on with errs.
func (j *journal) pass(name string, errs ...error) Handler {
	return func(_ *Request, next Next) error {
		j.add("%s", name)
		next(errs...)
		return nil
	}
}

// show is pass that tells what it sees of the path: name[base|path], with the parameters.
func (j *journal) show(name string) Handler {
	return func(req *Request, next Next) error {
		j.add("%s[%s|%s%s]", name, req.BasePath(), req.Path(), paramText(req))
		next()
		return nil
	}
}

// reply returns a handler that answers 200 with its name as the reason.
func (j *journal) reply(name string) Handler {
	return func(req *Request, _ Next) error {
		j.add("%s%s", name, paramText(req))
		return req.Reply(200, name)
	}
}

// catch returns an error handler that passes the request on with errs.
func (j *journal) catch(name string, errs ...error) ErrorHandler {
	return func(err error, _ *Request, next Next) error {
		j.add("%s(%v)", name, err)
		next(errs...)
		return nil
	}
}

// param returns a param handler that passes the request on with errs.
func (j *journal) param(name string, errs ...error) ParamHandler {
	return func(_ *Request, next Next, value string) error {
		j.add("%s<%s>", name, value)
		next(errs...)
		return nil
	}
}

// paramText lists what a handler sees of the parameters, both ways.
func paramText(req interface {
	Params() map[string]string
	Param(name string) string
}) string {
	var b strings.Builder
	params := req.Params()
	for _, name := range slices.Sorted(maps.Keys(params)) {
		fmt.Fprintf(&b, " %s=%s", name, params[name])
		if one := req.Param(name); one != params[name] {
			fmt.Fprintf(&b, " but alone %s", one)
		}
	}
	return b.String()
}

// asker is a peer whose requests are handled on the goroutine that makes them. It is its
// own connection and gives what is sent over it to answer.
type asker struct {
	t      testing.TB
	link   *Link
	loop   *Loop
	buf    []byte
	answer func(*message)
}

func newAsker(t testing.TB, app *App, answer func(*message)) *asker {
	t.Helper()
	a := &asker{t: t, loop: NewLoop(func() {}), answer: answer}
	var err error
	a.link, err = app.Connect(Identity{Username: "alice", UUID: "phone"}, a)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *asker) ask(method, path string) {
	a.buf = appendRequest(a.buf[:0], method, path, `"1"`, `{"n":1}`, "")
	a.link.Receive(a.loop, a.buf)
}

func (a *asker) Send(msg []byte) error {
	var m message
	if err := parseMessage(msg, &m); err != nil {
		a.t.Errorf("sent %s: %v", msg, err)
	}
	a.answer(&m)
	return nil
}

func (a *asker) Close(int, string) error { return nil }
func (a *asker) Resume()                 {}
func (a *asker) String() string          { return "test" }

// record connects a peer and enters its answers and the route errors into j.
func (j *journal) record(t testing.TB, app *App) *asker {
	app.OnRouteError(func(err error, _ *Request) { j.add("!%v", err) })
	return newAsker(t, app, func(m *message) {
		text := fmt.Sprintf("%d %s", m.status, m.reason)
		if m.data != "" {
			text += " " + string(m.data)
		}
		j.add("%s", text)
	})
}

func expect(t *testing.T, j *journal, want string) {
	t.Helper()
	if got := j.take(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestNotFound(t *testing.T) {
	long := "/" + strings.Repeat("é", 300)
	for _, test := range []struct{ path, want string }{
		{"/", "404 no handler for message at /"},
		{"/users/alice", "404 no handler for message at /users/alice"},
		{"/a%20b//", "404 no handler for message at /a%20b//"},
		// The path is quoted up to 256 bytes, without half a character.
		{long, "404 no handler for message at " + long[:255]},
	} {
		j := &journal{}
		app := New(Options{})
		app.Use("/users", func(req *Request, next Next) error { next(); return nil })
		j.record(t, app).ask("message", test.path)
		expect(t, j, test.want)
	}
}

func TestUnhandledError(t *testing.T) {
	wrapped := fmt.Errorf("look up: %w", Error(403, "not yours"))
	for _, test := range []struct {
		name    string
		handler Handler
		want    string
		// In production, if that makes a difference.
		production string
	}{
		{
			name:       "returned",
			handler:    func(*Request, Next) error { return fs.ErrNotExist },
			want:       "!file does not exist, 500 file does not exist",
			production: "!file does not exist, 500 internal error",
		}, {
			name:       "given to next",
			handler:    func(_ *Request, next Next) error { next(fs.ErrNotExist); return nil },
			want:       "!file does not exist, 500 file does not exist",
			production: "!file does not exist, 500 internal error",
		}, {
			name:       "several given to next",
			handler:    func(_ *Request, next Next) error { next(fs.ErrNotExist, nil, fs.ErrExist); return nil },
			want:       "!file does not exist\nfile already exists, 500 file does not exist\nfile already exists",
			production: "!file does not exist\nfile already exists, 500 internal error",
		}, {
			name:    "with a status",
			handler: func(*Request, Next) error { return Error(403, "not yours") },
			want:    "!403 not yours, 403 not yours",
		}, {
			name:    "with a status, wrapped",
			handler: func(*Request, Next) error { return wrapped },
			want:    "!look up: 403 not yours, 403 not yours",
		}, {
			name:    "with a status outside of 300 to 699",
			handler: func(*Request, Next) error { return Error(200, "fine") },
			want:    "!500 fine, 500 fine",
		}, {
			name:    "with a status that is not even final",
			handler: func(*Request, Next) error { return &StatusError{Status: 100, Reason: "trying"} },
			want:    "!100 trying, 500 trying",
		}, {
			name:    "without a status",
			handler: func(*Request, Next) error { return &StatusError{} },
			want:    "!0 , 500 ",
		}, {
			name:       "a panic",
			handler:    func(*Request, Next) error { panic("no such index") },
			want:       "!panic: no such index, 500 panic: no such index",
			production: "!panic: no such index, 500 internal error",
		}, {
			name:       "a long text",
			handler:    func(*Request, Next) error { return errors.New(strings.Repeat("é", 300)) },
			want:       "!" + strings.Repeat("é", 300) + ", 500 " + strings.Repeat("é", 256),
			production: "!" + strings.Repeat("é", 300) + ", 500 internal error",
		},
	} {
		for _, env := range []string{"development", "production", "test"} {
			t.Run(test.name+"/"+env, func(t *testing.T) {
				j := &journal{}
				app := New(Options{Env: env})
				app.Message("/", test.handler)
				j.record(t, app).ask("message", "/")
				want := test.want
				if env == "production" && test.production != "" {
					want = test.production
				}
				expect(t, j, want)
			})
		}
	}
}

func TestRouteErrorListeners(t *testing.T) {
	j := &journal{}
	app := New(Options{})
	var about *Request
	app.OnRouteError(func(err error, req *Request) {
		j.add("first(%v)", err)
		about = req
	})
	app.OnRouteError(func(error, *Request) { panic("in a listener") })
	app.Message("/broken", j.pass("handler", fs.ErrExist))
	a := newAsker(t, app, func(m *message) { j.add("%d", m.status) })
	a.ask("message", "/broken")
	expect(t, j, "handler, first(file already exists), 500")
	if about == nil || about.Path() != "/broken" || !about.Ended() {
		t.Errorf("the listener was told about %v", about)
	}
}

func TestPanicError(t *testing.T) {
	var got *PanicError
	app := New(Options{})
	app.OnRouteError(func(err error, _ *Request) {
		if !errors.As(err, &got) {
			t.Errorf("got %T, want a *PanicError", err)
		}
	})
	var values []any
	for _, v := range []any{"text", fs.ErrExist, 42, Error(410, "moved")} {
		values = append(values, v)
		app.Message(fmt.Sprintf("/%d", len(values)), func(*Request, Next) error { panic(v) })
	}
	app.Message("/index", func(*Request, Next) error { return []error{}[len(values)] })
	a := newAsker(t, app, func(*message) {})
	for i, v := range values {
		a.ask("message", fmt.Sprintf("/%d", i+1))
		if got.Value != v || !strings.Contains(string(got.Stack), "TestPanicError") {
			t.Errorf("got %v with stack %s, want value %v and a stack that leads here", got, got.Stack, v)
		}
		err, _ := v.(error)
		if errors.Unwrap(got) != err {
			t.Errorf("panic(%v) unwraps to %v, want %v", v, errors.Unwrap(got), err)
		}
	}
	a.ask("message", "/index")
	if _, ok := got.Value.(runtime.Error); !ok {
		t.Errorf("got value %v, want a runtime.Error", got.Value)
	}
}

func TestReply(t *testing.T) {
	reply := func(status int, reason string, data ...any) func(*Request) error {
		return func(req *Request) error { return req.Reply(status, reason, data...) }
	}
	for _, test := range []struct {
		name    string
		replies []func(*Request) error
		want    string // the answers and, in parentheses, the errors of Reply
		ended   bool
	}{
		{"final", []func(*Request) error{reply(200, "ok")}, "200 ok", true},
		{"the least and the greatest final status", []func(*Request) error{reply(200, ""), reply(699, "")}, "200 , (core: request already has its final response)", true},
		{"the greatest status", []func(*Request) error{reply(699, "no")}, "699 no", true},
		{"provisional", []func(*Request) error{reply(100, "trying"), reply(199, "still")}, "100 trying, 199 still", false},
		{"provisional, then final", []func(*Request) error{reply(180, "ringing"), reply(486, "busy")}, "180 ringing, 486 busy", true},
		{"provisional after final", []func(*Request) error{reply(200, "ok"), reply(180, "late")}, "200 ok, (core: request already has its final response)", true},
		{"status too small", []func(*Request) error{reply(99, "x")}, "(core: response status must be from 100 to 699, got 99)", false},
		{"status too great", []func(*Request) error{reply(700, "x"), reply(500, "y")}, "(core: response status must be from 100 to 699, got 700), 500 y", true},
		{"data", []func(*Request) error{reply(200, "ok", map[string]int{"n": 1})}, `200 ok {"n":1}`, true},
		{"nil is no data", []func(*Request) error{reply(200, "ok", nil)}, "200 ok", true},
		{"null is data", []func(*Request) error{reply(200, "ok", JSON("null"))}, "200 ok null", true},
		{"two data values", []func(*Request) error{reply(200, "ok", 1, 2), reply(200, "ok", 3)}, "(core: a response has one data value, got 2), 200 ok 3", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			j := &journal{}
			app := New(Options{})
			a := j.record(t, app)
			app.All("*", func(req *Request, next Next) error {
				for _, reply := range test.replies {
					if err := reply(req); err != nil {
						j.add("(%v)", err)
					}
				}
				if req.Ended() != test.ended {
					t.Errorf("Ended is %v, want %v", req.Ended(), test.ended)
				}
				return nil
			})
			a.ask("message", "/")
			expect(t, j, test.want)
		})
	}
}

func TestReplyWithDataThatCannotBeEncoded(t *testing.T) {
	j := &journal{}
	app := New(Options{})
	app.All("*", func(req *Request, next Next) error {
		if err := req.Reply(200, "ok", func() {}); err == nil || req.Ended() {
			t.Errorf("Reply returned %v, Ended is %v; want an error and a request that still waits", err, req.Ended())
		}
		return req.Reply(500, "sorry")
	})
	j.record(t, app).ask("message", "/")
	expect(t, j, "500 sorry")
}

func TestReplyToOwnRequest(t *testing.T) {
	req := NewRequest("message", "/", nil)
	if err := req.Reply(200, "ok"); err == nil {
		t.Error("a request that no peer has sent was replied to")
	}
}

func TestOnResponse(t *testing.T) {
	j := &journal{}
	app := New(Options{})
	hook := func(name string) func(*Response) {
		return func(res *Response) {
			j.add("%s(%d %s %s %s)", name, res.Status(), res.Reason(), res.ID(), res.Data())
		}
	}
	app.Use("/", func(req *Request, next Next) error {
		req.OnResponse(hook("#1"))
		req.OnResponse(func(res *Response) {
			if res.Peer() != req.Peer() || res.IsLocal() {
				t.Errorf("the response goes to %v, local %v; want %v, false", res.Peer(), res.IsLocal(), req.Peer())
			}
			if res.IsAccept() {
				if err := res.SetData("changed"); err != nil {
					t.Error(err)
				}
			}
		})
		req.OnResponse(hook("#2"))
		next()
		return nil
	})
	app.Message("/ok", func(req *Request, _ Next) error {
		if err := req.Reply(100, "trying"); err != nil {
			return err
		}
		return req.Reply(200, "ok", "data")
	})
	app.Message("/late", func(req *Request, _ Next) error {
		if err := req.Reply(202, "first"); err != nil {
			return err
		}
		req.OnResponse(hook("#3"))
		if err := req.Reply(200, "second"); err != ErrReplied {
			t.Errorf("got %v, want ErrReplied", err)
		}
		return nil
	})
	a := j.record(t, app)
	for _, test := range []struct{ path, want string }{
		{"/ok", `#2(100 trying 1 ), #1(100 trying 1 ), 100 trying, #2(200 ok 1 "data"), #1(200 ok 1 "changed"), 200 ok "changed"`},
		// The responses that the framework makes are seen as well.
		{"/nobody", `#2(404 no handler for message at /nobody 1 ), #1(404 no handler for message at /nobody 1 ), 404 no handler for message at /nobody`},
		{"/late", `#2(202 first 1 ), #1(202 first 1 "changed"), 202 first "changed"`},
	} {
		a.ask("message", test.path)
		expect(t, j, test.want)
	}
}

// A listener that panics must not cost the peer its response, nor anybody the process.
func TestOnResponsePanics(t *testing.T) {
	for _, test := range []struct {
		name    string
		handler func(done chan struct{}) Handler
		want    string
	}{
		{"in a handler", func(done chan struct{}) Handler {
			return func(req *Request, _ Next) error {
				defer close(done)
				return req.Reply(200, "ok")
			}
		}, "#1(200), 200 ok"},
		{"after a next from another goroutine", func(done chan struct{}) Handler {
			return func(_ *Request, next Next) error {
				go func() {
					defer close(done)
					next()
				}()
				return nil
			}
		}, "#1(404), 404 no handler for message at /"},
	} {
		t.Run(test.name, func(t *testing.T) {
			j := &journal{}
			app := New(Options{})
			app.Use("/", func(req *Request, next Next) error {
				req.OnResponse(func(res *Response) { j.add("#1(%d)", res.Status()) })
				req.OnResponse(func(*Response) { panic("in #2") })
				next()
				return nil
			})
			done := make(chan struct{})
			app.Message("/", test.handler(done))
			j.record(t, app).ask("message", "/")
			<-done
			expect(t, j, "!panic: in #2, "+test.want)
		})
	}
}

func TestRequestValues(t *testing.T) {
	app := New(Options{})
	app.Use("/", func(req *Request, next Next) error {
		if got := req.Get("role"); got != nil {
			t.Errorf("role is %v before it was set", got)
		}
		req.Set("role", "guest")
		next()
		return nil
	})
	var values map[string]any
	app.Message("/", func(req *Request, _ Next) error {
		values = req.Values()
		values["more"] = true // a copy
		if got := req.Get("role"); got != "guest" || req.Get("more") != nil {
			t.Errorf("role is %v, more %v; want guest, <nil>", got, req.Get("more"))
		}
		return req.Reply(200, "ok")
	})
	newAsker(t, app, func(*message) {}).ask("message", "/")
	if len(values) != 2 {
		t.Errorf("got %v, want two values", values)
	}
}
