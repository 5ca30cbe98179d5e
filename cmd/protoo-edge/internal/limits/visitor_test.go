package limits

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protoo-go/protoo/core"
)

func request(path, data string) string {
	return fmt.Sprintf(`{"method":"message","path":%q,"id":1,"data":%s}`, path, data)
}

// send sends requests, and returns the statuses of their answers, each once for those that follow each other.
func (c *conn) send(n int, path, data string) string {
	var statuses []string
	for range n {
		c.receive(request(path, data))
		status := "none"
		if got := c.take(); got != "" {
			status = got[len(`{"status":`):][:3]
		}
		if k := len(statuses); k == 0 || statuses[k-1] != status {
			statuses = append(statuses, status)
		}
	}
	return strings.Join(statuses, " ")
}

func serving(o Options) *edge {
	e := newEdge(o)
	e.app.Use("/", func(req *core.Request, next core.Next) error {
		if strings.HasPrefix(req.Path(), "/echo") {
			return req.Reply(200, "OK")
		}
		next()
		return nil
	})
	return e
}

// TestRequests sends faster than is allowed, waits as it is told, and goes on.
func TestRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := serving(Options{Requests: Rate{PerSecond: 4, Burst: 10}})
		c := e.want(t, "@", "alice", "1", "")
		if got := c.send(10, "/echo", "1"); got != "200" {
			t.Errorf("a burst: got %s", got)
		}
		c.receive(request("/echo", "1"))
		if got, want := c.take(), `{"status":429,"reason":"too many requests","id":1,"data":{"retryAfter":0.25}}`; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		time.Sleep(250*time.Millisecond - 1)
		if got := c.send(1, "/echo", "1"); got != "429" {
			t.Errorf("too early: got %s", got)
		}
		time.Sleep(time.Nanosecond)
		if got := c.send(2, "/echo", "1"); got != "200 429" {
			t.Errorf("in time: got %s", got)
		}
		if got := e.want(t, "@", "bob", "1", "").send(1, "/echo", "1"); got != "200" {
			t.Errorf("somebody else: got %s", got)
		}

		// An answer is no request.
		tr := c.link.Peer().Send(core.NewRequest("message", "/", nil))
		c.take()
		c.receive(fmt.Sprintf(`{"status":200,"id":%q}`, tr.ID()))
		if tr.Final() == nil || tr.Final().IsLocal() {
			t.Errorf("got response %v", tr.Final())
		}

		// Another rate holds at once, and so does none.
		e.limits.Set(Options{Requests: Rate{PerSecond: 4, Burst: 11}})
		if got := c.send(2, "/echo", "1"); got != "200 429" {
			t.Errorf("with a larger burst: got %s", got)
		}
		e.limits.Set(Options{})
		if got := c.send(1000, "/echo", "1"); got != "200" {
			t.Errorf("without a limit: got %s", got)
		}
		c.wantClosed(t)
		e.wantRefused(t, map[Cause]uint64{Requests: 4})
	})
}

// TestReconnect finds no new burst behind a new connection.
func TestReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := serving(Options{Requests: Rate{PerSecond: 1, Burst: 10}})
		e.want(t, "@", "alice", "1", "").send(10, "/echo", "1")
		e.conn.link.Closed(1000, "")
		c := e.want(t, "@", "alice", "1", "")
		if got := c.send(2, "/echo", "1"); got != "429" {
			t.Errorf("after a reconnection: got %s", got)
		}
		if got := e.want(t, "@", "alice", "2", "").send(10, "/echo", "1"); got != "200" {
			t.Errorf("another device: got %s", got)
		}
		c.link.Closed(1000, "")
		time.Sleep(3 * time.Second)
		if got := e.want(t, "@", "alice", "1", "").send(4, "/echo", "1"); got != "200 429" {
			t.Errorf("after three seconds: got %s", got)
		}
	})
}

