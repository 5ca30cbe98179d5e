package client_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protoo-go/protoo/client"
	"github.com/protoo-go/protoo/core"
)

func TestRequest(t *testing.T) {
	s := newServer(t, core.Options{})
	s.app.Message("/progress", func(req *core.Request, _ core.Next) error {
		for i := range 3 {
			if err := req.Reply(100+i, "wait", i); err != nil {
				return err
			}
		}
		return req.Reply(201, "made", map[string]int{"n": 3})
	})
	s.app.Message("/reject", func(req *core.Request, _ core.Next) error {
		return req.Reply(486, "busy", "call later")
	})
	c := s.connect(t, client.Options{})

	t.Run("accepted", func(t *testing.T) {
		res, err := request(t, c, "/echo", map[string]string{"text": "hello"})
		if err != nil {
			t.Fatal(err)
		}
		if res.Status() != 200 || res.Data() != `{"text":"hello"}` {
			t.Errorf("got %d %s %s", res.Status(), res.Reason(), res.Data())
		}
	})
	t.Run("provisional", func(t *testing.T) {
		var got []string
		res, err := request(t, c, "/progress", nil, client.OnProvisional(func(res *core.Response) {
			got = append(got, fmt.Sprint(res.Status(), " ", res.Data()))
		}))
		if err != nil {
			t.Fatal(err)
		}
		if want := []string{"100 0", "101 1", "102 2"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		var data struct{ N int }
		if err := res.Bind(&data); err != nil || data.N != 3 || res.Status() != 201 {
			t.Errorf("got %d %v, %v", res.Status(), data, err)
		}
	})
	t.Run("rejected", func(t *testing.T) {
		_, err := request(t, c, "/reject", nil)
		rejection(t, err, 486, "busy", false)
		var rejected *client.Error
		if errors.As(err, &rejected) && rejected.Data != `"call later"` {
			t.Errorf("got data %s", rejected.Data)
		}
		var status *core.StatusError
		if !errors.As(err, &status) || status.Status != 486 || status.Reason != "busy" {
			t.Errorf("as a StatusError it is %v", status)
		}
		if got := err.Error(); got != "486 busy" {
			t.Errorf("it reads %q", got)
		}
	})
	t.Run("not to be sent", func(t *testing.T) {
		_, err := c.Request(t.Context(), "no spaces", "/", nil)
		var rejected *client.Error
		if !errors.As(err, &rejected) || rejected.Status != 400 || !rejected.Local {
			t.Errorf("got %v", err)
		}
	})
	t.Run("transaction", func(t *testing.T) {
		res, err := c.Send(core.NewRequest("message", "/echo", 1)).Wait(t.Context())
		if err != nil || res.Data() != "1" {
			t.Errorf("got %v, %v", res, err)
		}
	})
}

func TestRequestTime(t *testing.T) {
	type wait struct {
		name     string
		method   string
		deadline time.Duration
		opts     []client.RequestOption
		want     time.Duration
		err      error // nil: a local 408
	}
	for _, w := range []wait{
		{name: "standard", method: "message", want: 10 * time.Second},
		{name: "session", method: "session", want: 120 * time.Second},
		{name: "option", method: "session", opts: []client.RequestOption{client.Timeout(time.Second)}, want: time.Second},
		{name: "deadline", method: "message", deadline: 3 * time.Second, want: 3 * time.Second, err: context.DeadlineExceeded},
		{name: "later deadline", method: "message", deadline: time.Hour, want: time.Hour, err: context.DeadlineExceeded},
		{name: "option before deadline", method: "message", deadline: time.Hour, opts: []client.RequestOption{client.Timeout(time.Minute)}, want: time.Minute},
		{name: "deadline over", method: "message", deadline: -time.Second, want: 0, err: context.DeadlineExceeded},
	} {
		bubble(t, w.name, func(t *testing.T) {
			s := newServer(t, core.Options{})
			c := s.connect(t, client.Options{})
			ctx := t.Context()
			if w.deadline != 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, w.deadline)
				defer cancel()
			}
			began := time.Now()
			_, err := c.Request(ctx, w.method, "/silence", nil, w.opts...)
			elapsed(t, began, w.want)
			if w.err == nil {
				rejection(t, err, 408, "sending timeout", true)
			} else if !errors.Is(err, w.err) {
				t.Errorf("got %v, want %v", err, w.err)
			}
		})
	}
}

