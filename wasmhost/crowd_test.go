package wasmhost

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	runtimemetrics "runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/memory"
)

// A crowd is peers that use a native handler at /good while others send requests to a hostile module at /bad.
type crowd struct {
	*rig
	module    *Module
	peers     []*member
	attackers []*member // as many as there are processors
}

const crowdSize = 50

// newCrowd connects the peers. Without a guest there is nobody who attacks.
func newCrowd(t testing.TB, g *guest) *crowd {
	c := &crowd{rig: newRig(t)}
	c.app.All("/good", func(req *core.Request, _ core.Next) error { return req.Reply(200, "", req.Data()) })
	c.app.All("/native", func(*core.Request, core.Next) error { return core.Error(500, "no") })
	if g != nil {
		c.module = c.load(g, func(o *ModuleOptions) {
			// Instances are replaced as fast as they fail, and what is kept times out at once.
			o.Limits = Limits{Restarts: math.MaxInt, PendingTimeout: time.Millisecond}
		})
		c.app.Use("/bad", c.module.Handle)
	}
	c.app.All("/bad", last)
	transport := memory.New(c.app, func(r *core.ConnectRequest) (core.Identity, error) {
		return core.Identity{Username: r.QueryValue("username"), UUID: "1"}, nil
	}, memory.Options{})
	c.app.Attach(transport)
	dial := func(name string) *member {
		conn, err := transport.Dial(t.Context(), core.ConnectRequest{Query: map[string][]string{"username": {name}}})
		if err != nil {
			t.Fatal(err)
		}
		return &member{name, conn}
	}
	c.peers = []*member{dial("alice"), dial("bob")} // whom some of the modules send messages to
	for i := len(c.peers); i < crowdSize; i++ {
		c.peers = append(c.peers, dial("peer"+strconv.Itoa(i)))
	}
	for i := range runtime.GOMAXPROCS(0) {
		c.attackers = append(c.attackers, dial("mallory"+strconv.Itoa(i)))
	}
	return c
}

// attack lets all attackers send one request after the other until stop is closed, and at least three each. It returns how
// many got which status.
func (c *crowd) attack(ctx context.Context, stop <-chan struct{}) (statuses map[int]int, err error) {
	var mu sync.Mutex
	statuses = make(map[int]int)
	var group sync.WaitGroup
	for _, m := range c.attackers {
		group.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					if i >= 3 {
						return
					}
				default:
				}
				path := "/native"
				if c.module != nil {
					path = "/bad"
					c.module.current.Load().breaker.succeeded() // or else the module would be left alone after a few requests
				}
				status, failed := m.bad(ctx, path, i)
				mu.Lock()
				statuses[status]++
				err = errors.Join(err, failed)
				mu.Unlock()
				if failed != nil {
					return
				}
			}
		})
	}
	group.Wait()
	return statuses, err
}

// A member is the client of one peer.
type member struct {
	name string
	conn *memory.Conn
}

// bad sends a request to the module, or another path, and returns the status of the response.
func (m *member) bad(ctx context.Context, path string, i int) (status int, err error) {
	if err := m.conn.Send(fmt.Appendf(nil, `{"method":"message","path":"%s","id":"%d","data":1}`, path, i)); err != nil {
		return 0, err
	}
	msg, err := m.conn.Receive(ctx)
	if err != nil {
		return 0, err
	}
	var reason string
	if _, err := fmt.Sscanf(string(msg), `{"status":%d,"reason":%q,"id":"`+strconv.Itoa(i)+`"`, &status, &reason); err != nil {
		return 0, fmt.Errorf("%s got %s: %w", m.name, msg, err)
	}
	return status, nil
}

func (m *member) send(i int) error {
	return m.conn.Send(fmt.Appendf(nil, `{"method":"message","path":"/good","id":"%d","data":"%s %d"}`, i, m.name, i))
}

func (m *member) want(ctx context.Context, i int) error {
	msg, err := m.conn.Receive(ctx)
	if err != nil {
		return fmt.Errorf("%s waits for the response to %d: %w", m.name, i, err)
	}
	if want := fmt.Sprintf(`{"status":200,"reason":"","id":"%d","data":"%s %d"}`, i, m.name, i); string(msg) != want {
		return fmt.Errorf("%s got %s, want %s", m.name, msg, want)
	}
	return nil
}