// TestBytes owes what cannot be refused.
func TestBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := serving(Options{Bytes: Rate{PerSecond: 1000, Burst: 2000}, Patience: 10 * time.Second})
		c := e.want(t, "@", "alice", "1", "")
		message := func(size int) string {
			empty := request("/echo", `""`)
			return strings.Replace(empty, `""`, `"`+strings.Repeat("x", size-len(empty))+`"`, 1)
		}
		c.receive(message(2000))
		if got := c.take(); !strings.HasPrefix(got, `{"status":200,`) {
			t.Errorf("a burst: got %s", got)
		}
		c.receive(message(500))
		if got, want := c.take(), `{"status":429,"reason":"too many bytes","id":1,"data":{"retryAfter":0.5}}`; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		time.Sleep(time.Second)
		c.receive(message(500))
		if got := c.take(); !strings.HasPrefix(got, `{"status":200,`) {
			t.Errorf("with nothing owed: got %s", got)
		}

		// Responses and what is no message count as well, and are not refused.
		c.receive(`{"status":200,"id":1,"data":"` + strings.Repeat("x", 700) + `"}`)
		c.receive(strings.Repeat("x", 800))
		c.receive(message(100))
		if got := c.take(); !strings.Contains(got, `"retryAfter":1.`) {
			t.Errorf("got %s", got)
		}
		c.wantClosed(t)

		// In ten seconds it may send 10,000 bytes. Whatever they are, it may not owe more.
		for range 80 {
			c.receive(`{"status":200,"id":1,"data":"` + strings.Repeat("x", 100-30) + `"}`)
		}
		c.wantClosed(t)
		c.receive(strings.Repeat("x", 800))
		c.receive(strings.Repeat("x", 800))
		c.wantClosed(t, "1008 rate limit")
		if c.take(); e.app.Stats().Peers != 0 {
			t.Error("the peer is still online")
		}
		e.wantRefused(t, map[Cause]uint64{Bytes: 2, Patience: 1})
	})
}

// TestPatience sends at different speeds, on and on.
func TestPatience(t *testing.T) {
	for _, tt := range []struct {
		rate  Rate
		every time.Duration
		n     int // of requests until it is closed, 0 for never
	}{
		{Rate{PerSecond: 100, Burst: 1}, 10 * time.Millisecond, 0},   // as fast as it may
		{Rate{PerSecond: 100, Burst: 2}, 9500 * time.Microsecond, 0}, // a little faster
		{Rate{PerSecond: 100, Burst: 200}, time.Nanosecond, 1201},    // as fast as it can: ten seconds of the rate, and the burst
		{Rate{PerSecond: 100, Burst: 1}, 5 * time.Millisecond, 2224}, // twice as fast
		{Rate{PerSecond: 1, Burst: 1}, time.Nanosecond, 102},         // a hundred may be refused in any case
		{Rate{PerSecond: 1, Burst: 1}, 500 * time.Millisecond, 0},    // or one every ten seconds, and ten seconds of the rate
		{Rate{PerSecond: 0.1, Burst: 1}, time.Second, 0},             // polite, if not patient
	} {
		t.Run(fmt.Sprint(tt.rate, tt.every), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := serving(Options{Requests: tt.rate, Patience: 10 * time.Second})
				c := e.want(t, "@", "alice", "1", "")
				closed := 0
				for n := range 5000 {
					c.receive(request("/echo", "1"))
					if len(c.closed) > 0 {
						closed = n + 1
						break
					}
					time.Sleep(tt.every)
				}
				if closed != tt.n {
					t.Errorf("closed after %d requests, want %d", closed, tt.n)
				}
				if closed > 0 {
					c.wantClosed(t, "1008 rate limit")
				}
			})
		})
	}
}

// TestImpatience goes on for ever where patience is off.
func TestImpatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := serving(Options{Requests: Rate{PerSecond: 1, Burst: 1}, Bytes: Rate{PerSecond: 1, Burst: 1}})
		c := e.want(t, "@", "alice", "1", "")
		c.send(10000, "/echo", "1")
		c.wantClosed(t)
	})
}

