package core

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// status describes a transaction's final response.
func status(tr *Transaction) string {
	res := tr.Final()
	if res == nil {
		return "pending"
	}
	local := ""
	if res.IsLocal() {
		local = " (local)"
	}
	return fmt.Sprintf("%d %s%s", res.Status(), res.Reason(), local)
}

func wantStatus(t *testing.T, tr *Transaction, want string) {
	t.Helper()
	if got := status(tr); got != want {
		t.Errorf("%v: got %s, want %s", tr, got, want)
	}
}

func TestTransaction(t *testing.T) {
	app := New(Options{})
	c := dial(t, app, "alice", "1")
	req := NewRequest("question", "/a?b", map[string]any{"n": 1})
	if err := req.SetID(`my "id"`); err != nil {
		t.Fatal(err)
	}
	if err := req.SetSender(map[string]any{"name": "the server"}); err != nil {
		t.Fatal(err)
	}
	tr := c.peer().Send(req)
	c.want(t, `{"method":"question","path":"/a?b","id":"my \"id\"","data":{"n":1},"sender":{"name":"the server"}}`)
	if tr.Request() != req || tr.Peer() != c.peer() || tr.ID() != `my "id"` {
		t.Errorf("got request %v, peer %v, id %q", tr.Request(), tr.Peer(), tr.ID())
	}
	wantStatus(t, tr, "pending")
	select {
	case <-tr.Done():
		t.Error("Done is closed before the end")
	default:
	}

	var got events
	tr.OnResponse(func(res *Response) {
		got.add("%d %s %s %s %v", res.Status(), res.Reason(), res.Data(), res.ID(), res.Peer())
	})
	c.receive(`{"status":100,"reason":"trying","id":"my \u0022id\""}`)
	c.receive(`{"status":199,"reason":"","id":"my \"id\"","data":null}`)
	c.receive(`{"status":201,"reason":"ok","id":"my \"id\"","data":{"x": [1]}}`)
	c.receive(`{"status":200,"reason":"late","id":"my \"id\""}`)
	<-tr.Done()
	got.want(t, `100 trying  my "id" alice/1`, `199  null my "id" alice/1`, `201 ok {"x": [1]} my "id" alice/1`)
	wantStatus(t, tr, "201 ok")
	tr.Cancel()
	wantStatus(t, tr, "201 ok")
}

func TestTransactionTimeout(t *testing.T) {
	custom := func(method string) time.Duration { return time.Duration(len(method)) * time.Second }
	for _, tt := range []struct {
		method  string
		timeout func(string) time.Duration
		own     time.Duration
		want    time.Duration
	}{
		{"message", nil, 0, 10 * time.Second},
		{"Session", nil, 0, 10 * time.Second},
		{"session", nil, 0, 120 * time.Second},
		{"session", nil, time.Second, time.Second},
		{"four", custom, 0, 4 * time.Second},
		{"session", custom, 0, 7 * time.Second},
		{"session", custom, time.Minute, time.Minute},
	} {
		t.Run(fmt.Sprint(tt.method, tt.want), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := dial(t, New(Options{Timeout: tt.timeout}), "alice", "1")
				req := NewRequest(tt.method, "/", nil)
				req.SetTimeout(tt.own)
				tr := c.peer().Send(req)
				time.Sleep(tt.want / 2)
				c.receive(answer(180, "ringing", tr.ID())) // gives no more time
				time.Sleep(tt.want - tt.want/2 - 1)
				synctest.Wait()
				wantStatus(t, tr, "pending")
				time.Sleep(1 * time.Nanosecond)
				synctest.Wait()
				wantStatus(t, tr, "408 sending timeout (local)")
				c.receive(answer(200, "late", tr.ID()))
				wantStatus(t, tr, "408 sending timeout (local)")
				if n := c.peer().app.Stats().StrayResponses; n != 1 {
					t.Errorf("the late response was counted %d times as stray", n)
				}
			})
		})
	}
}

func TestTransactionCancel(t *testing.T) {
	c := dial(t, New(Options{}), "alice", "1")
	var got events
	tr := c.peer().Send(NewRequest("message", "/", nil)).OnResponse(func(res *Response) { got.add("%d", res.Status()) })
	c.take()
	tr.Cancel()
	tr.Cancel()
	wantStatus(t, tr, "487 canceled (local)")
	c.want(t)
	c.receive(answer(200, "ok", tr.ID()))
	got.want(t, "487")
	if len(c.peer().pending) != 0 {
		t.Error("the transaction is still pending")
	}
}

