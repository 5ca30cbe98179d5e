package core

import (
	"fmt"
	"strings"
	"testing"
)

// null is a connection that sends nowhere.
type null struct{ sent int }

func (n *null) Send([]byte) error       { n.sent++; return nil }
func (n *null) Close(int, string) error { return nil }
func (n *null) Resume()                 {}
func (n *null) String() string          { return "null" }

// dispatcher returns a function that gives a request to an application, as a transport does, and one that
// tells how many answers there were.
func dispatcher(tb testing.TB, app *App, path string) (dispatch func(), answers func() int) {
	tb.Helper()
	conn := &null{}
	link, err := app.Connect(Identity{Username: "alice", UUID: "phone"}, conn)
	if err != nil {
		tb.Fatal(err)
	}
	const size = 300
	frame := fmt.Sprintf(`{"method":"message","path":"%s","id":"a1b2c3d4","data":{"type":"text","text":""}}`, path)
	text := strings.Repeat("x", size-len(frame))
	msg := []byte(strings.Replace(frame, `"text":""`, `"text":"`+text+`"`, 1))
	if len(msg) != size {
		tb.Fatalf("the request has %d bytes, want %d", len(msg), size)
	}
	loop := NewLoop(func() {})
	return func() { link.Receive(loop, msg) }, func() int { return conn.sent }
}

// threeMiddlewares is the application that the budget is for.
func threeMiddlewares() *App {
	app := New(Options{})
	pass := func(_ *Request, next Next) error {
		next()
		return nil
	}
	app.Use("/", pass, pass, pass)
	app.Message("/users/:username", func(req *Request, _ Next) error {
		if req.Param("username") != "bob" {
			return Error(404, "peer not found")
		}
		return req.Reply(200, "ok")
	})
	return app
}

func TestDispatchAllocs(t *testing.T) {
	dispatch, answers := dispatcher(t, threeMiddlewares(), "/users/bob")
	const budget = 8
	if got := testing.AllocsPerRun(1000, dispatch); got > budget {
		t.Errorf("a request takes %v allocations, the budget is %d", got, budget)
	}
	if got := answers(); got != 1001 {
		t.Errorf("%d answers to 1001 requests", got)
	}
}

func BenchmarkDispatch(b *testing.B) {
	dispatch, answers := dispatcher(b, threeMiddlewares(), "/users/bob")
	b.ReportAllocs()
	for b.Loop() {
		dispatch()
	}
	if answers() < b.N {
		b.Fatalf("%d answers to %d requests", answers(), b.N)
	}
}

func BenchmarkRoutes(b *testing.B) {
	reply := func(req *Request, _ Next) error { return req.Reply(200, "ok") }
	for _, kind := range []struct{ name, pattern string }{
		{"static", "/api/v1/resource%d"},
		{"param", "/api/v1/resource%d/:id"},
	} {
		for _, n := range []int{10, 100, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", kind.name, n), func(b *testing.B) {
				app := New(Options{})
				for i := range n {
					app.Message(fmt.Sprintf(kind.pattern, i), reply)
				}
				// The last is what a linear scan would take longest to find.
				last := strings.Replace(fmt.Sprintf(kind.pattern, n-1), ":id", "42", 1)
				dispatch, answers := dispatcher(b, app, last)
				dispatch() // makes the index
				b.ReportAllocs()
				for b.Loop() {
					dispatch()
				}
				if answers() < b.N {
					b.Fatalf("%d answers to %d requests", answers(), b.N)
				}
			})
		}
	}
}
