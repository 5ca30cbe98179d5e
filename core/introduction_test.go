package core

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// introduced returns an introduction that believes the names in the data of the first request: "alice/phone".
func introduced(log *events) *Introduction {
	return &Introduction{
		Accept: func(req *Request) (Identity, error) {
			log.add("asked %s %s as %v", req.Method(), req.Path(), req.Peer())
			var name string
			if err := req.Bind(&name); err != nil {
				return Identity{}, Reject(401, "who?")
			}
			username, uuid, _ := strings.Cut(name, "/")
			return Identity{
				Username: username, UUID: uuid, Data: map[string]any{"role": "admin"},
				Connected: func(p *Peer) { log.add("connected %v", p) },
			}, nil
		},
		Ended: func() { log.add("ended") },
	}
}

// dialUnknown connects somebody who has not said who they are.
func dialUnknown(t *testing.T, app *App, in *Introduction) *fakeConn {
	t.Helper()
	c := newFakeConn()
	if err := c.connect(app, Identity{Introduction: in}); err != nil {
		t.Fatal(err)
	}
	return c
}

func hello(name string) string {
	return fmt.Sprintf(`{"method":"hello","path":"/token","id":7,"data":%q}`, name)
}

func TestIntroduction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := New(Options{})
		log := new(events)
		log.watch(app)
		app.All("/echo", func(req *Request, _ Next) error { return req.Reply(200, "", req.Data()) })
		c := dialUnknown(t, app, introduced(log))
		guest := c.peer()
		if n := app.Peers("", "", nil); n != 0 || guest.Username() != "" {
			t.Errorf("%d peers, and %v", n, guest)
		}
		c.serve()
		c.write(hello("alice/phone"), ask("/echo", "1", `"after"`))
		settle()
		c.want(t,
			`{"status":200,"reason":"OK","id":7,"data":{"username":"alice","uuid":"phone"}}`,
			`{"status":200,"reason":"","id":"1","data":"after"}`)
		p := app.Peer("alice", "phone")
		if p == nil || c.peer() != p || p.Data().Get("role") != "admin" {
			t.Errorf("the peer is %v, the link's %v", p, c.peer())
		}
		log.want(t, "asked hello /token as /", "online alice/phone", "connected alice/phone", "ended")
		time.Sleep(time.Hour) // the timeout was only for the first request
		c.hangUp()
		c.link.Closed(1000, "bye")
		settle()
		log.want(t, "disconnect alice/phone 1000 bye", "offline alice/phone")
		c.wantClosed(t)
	})
}

func TestIntroductionTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := New(Options{GracePeriod: time.Minute})
		log := new(events)
		log.watch(app)
		first := dial(t, app, "alice", "phone")
		second := dialUnknown(t, app, introduced(log))
		second.receive(hello("alice/phone"))
		settle()
		first.wantClosed(t, "3000 online elsewhere")
		if second.peer() != first.peer() {
			t.Error("there are two peers")
		}
		log.want(t, "online alice/phone", "asked hello /token as /", "connected alice/phone", "ended")
		second.link.Closed(1006, "")
		app.Peer("alice", "phone").Send(NewRequest("message", "/held", nil))
		third := dialUnknown(t, app, introduced(log))
		third.receive(hello("alice/phone"))
		settle()
		sent := third.take()
		if len(sent) != 2 || !strings.HasPrefix(sent[0], `{"status":200,`) || !strings.Contains(sent[1], "/held") {
			t.Errorf("sent %q, want the answer and then what was held", sent)
		}
		log.want(t, "disconnect alice/phone 1006 ", "asked hello /token as /", "reconnect alice/phone", "connected alice/phone", "ended")
		_ = app.Close(true)
	})
}