func TestTransactionNotSent(t *testing.T) {
	for _, tt := range []struct {
		name   string
		req    *Request
		reason string // part of it
	}{
		{"method", NewRequest("a b", "/", nil), "method"},
		{"no method", NewRequest("", "/", nil), "method"},
		{"path", NewRequest("message", "a", nil), "path"},
		{"long path", NewRequest("message", "/"+strings.Repeat("x", 2048), nil), "path"},
		{"data", NewRequest("message", "/", func() {}), "func()"},
		{"number", NewRequest("message", "/", math.NaN()), "NaN"},
		{"bad JSON", NewRequest("message", "/", JSON("{")), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := dial(t, New(Options{}), "alice", "1")
			tr := c.peer().Send(tt.req)
			got := status(tr)
			if !strings.HasPrefix(got, "400 ") || !strings.Contains(got, tt.reason) || !tr.Final().IsLocal() {
				t.Errorf("got %s, want a local 400 that speaks of %s", got, tt.reason)
			}
			c.want(t)
			if _, err := c.peer().App().Broadcast("", "", tt.req); err == nil {
				t.Error("Broadcast: no error")
			}
			c.want(t)
		})
	}
}

func TestTransactionLimit(t *testing.T) {
	app := New(Options{MaxTransactions: 2})
	c, other := dial(t, app, "alice", "1"), dial(t, app, "bob", "1")
	send := func(c *fakeConn) *Transaction { return c.peer().Send(NewRequest("message", "/", nil)) }
	first := send(c)
	send(c)
	c.take()
	wantStatus(t, send(c), "503 peer has too many requests to answer (local)")
	c.want(t)
	wantStatus(t, send(other), "pending")
	c.receive(answer(100, "trying", first.ID()))
	wantStatus(t, send(c), "503 peer has too many requests to answer (local)")
	c.receive(answer(300, "no", first.ID()))
	wantStatus(t, first, "300 no")
	wantStatus(t, send(c), "pending")
}

func TestTransactionID(t *testing.T) {
	app := New(Options{})
	var incoming *Request
	app.Use("/", func(req *Request, _ Next) error {
		incoming = req
		return nil
	})
	from, to := dial(t, app, "alice", "1"), dial(t, app, "bob", "1")
	sentID := func() string {
		sent := to.take()
		m, err := parse(sent[len(sent)-1])
		if err != nil {
			t.Fatal(err)
		}
		return m.id
	}
	// send has alice ask for something with an id, and forwards that to bob.
	send := func(id string) (tr *Transaction, wire string) {
		from.receive(`{"method":"message","path":"/","id":` + id + `}`)
		tr = to.peer().Send(incoming)
		return tr, sentID()
	}
	taken := map[string]bool{}
	for _, tt := range []struct {
		id   string
		kept bool
	}{
		{`"a"`, true}, {`"a"`, false}, {`"\u0061"`, false}, {`"a"`, false},
		{`7`, true}, {`7`, false}, {`"7"`, true}, {`"\u0062"`, true}, {`"b"`, false},
	} {
		tr, wire := send(tt.id)
		if (wire == tt.id) != tt.kept || taken[wire] {
			t.Errorf("id %s was sent as %s", tt.id, wire)
		}
		if tr.ID() != idText(wire) {
			t.Errorf("ID: got %q for %s", tr.ID(), wire)
		}
		taken[wire] = true
		defer wantAnswered(t, to, tr, wire)
	}
	to.receive(`{"status":200,"reason":"","id":"\u0061"}`)
	if tr, wire := send(`"a"`); wire != `"a"` {
		t.Errorf("the id is free again, but was sent as %s", wire)
	} else {
		tr.Cancel()
	}
	if tr, wire := send(`"a"`); wire != `"a"` {
		t.Errorf("the id is free again after Cancel, but was sent as %s", wire)
	} else {
		tr.Cancel()
	}

	own := NewRequest("message", "/", nil)
	ids := map[string]bool{}
	for range 100 {
		ids[to.peer().Send(own).ID()] = true
	}
	if len(ids) != 100 || own.ID() != "" {
		t.Errorf("%d ids were made up for 100 requests; the request's own is %q", len(ids), own.ID())
	}
}

// wantAnswered checks that the transaction gets the response to the id that was sent.
func wantAnswered(t *testing.T, c *fakeConn, tr *Transaction, wire string) {
	t.Helper()
	c.receive(`{"status":200,"reason":"for ` + tr.Request().Method() + `","id":` + wire + `}`)
	if res := tr.Final(); res == nil || res.IsLocal() {
		t.Errorf("%v: sent as %s, got %s", tr, wire, status(tr))
	}
}