// good sends n requests to the native handler, with some of them in flight at a time, and checks that each is answered, in
// order, with nothing in between.
func (m *member) good(ctx context.Context, n, inFlight int) error {
	sent := 0
	for i := range n {
		for ; sent < min(i+inFlight, n); sent++ {
			if err := m.send(sent); err != nil {
				return err
			}
		}
		if err := m.want(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// keepsAll never says what happens to a request.
func keepsAll(g *guest) { g.on = g.give(actionPending, 0, nil) }

// Whatever a module does, the other peers get their answers, and who has sent it a request gets one as well.
func TestHostileCrowd(t *testing.T) {
	for _, procs := range []int{1, 2} {
		for _, h := range append(slices.Clone(hostiles), hostile{"keeps every request", keepsAll, KindTimeout, ""}) {
			t.Run(fmt.Sprintf("%s/procs=%d", h.name, procs), func(t *testing.T) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
				testHostileCrowd(t, h)
			})
		}
	}
}

func testHostileCrowd(t *testing.T, h hostile) {
	g := &guest{manifest: manifest(EventRequest, EventReply).can(Capabilities()...)}
	h.build(g)
	c := newCrowd(t, g)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // so that a response that is lost does not hang the test
	defer cancel()

	stop := make(chan struct{})
	attacked := make(chan struct{})
	go func() {
		defer close(attacked)
		statuses, err := c.attack(ctx, stop)
		if err != nil {
			t.Error(err)
		}
		for status, n := range statuses {
			if status != 500 && status != 503 && (h.kind != "" || status != 200) {
				t.Errorf("%d requests to the module got the status %d", n, status)
			}
		}
	}()
	var peers sync.WaitGroup
	for _, m := range c.peers {
		peers.Go(func() {
			if err := m.good(ctx, 20, 4); err != nil {
				t.Error(err)
			}
		})
	}
	peers.Wait()
	close(stop)
	<-attacked
	c.wantBroken(ctx, t, h.kind)
	if s := c.module.Stats(); s.Waiting != 0 || s.Sends != 0 || s.Pending != 0 || s.Timers != 0 {
		t.Errorf("left over: %+v", s)
	}
	if n := len(c.host.long); n != 0 {
		t.Errorf("%d calls count as long after their end", n)
	}
	_ = c.app.Close(true)
	for _, m := range slices.Concat(c.peers, c.attackers) {
		if msg, err := m.conn.Receive(ctx); err == nil {
			t.Errorf("%s got %s, which nobody has asked for", m.name, msg)
		}
	}
}

// wantBroken checks that a module which fails every time is soon left alone, and that peers learn of it.
func (c *crowd) wantBroken(ctx context.Context, t *testing.T, k Kind) {
	if k == "" || k == KindTimeout {
		return // it does not fail, or only later
	}
	m := c.attackers[0]
	for i := range breakAfter {
		if _, err := m.bad(ctx, "/bad", i); err != nil {
			t.Fatal(err)
		}
	}
	if !c.module.Stats().Broken {
		t.Errorf("after %d failures the module is still used", breakAfter)
	}
	for i := range 10 { // on a slow machine it may be tried again in between
		status, err := m.bad(ctx, "/bad", i)
		if err != nil {
			t.Fatal(err)
		}
		if status == 503 {
			return
		}
	}
	t.Error("no request has failed with 503")
}

// BenchmarkHostileCrowd reports how long the requests of 50 peers to a native handler take while a module does its worst on
// all processors, and how long the collector stops the process. Busy peers send the next request at
// once, the others after some milliseconds. What would soon end the attack, the breaker and the limit of new instances, is
// off: the module that traps is replaced thousands of times in a second. For comparison there are a native handler
// that fails as fast as it is asked to, and nobody who attacks.
func BenchmarkHostileCrowd(b *testing.B) {
	names := []string{"none", "native error", "endless loop", "exponential calls", "memory.fill", "memory.grow without end", "trap", "host calls that copy", "kv storm", "large messages"}
	for _, procs := range []int{1, 2} {
		for _, pause := range []time.Duration{0, 5 * time.Millisecond} {
			for _, name := range names {
				load := map[bool]string{true: "busy", false: "calm"}[pause == 0]
				b.Run(fmt.Sprintf("procs=%d/%s/%s", procs, load, strings.ReplaceAll(name, " ", "-")), func(b *testing.B) {
					defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
					benchHostileCrowd(b, name, pause)
				})
			}
		}
	}
}

func benchHostileCrowd(b *testing.B, name string, pause time.Duration) {
	var g *guest
	if i := slices.IndexFunc(hostiles, func(h hostile) bool { return h.name == name }); i >= 0 {
		g = &guest{manifest: manifest(EventRequest, EventReply).can(Capabilities()...)}
		hostiles[i].build(g)
	}
	c := newCrowd(b, g)
	stop, attacked := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(attacked)
		if name == "none" {
			return
		}
		if _, err := c.attack(b.Context(), stop); err != nil {
			b.Error(err)
		}
	}()
	var mu sync.Mutex
	var all []time.Duration
	var next atomic.Int64
	pauses := gcPauses()
	b.SetParallelism(crowdSize / runtime.GOMAXPROCS(0))
	b.RunParallel(func(pb *testing.PB) {
		m := c.peers[next.Add(1)-1]
		var took []time.Duration
		for i := 0; pb.Next(); i++ {
			began := time.Now()
			if err := m.send(i); err != nil {
				b.Error(err)
			}
			if err := m.want(b.Context(), i); err != nil {
				b.Error(err)
			}
			took = append(took, time.Since(began))
			time.Sleep(pause) // the load is what is simulated here
		}
		mu.Lock()
		all = append(all, took...)
		mu.Unlock()
	})
	longest, n := pauses()
	close(stop)
	<-attacked
	slices.Sort(all)
	us := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
	b.ReportMetric(us(all[len(all)/2]), "p50-µs")
	b.ReportMetric(us(all[len(all)*99/100]), "p99-µs")
	b.ReportMetric(us(longest), "gc-pause-max-µs")
	b.ReportMetric(float64(n), "gc-pauses")
}

// gcPauses returns a function that tells how long the longest pause for the collector has been since, to the precision
// of the runtime's histogram, and how many there were.
func gcPauses() func() (longest time.Duration, n uint64) {
	read := func() *runtimemetrics.Float64Histogram {
		s := []runtimemetrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}}
		runtimemetrics.Read(s)
		return s[0].Value.Float64Histogram()
	}
	before := read()
	return func() (longest time.Duration, n uint64) {
		after := read()
		for i, count := range after.Counts {
			if more := count - before.Counts[i]; more > 0 {
				n += more
				longest = time.Duration(after.Buckets[i] * float64(time.Second)) // the bucket's lower end: the last has no upper
			}
		}
		return longest, n
	}
}
