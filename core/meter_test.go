package core

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// scriptMeter is a meter that says what the test has told it to.
type scriptMeter struct {
	events
	excess []Excess // of the next messages, in order; a zero one is none
}

func (m *scriptMeter) Receive(size int, request bool) (Excess, bool) {
	m.add("%d %v", size, request)
	if len(m.excess) == 0 {
		return Excess{}, false
	}
	e := m.excess[0]
	m.excess = m.excess[1:]
	return e, e != Excess{}
}

func (m *scriptMeter) Closed() { m.add("closed") }

func dialMetered(t *testing.T, app *App, m Meter) *fakeConn {
	t.Helper()
	c := newFakeConn()
	if err := c.connect(app, Identity{Username: "alice", UUID: "1", Meter: m}); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestMeter(t *testing.T) {
	app := New(Options{})
	served := 0
	app.All("/echo", func(req *Request, _ Next) error { served++; return req.Reply(200, "ok") })
	m := &scriptMeter{}
	c := dialMetered(t, app, m)
	if c.peer().Meter() != Meter(m) {
		t.Errorf("got meter %v", c.peer().Meter())
	}

	busy := Excess{Reason: "slow down", RetryAfter: 1500*time.Millisecond - 1}
	request := ask("/echo", "1", "")
	m.excess = []Excess{{}, busy, {}}
	for range 3 {
		c.receive(request)
	}
	c.want(t, answer(200, "ok", "1"), `{"status":429,"reason":"slow down","id":"1","data":{"retryAfter":1.5}}`, answer(200, "ok", "1"))
	if served != 2 {
		t.Errorf("%d requests were served, want 2", served)
	}
	is := fmt.Sprintf("%d true", len(request))
	m.want(t, is, is, is)

	// What is no request is counted, and goes on.
	tr := c.peer().Send(NewRequest("message", "/", nil))
	c.take()
	response := answer(200, "ok", tr.ID())
	m.excess = []Excess{busy, busy, busy}
	c.receive(response)
	if res := tr.Final(); res == nil || res.IsLocal() {
		t.Errorf("got response %v", res)
	}
	c.receive(`{"method":"x","id":7}`)
	c.want(t, `{"status":400,"reason":"invalid message: missing \"path\" (at byte 20)","id":7}`)
	c.link.ReceiveBad(c.loop, fmt.Errorf("binary"))
	m.want(t, fmt.Sprintf("%d false", len(response)), "21 false", "0 false")
	if bad := app.Stats().BadMessages; bad != 2 {
		t.Errorf("%d bad messages, want 2", bad)
	}
	c.wantClosed(t)

	c.link.Closed(CloseNormal, "")
	m.want(t, "closed")
	if got := c.peer().Meter(); got != nil {
		t.Errorf("without a connection: got meter %v", got)
	}
}

// TestMeterCloses has each kind of message be the one too many. The peer is offline at once, and what comes later is ignored.
func TestMeterCloses(t *testing.T) {
	for name, message := range map[string]string{"request": ask("/", "1", ""), "response": answer(200, "", "1"), "bad": "{"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := New(Options{GracePeriod: time.Minute})
				var e events
				e.watch(app)
				m := &scriptMeter{excess: []Excess{{Reason: "rate limit", Close: true}, {Reason: "rate limit", Close: true}, {Reason: "again"}}}
				c := dialMetered(t, app, m)
				for range 3 {
					c.receive(message)
				}
				c.wantClosed(t, "1008 rate limit")
				c.want(t)
				e.want(t, "online alice/1", "disconnect alice/1 1008 rate limit", "offline alice/1")
			})
		})
	}
}

// TestMeterTakenOver has a connection that was taken over do too much: that is not the peer's business any more.
func TestMeterTakenOver(t *testing.T) {
	app := New(Options{})
	m := &scriptMeter{}
	old := dialMetered(t, app, m)
	m2 := &scriptMeter{}
	c := dialMetered(t, app, m2)
	m.excess = []Excess{{Reason: "rate limit", Close: true}, {Reason: "slow down"}}
	for range 2 {
		old.receive(ask("/", "1", ""))
	}
	c.wantClosed(t)
	c.want(t)
	if c.peer().Meter() != Meter(m2) {
		t.Error("the peer has the meter of the connection that was taken over")
	}
	old.link.Closed(CloseOnlineElsewhere, "")
	m.events.mu.Lock()
	defer m.events.mu.Unlock()
	if !slices.Contains(m.list, "closed") {
		t.Errorf("the meter was told %q", m.list)
	}
}

// TestMeterWithoutConnection is told of the end of what has not begun.
func TestMeterWithoutConnection(t *testing.T) {
	app := New(Options{})
	m := &scriptMeter{}
	if err := newFakeConn().connect(app, Identity{Username: "alice", Meter: m}); err == nil {
		t.Error("connected without a uuid")
	}
	m.want(t, "closed")
	accept := func(*ConnectRequest) (Identity, error) { return Identity{UUID: "1", Meter: m}, nil }
	if _, refused := app.Admit(accept, &ConnectRequest{}); refused == nil {
		t.Error("admitted without a username")
	}
	m.want(t, "closed")
	_ = app.Close(false)
	if err := newFakeConn().connect(app, Identity{Username: "alice", UUID: "1", Meter: m}); err == nil {
		t.Error("connected to a closed application")
	}
	m.want(t, "closed")
}

func TestExcessData(t *testing.T) {
	for d, want := range map[time.Duration]JSON{
		-time.Second: `{"retryAfter":0}`, 0: `{"retryAfter":0}`, 1: `{"retryAfter":0.001}`, 250 * time.Millisecond: `{"retryAfter":0.25}`,
		time.Minute: `{"retryAfter":60}`, 1001 * time.Microsecond: `{"retryAfter":0.002}`,
	} {
		if got := (Excess{RetryAfter: d}).Data(); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}