// TestTransactionProcesses: what one process has asked must not be answered by what the peer sends to the next one.
func TestTransactionProcesses(t *testing.T) {
	ids := map[string]bool{}
	for range 4 {
		c := dial(t, New(Options{}), "alice", "1")
		ids[c.peer().Send(NewRequest("message", "/", nil)).ID()] = true
	}
	if len(ids) == 1 {
		t.Error("all applications begin with the same id")
	}
}

func TestTransactionReplay(t *testing.T) {
	c := dial(t, New(Options{}), "alice", "1")
	tr := c.peer().Send(NewRequest("message", "/", nil))
	var all []string
	record := func(list *[]string) func(*Response) {
		return func(res *Response) { *list = append(*list, res.Reason()) }
	}
	tr.OnResponse(record(&all))
	for i := range 100 {
		c.receive(answer(100, strconv.Itoa(i), tr.ID()))
	}
	var late []string
	tr.OnResponse(record(&late))
	c.receive(answer(200, "end", tr.ID()))
	var later []string
	tr.OnResponse(record(&later))

	var want []string
	for i := range 100 {
		want = append(want, strconv.Itoa(i))
	}
	want = append(want, "end")
	for _, tt := range []struct {
		name string
		got  []string
		want []string
	}{
		{"from the beginning", all, want},
		{"in between", late, want[100-maxKept:]},
		{"after the end", later, want[101-maxKept:]},
	} {
		if !slices.Equal(tt.got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, tt.got, tt.want)
		}
	}
}

// TestTransactionFlood has a peer send provisional responses without end to a listener that does not keep up.
func TestTransactionFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, New(Options{}), "alice", "1")
		tr := c.peer().Send(NewRequest("message", "/", nil))
		release := make(chan struct{})
		var got []string
		tr.OnResponse(func(res *Response) {
			<-release
			got = append(got, res.Reason())
		})
		c.serve()
		most := 0
		for i := range 3000 {
			c.write(answer(100, strconv.Itoa(i), tr.ID()))
			if i%100 == 0 {
				settle()
				tr.mu.Lock()
				most = max(most, len(tr.responses))
				tr.mu.Unlock()
			}
		}
		if most == 0 || most > maxKept {
			t.Errorf("%d responses were kept, want at most %d", most, maxKept)
		}
		settle()
		close(release)
		settle()
		if len(got) > maxKept+2 || got[0] != "0" || got[len(got)-1] != "sending timeout" {
			t.Errorf("the listener got %d responses, from %q to %q", len(got), got[0], got[len(got)-1])
		}
		c.hangUp()
	})
}

// TestTransactionKept has a peer send provisional responses that are large, or seem small.
func TestTransactionKept(t *testing.T) {
	app := New(Options{})
	asker, c := dial(t, app, "bob", "1"), dial(t, app, "alice", "1")
	var forwarded *Transaction
	app.Use("/", func(req *Request, _ Next) error {
		forwarded = Forward(req, c.peer())
		return nil
	})
	large := strings.Repeat("x", 10_000)
	for name, format := range map[string]string{
		"data":          `{"status":100,"reason":"","id":%q,"data":%q}`,
		"unknown field": `{"status":100,"reason":"","id":%q,"more":%q}`,
	} {
		tr := c.peer().Send(NewRequest("message", "/", nil))
		asker.receive(ask("/", name, ""))
		for i := range 100 {
			c.receive(fmt.Sprintf(format, tr.ID(), large))
			c.receive(fmt.Sprintf(format, forwarded.ID(), large))
			asker.take()
			if n := len(tr.responses); i > 0 && n != 1 {
				t.Fatalf("%s: %d responses are kept, want the newest", name, n)
			}
			if n := len(forwarded.responses); n != 0 || forwarded.size != 0 {
				t.Fatalf("%s: %d responses of %d bytes are kept that were passed on", name, n, forwarded.size)
			}
		}
		c.receive(answer(200, "end", forwarded.ID()))
		if res := forwarded.Final(); res == nil || res.Reason() != "end" {
			t.Errorf("%s: the final response is %v", name, res)
		}
		c.receive(answer(200, "end", tr.ID()))
	}
}