func TestRequestCanceled(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		s := newServer(t, core.Options{})
		var asked *core.Request
		s.app.All("/ask", func(req *core.Request, _ core.Next) error {
			asked = req
			return req.Reply(100, "thinking")
		})
		c := s.connect(t, client.Options{})
		enough := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		got := 0
		failed := make(chan error)
		go func() {
			_, err := c.Request(ctx, "message", "/ask", nil, client.OnProvisional(func(*core.Response) { got++ }))
			failed <- err
		}()
		synctest.Wait()
		cancel(enough)
		if err := <-failed; !errors.Is(err, enough) {
			t.Errorf("got %v, want %v", err, enough)
		}
		for _, status := range []int{101, 200} {
			if err := asked.Reply(status, "too late"); err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		if got != 1 {
			t.Errorf("got %d provisional responses, want the one before the end", got)
		}
		if n := c.App().Stats().StrayResponses; n != 2 {
			t.Errorf("%d responses found no transaction, want 2", n)
		}
	})
}

func TestServe(t *testing.T) {
	s := newServer(t, core.Options{})
	var c *client.Client
	c = s.connect(t, client.Options{
		Routes: func(app *core.App) {
			app.Message("/users/:name", func(req *core.Request, _ core.Next) error {
				return req.Reply(200, "from "+string(req.Sender()), req.Param("name"))
			})
			// A handler that asks back gets the answer, though it holds up the requests behind it.
			app.Method("ask", "/back", func(req *core.Request, _ core.Next) error {
				res, err := c.Request(req.Context(), "message", "/echo", "back")
				if err != nil {
					return err
				}
				return req.Reply(200, "OK", res.Data())
			})
			app.Method("ask", "/nobody", func(req *core.Request, _ core.Next) error {
				_, err := c.Request(req.Context(), "message", "/nobody", nil)
				return err
			})
		},
	})
	spoofed := core.NewRequest("message", "/users/alice", nil)
	if err := spoofed.SetSender(map[string]string{"username": "bob"}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		req    *core.Request
		status int
		reason string
		data   core.JSON
	}{
		{spoofed, 200, `from {"username":"bob"}`, `"alice"`},
		{core.NewRequest("message", "/users/alice", nil), 200, "from ", `"alice"`},
		{core.NewRequest("ask", "/back", nil), 200, "OK", `"back"`},
		{core.NewRequest("ask", "/nobody", nil), 404, "no handler for message at /nobody", ""},
		{core.NewRequest("message", "/nowhere", nil), 404, "no handler for message at /nowhere", ""},
	} {
		res, err := s.alice(t).Send(tt.req).Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if res.Status() != tt.status || res.Reason() != tt.reason || res.Data() != tt.data {
			t.Errorf("%v: got %d %s %s, want %d %s %s", tt.req, res.Status(), res.Reason(), res.Data(), tt.status, tt.reason, tt.data)
		}
	}
}

func TestBounds(t *testing.T) {
	bubble(t, "transactions", func(t *testing.T) {
		s := newServer(t, core.Options{})
		c := s.connect(t, client.Options{App: core.Options{MaxTransactions: 2}})
		for range 2 {
			c.Send(core.NewRequest("message", "/silence", nil))
		}
		_, err := request(t, c, "/silence", nil)
		rejection(t, err, 503, "peer has too many requests to answer", true)
	})
	bubble(t, "held", func(t *testing.T) {
		s := newServer(t, core.Options{GracePeriod: time.Minute})
		c := s.connect(t, client.Options{App: core.Options{MaxHeld: 1000}})
		s.fail(errors.New("unplugged"))
		s.drop(t)
		text := strings.Repeat("x", 600)
		first := c.Send(core.NewRequest("message", "/echo", text))
		_, err := request(t, c, "/echo", text)
		rejection(t, err, 503, "peer too slow", true)
		// What has got its final response makes room.
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if res := first.Final(); res == nil || res.Status() != 408 {
			t.Fatalf("got %v, want 408", res)
		}
		s.fail(nil)
		if _, err := request(t, c, "/echo", text, client.Timeout(time.Minute)); err != nil {
			t.Error(err)
		}
	})
}