func TestRule(t *testing.T) {
	for _, tt := range []struct {
		per                     Per
		device, user, neighbour string // what those get that share more and more with who has used up everything
	}{
		{PerPeer, "200", "200", "200"},
		{"", "200", "200", "200"},
		{PerUser, "429", "200", "200"},
		{PerAddress, "429", "429", "200"},
	} {
		t.Run(string(tt.per), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEdge(Options{Patience: 10 * time.Second})
				rule := e.limits.NewRule(RuleOptions{Requests: Rate{PerSecond: 2, Burst: 3}, Per: tt.per})
				e.app.Use("/rooms/:id", rule.Handle)
				e.app.Use("/", func(req *core.Request, _ core.Next) error { return req.Reply(200, "OK") })

				c := e.want(t, "192.0.2.1:1", "alice", "phone", "")
				if got := c.send(3, "/rooms/1", "1") + " " + c.send(1, "/rooms/2/x", "1") + " " + c.send(9, "/other", "1"); got != "200 429 200" {
					t.Errorf("got %s", got)
				}
				c.receive(request("/rooms/1", "1"))
				if got, want := c.take(), `{"status":429,"reason":"too many requests for this path","id":1,"data":{"retryAfter":0.5}}`; got != want {
					t.Errorf("got %s, want %s", got, want)
				}
				for _, other := range []struct{ from, username, want string }{
					{"192.0.2.1:2", "alice", tt.device}, {"192.0.2.1:3", "bob", tt.user}, {"192.0.2.2:1", "carol", tt.neighbour},
				} {
					if got := e.want(t, other.from, other.username, "tablet", "").send(1, "/rooms/1", "1"); got != other.want {
						t.Errorf("%s from %s: got %s, want %s", other.username, other.from, got, other.want)
					}
				}
				time.Sleep(time.Second)
				if got := c.send(3, "/rooms/1", "1"); got != "200 429" && tt.per != PerAddress {
					t.Errorf("after a second: got %s", got)
				}
				rule.Set(RuleOptions{})
				if got := c.send(100, "/rooms/1", "1"); got != "200" {
					t.Errorf("without a limit: got %s", got)
				}
				rule.Set(RuleOptions{Requests: Rate{PerSecond: 1, Burst: 1}, Per: tt.per})
				c.send(200, "/rooms/1", "1")
				c.wantClosed(t, "1008 rate limit")
			})
		})
	}
}

// TestRuleBytes lets one through that is larger than a burst, and then none.
func TestRuleBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEdge(Options{})
		e.app.Use("/", e.limits.NewRule(RuleOptions{Bytes: Rate{PerSecond: 100, Burst: 50}}).Handle)
		e.app.Use("/", func(req *core.Request, _ core.Next) error { return req.Reply(200, "OK") })
		c := e.want(t, "192.0.2.1:1", "alice", "phone", "")
		c.receive(request("/", `"`+strings.Repeat("x", 148)+`"`))
		c.receive(request("/", "1"))
		if got, want := c.take(), `{"status":200,"reason":"OK","id":1}`+"\n"+
			`{"status":429,"reason":"too many bytes for this path","id":1,"data":{"retryAfter":1}}`; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		time.Sleep(time.Second)
		if got := c.send(1, "/", "1"); got != "200" {
			t.Errorf("a second later: got %s", got)
		}
	})
}

func BenchmarkReceive(b *testing.B) {
	for name, o := range map[string]Options{
		"unlimited": {}, "limited": {Requests: Rate{1e12, 1e9}, Bytes: Rate{1e12, 1e9}, Patience: time.Second},
	} {
		b.Run(name, func(b *testing.B) {
			v := &visitor{limits: New(core.New(core.Options{}), o)}
			for b.Loop() {
				if _, over := v.Receive(300, true); over {
					b.Fatal("refused")
				}
			}
		})
	}
}