// TestTransactionListeners: they are called one at a time, each with all responses in order, whoever else fails.
func TestTransactionListeners(t *testing.T) {
	app := New(Options{})
	var e events
	app.OnRouteError(func(err error, _ *Request) { e.add("%v", err) })
	c := dial(t, app, "alice", "1")
	tr := c.peer().Send(NewRequest("message", "/", nil))
	tr.OnResponse(func(res *Response) {
		e.add("first %s", res.Reason())
		if res.Reason() == "a" {
			tr.OnResponse(func(res *Response) { e.add("added %s", res.Reason()) })
			c.receive(answer(101, "b", tr.ID())) // comes while a is being announced
		}
	})
	tr.OnResponse(func(res *Response) {
		e.add("second %s", res.Reason())
		panic("oops")
	})
	c.receive(answer(100, "a", tr.ID()))
	e.want(t, "first a", "second a", "panic: oops",
		"first b", "second b", "panic: oops", "added a", "added b")
	c.receive(answer(200, "c", tr.ID()))
	e.want(t, "first c", "second c", "panic: oops", "added c")
}

func TestTransactionConcurrency(t *testing.T) {
	app := New(Options{})
	for round := range 200 {
		c := dial(t, app, "alice", strconv.Itoa(round))
		tr := c.peer().Send(NewRequest("message", "/", nil))
		var running sync.WaitGroup
		counts := make([]int, 4)
		finals := make([]int, 4)
		for i := range counts {
			running.Go(func() {
				tr.OnResponse(func(res *Response) {
					counts[i]++ // no lock: one listener is called at a time
					if !res.IsProvisional() {
						finals[i]++
					}
				})
			})
		}
		running.Go(func() {
			for range 20 {
				c.receive(answer(100, "", tr.ID()))
			}
			c.receive(answer(200, "", tr.ID()))
		})
		running.Go(tr.Cancel)
		running.Go(func() { _ = c.peer().Close(0, "") })
		running.Go(func() {
			if res, err := tr.Wait(t.Context()); err != nil || res.IsProvisional() {
				t.Errorf("Wait: got %v, %v", res, err)
			}
		})
		running.Wait()
		tr.mu.Lock() // whoever calls the listeners last may still be at it
		calling := tr.calling
		tr.mu.Unlock()
		if calling {
			t.Error("listeners are called after everybody has returned")
		}
		for i := range finals {
			if finals[i] != 1 || counts[i] > 21 {
				t.Errorf("listener %d got %d responses, %d of them final", i, counts[i], finals[i])
			}
		}
	}
}

func TestTransactionWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, New(Options{}), "alice", "1")
		tr := c.peer().Send(NewRequest("message", "/", nil))
		cause := errors.New("no patience")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, cause)
		defer cancel()
		if res, err := tr.Wait(ctx); res != nil || err != cause {
			t.Errorf("got %v, %v, want the context's cause", res, err)
		}
		wantStatus(t, tr, "pending")
		go func() {
			time.Sleep(time.Second)
			c.receive(answer(100, "trying", tr.ID()))
			time.Sleep(time.Second)
			c.receive(answer(603, "decline", tr.ID()))
		}()
		began := time.Now()
		if res, err := tr.Wait(t.Context()); err != nil || res != tr.Final() || res.Status() != 603 || time.Since(began) != 2*time.Second {
			t.Errorf("got %v, %v after %v", res, err, time.Since(began))
		}
		if res, err := tr.Wait(ctx); err != nil || res.Status() != 603 {
			t.Errorf("Wait after the end, with a context that has ended: got %v, %v", res, err)
		}
	})
}

// TestTransactionWaitForOwnPeer has handlers ask the peer they serve. With the request's context the wait does not hold
// up the reading at all.
func TestTransactionWaitForOwnPeer(t *testing.T) {
	for _, tt := range []struct {
		name    string
		context func(*Request) context.Context
		most    time.Duration
	}{
		{"request's context", (*Request).Context, 0},
		{"derived context", func(req *Request) context.Context {
			return context.WithValue(req.Context(), &tick, 1)
		}, 0},
		{"other context", func(*Request) context.Context { return context.Background() }, 2 * loopTick},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := New(Options{})
				answered := make(chan time.Time, 1)
				app.Use("/", func(req *Request, _ Next) error {
					res, err := req.Peer().Send(NewRequest("message", "/question", nil)).Wait(tt.context(req))
					answered <- time.Now()
					if err != nil {
						return err
					}
					return req.Reply(res.Status(), res.Reason())
				})
				c := dial(t, app, "alice", "1")
				c.serve()
				c.write(ask("/", "1", ""))
				synctest.Wait()
				question, err := parse(c.take()[0])
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				c.write(answer(222, "answered", idText(question.id)))
				if waited := (<-answered).Sub(began); waited > tt.most {
					t.Errorf("the loop was held up for %v", waited)
				}
				synctest.Wait()
				c.want(t, answer(222, "answered", "1"))
				c.hangUp()
			})
		})
	}
}

var tick int // a context key