func TestIntroductionFails(t *testing.T) {
	cause := errors.New("the database is on fire")
	for _, tt := range []struct {
		name   string
		accept func(*Request) (Identity, error)
		first  string
		sent   string
		closed string
		report error
	}{
		{"refused", func(*Request) (Identity, error) { return Identity{}, Reject(401, "expired") }, hello("x"),
			`{"status":401,"reason":"expired","id":7}`, "4401 expired", nil},
		{"other error", func(*Request) (Identity, error) { return Identity{}, cause }, hello("x"),
			`{"status":500,"reason":"internal error","id":7}`, "4500 internal error", cause},
		{"no name", func(*Request) (Identity, error) { return Identity{}, nil }, hello("x"),
			`{"status":500,"reason":"internal error","id":7}`, "4500 internal error", errors.New("core: username is empty")},
		{"twice", func(*Request) (Identity, error) { return Identity{Introduction: &Introduction{}}, nil }, hello("x"),
			`{"status":500,"reason":"internal error","id":7}`, "4500 internal error", errors.New("core: username is empty")},
		{"answered already", func(req *Request) (Identity, error) {
			return Identity{}, errors.Join(req.Reply(402, "pay"), Reject(402, "pay"))
		}, hello("x"), `{"status":402,"reason":"pay","id":7}`, "4402 pay", nil},
		{"bad message", nil, `{"method":"hello","id":7}`,
			`{"status":400,"reason":"invalid message: missing \"path\" (at byte 24)","id":7}`, "1007 too many bad messages", nil},
		{"nothing", nil, "", "", "4408 the first request took too long", nil},
		{"a response", nil, `{"status":200,"id":1}`, "", "4408 the first request took too long", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := New(Options{})
				log := new(events)
				log.watch(app)
				app.OnBadMessage(func(*Peer, error) { t.Error("a listener was told of a peer that it cannot know") })
				var report error
				app.OnRouteError(func(err error, _ *Request) { report = err })
				c := dialUnknown(t, app, &Introduction{Accept: tt.accept, Ended: func() { log.add("ended") }})
				if tt.first != "" {
					c.receive(tt.first)
				}
				synctest.Wait()
				if tt.sent != "" {
					c.want(t, tt.sent)
				}
				if strings.HasPrefix(tt.closed, "1007") {
					c.wantClosed(t, tt.closed)
					c.link.Closed(1007, "")
				}
				time.Sleep(5 * time.Second)
				synctest.Wait()
				c.wantClosed(t, tt.closed)
				c.link.Closed(1006, "")
				log.want(t, "ended")
				if fmt.Sprint(report) != fmt.Sprint(tt.report) {
					t.Errorf("reported %v, want %v", report, tt.report)
				}
				if n := app.Peers("", "", nil); n != 0 {
					t.Errorf("%d peers", n)
				}
			})
		})
	}
}

// What happens while Accept is deciding.
func TestIntroductionMeanwhile(t *testing.T) {
	for _, tt := range []struct {
		name   string
		event  func(*App, *fakeConn)
		closes []string
		log    []string
	}{
		{"the connection ends", func(_ *App, c *fakeConn) { c.link.Closed(1000, "bye") }, nil, []string{"ended"}},
		{"the application is closed", func(app *App, _ *fakeConn) { _ = app.Close(true) }, []string{"1001 shutting down"}, []string{"ended"}},
		{"more arrives", func(_ *App, c *fakeConn) {
			if flow := c.receive(hello("eve/1")); flow != Pause {
				panic(flow)
			}
		}, nil, []string{"online alice/phone", "connected alice/phone", "ended"}},
		{"time passes", func(*App, *fakeConn) { time.Sleep(time.Hour) }, nil, []string{"online alice/phone", "connected alice/phone", "ended"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := New(Options{})
				log := new(events)
				log.watch(app)
				release := make(chan struct{})
				in := introduced(new(events))
				in.Ended = func() { log.add("ended") }
				in.Accept = func(*Request) (Identity, error) {
					<-release
					return Identity{Username: "alice", UUID: "phone", Connected: func(p *Peer) { log.add("connected %v", p) }}, nil
				}
				c := dialUnknown(t, app, in)
				if flow := c.receive(hello("alice/phone")); flow != Pause {
					t.Errorf("got %v, want Pause", flow)
				}
				tt.event(app, c)
				close(release)
				settle()
				log.want(t, tt.log...)
				c.wantClosed(t, tt.closes...)
				_ = app.Close(true)
			})
		})
	}
}

func TestIntroductionAfterClose(t *testing.T) {
	app := New(Options{})
	_ = app.Close(true)
	ended := 0
	err := newFakeConn().connect(app, Identity{Introduction: &Introduction{Ended: func() { ended++ }}})
	if !errors.Is(err, ErrClosed) || ended != 1 {
		t.Errorf("got %v, and Ended was called %d times", err, ended)
	}
}

// The end of a connection is told to somebody, whatever it coincides with.
func TestIntroductionRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := New(Options{})
		var ended atomic.Int32
		const many = 500
		for i := range many {
			c := dialUnknown(t, app, &Introduction{
				Accept: func(*Request) (Identity, error) { return Identity{Username: fmt.Sprint(i), UUID: "1"}, nil },
				Ended:  func() { ended.Add(1) },
			})
			go c.receive(hello("x"))
			go c.link.Closed(1006, "")
		}
		synctest.Wait()
		if n := app.Peers("", "", nil); n != 0 {
			t.Errorf("%d peers are left over", n)
		}
		time.Sleep(time.Minute)
		if n := ended.Load(); n != many {
			t.Errorf("Ended was called %d times, want %d", n, many)
		}
	})
}
