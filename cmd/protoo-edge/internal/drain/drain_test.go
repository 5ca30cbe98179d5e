package drain

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protoo-go/protoo/core"
)

// conns are connections that take note of when and how they are closed.
type conns struct {
	mu     sync.Mutex
	closes []closing
	sent   []string
}

type closing struct {
	at   time.Time
	code int
	hint time.Duration
}

type conn struct {
	all  *conns
	name string
}

func (c *conn) Send(msg []byte) error {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	c.all.sent = append(c.all.sent, c.name+" "+string(msg))
	return nil
}

func (c *conn) Close(code int, reason string) error {
	hint, ok := core.ParseReconnectHint(reason)
	if !ok || !strings.HasPrefix(reason, "restart;") {
		return fmt.Errorf("closed with reason %q", reason)
	}
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	c.all.closes = append(c.all.closes, closing{time.Now(), code, hint})
	return nil
}

func (c *conn) Resume()        {}
func (c *conn) String() string { return c.name }

func connect(t *testing.T, app *core.App, all *conns, name string) *core.Link {
	t.Helper()
	l, err := app.Connect(core.Identity{Username: name, UUID: "1"}, &conn{all, name})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestPace has clients closed, and told to come back, at an even rate.
func TestPace(t *testing.T) {
	for _, tt := range []struct {
		peers  int
		plan   Plan
		window time.Duration // in effect
	}{
		{2000, Plan{Window: 10 * time.Second}, 10 * time.Second},
		{2000, Plan{Window: 10 * time.Second, ReconnectAfter: 15 * time.Second}, 10 * time.Second},
		{50_000, Plan{Window: 10 * time.Second}, 10 * time.Second}, // five in a millisecond
		{50, Plan{Window: 10 * time.Second}, time.Second},
		{1, Plan{Window: 10 * time.Second}, 0},
		{0, Plan{Window: 10 * time.Second}, 0},
		{2000, Plan{}, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			app := core.New(core.Options{})
			var all conns
			for i := range tt.peers {
				connect(t, app, &all, fmt.Sprint("peer", i))
			}
			began := time.Now()
			var d Drain
			d.Run(t.Context(), app, tt.plan)
			if took := time.Since(began); took > tt.window {
				t.Errorf("%d peers: it took %v, want %v", tt.peers, took, tt.window)
			}
			if n := int64(tt.peers); d.Stats() != (Stats{Begun: true, Peers: n, Closed: n}) || len(all.closes) != tt.peers {
				t.Errorf("%d peers: %+v, %d closed", tt.peers, d.Stats(), len(all.closes))
			}
			const buckets = 10
			var closed, back [buckets]int
			for _, c := range all.closes {
				if c.code != core.CloseRestart {
					t.Fatalf("code %d", c.code)
				}
				extra := c.hint - tt.plan.ReconnectAfter
				if extra < 0 || extra >= time.Second {
					t.Fatalf("hint %v", c.hint)
				}
				if tt.window > 0 {
					closed[int(c.at.Sub(began)*buckets/tt.window)]++
				}
				back[int(extra*buckets/time.Second)]++
			}
			if tt.window == 0 {
				return
			}
			for i, n := range closed {
				if mean := tt.peers / buckets; n < mean-5 || n > mean+5 {
					t.Errorf("%d peers: tenth %d of the window has %d, want %d", tt.peers, i, n, mean)
				}
			}
			// Of 2,000 random numbers hardly ever more than 300 fall into one tenth.
			for i, n := range back {
				if tt.peers >= 2000 && n > tt.peers*3/20 {
					t.Errorf("%d peers: %d of the hints are in tenth %d", tt.peers, n, i)
				}
			}
		})
	}
}

// TestRequests has requests in progress, some of which end in time.
func TestRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := core.New(core.Options{})
		app.All("/wait", func(req *core.Request, _ core.Next) error {
			time.AfterFunc(2*time.Second, func() { _ = req.Reply(200, "waited") })
			return nil
		})
		app.All("/never", func(*core.Request, core.Next) error { return nil })
		var all conns
		loop := core.NewLoop(func() {})
		ask := func(name, path string) {
			connect(t, app, &all, name).Receive(loop, []byte(`{"method":"message","path":"`+path+`","id":1}`))
		}
		ask("alice", "/wait")
		ask("bob", "/never")
		began := time.Now()
		var d Drain
		d.Run(t.Context(), app, Plan{RequestTimeout: 5 * time.Second})
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("it took %v", took)
		}
		if s := d.Stats(); s.Cut != 1 || s.Closed != 2 {
			t.Errorf("got %+v", s)
		}
		if len(all.sent) != 2 || all.sent[0] != `alice {"status":200,"reason":"waited","id":1}` ||
			!strings.HasPrefix(all.sent[1], `bob {"status":503,"reason":"restart; reconnect in `) {
			t.Errorf("sent %q", all.sent)
		}
	})
}

// TestDeadline cuts a drain short: everybody is closed at once, and told so.
func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := core.New(core.Options{})
		app.All("/never", func(*core.Request, core.Next) error { return nil })
		var all conns
		for i := range 1000 {
			connect(t, app, &all, fmt.Sprint("peer", i)).Receive(core.NewLoop(func() {}), []byte(`{"method":"message","path":"/never","id":1}`))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		var d Drain
		d.Run(ctx, app, Plan{Window: time.Minute, RequestTimeout: time.Hour})
		if took := time.Since(began); took != time.Second || len(all.closes) != 1000 || len(all.sent) != 1000 {
			t.Errorf("it took %v; %d closed, %d answers", took, len(all.closes), len(all.sent))
		}
	})
}

// TestAccept lets nobody in once the drain has begun; who is on the way in then is closed like the others.
func TestAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := core.New(core.Options{})
		var d Drain
		accept := d.Accept(func(*core.ConnectRequest) (core.Identity, error) {
			return core.Identity{Username: "alice", UUID: "1"}, nil
		})
		if id, err := accept(&core.ConnectRequest{}); err != nil || id.Username != "alice" {
			t.Errorf("got %v, %v", id, err)
		}
		var all conns
		for i := range 100 {
			connect(t, app, &all, fmt.Sprint("peer", i))
		}
		time.AfterFunc(time.Second, func() { connect(t, app, &all, "late") })
		d.Run(t.Context(), app, Plan{Window: time.Minute})
		var refused *core.StatusError
		if _, err := accept(&core.ConnectRequest{}); !errors.As(err, &refused) || refused.Status != 503 {
			t.Errorf("got %v, want 503", err)
		}
		if app.Stats().Peers != 0 || len(all.closes) != 101 || d.Stats().Peers != 101 {
			t.Errorf("%d peers are left, %d were closed", app.Stats().Peers, len(all.closes))
		}
	})
}
