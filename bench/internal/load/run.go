package load

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/protoo-go/protoo/bench/internal/machine"
)

// run is a job that is being done.
type run struct {
	ctx    context.Context
	fail   context.CancelCauseFunc
	server Server
	job    Job
	began  time.Time

	measuring atomic.Bool
	answers   []atomic.Int64 // by peer
	latency   *recorder

	mu    sync.Mutex
	conns map[Conn]struct{}
	gone  Traffic // of those that have left

	measurement *Measurement
}

func newRun(ctx context.Context, fail context.CancelCauseFunc, s Server, job Job) *run {
	job.InFlight = max(job.InFlight, 1)
	return &run{ctx: ctx, fail: fail, server: s, job: job, began: time.Now(), latency: newRecorder(),
		answers: make([]atomic.Int64, job.Peers), conns: make(map[Conn]struct{}), measurement: new(Measurement)}
}

// firstOf is the number of a peer's first request. No two peers have the same numbers, so that an answer to another one's request is not taken.
func (r *run) firstOf(peer int) int64 {
	return firstID + int64(peer)*((lastID-firstID)/int64(r.job.Peers))
}

func (r *run) now() time.Duration { return time.Since(r.began) }

// failed ends the run, unless it is at its end.
func (r *run) failed(what string, err error) {
	r.fail(fmt.Errorf("%s: %w", what, err))
}

func username(n int) string { return fmt.Sprintf("u%d", n) }

const uuid = "d"

// dial connects a peer until the end of the run.
func (r *run) dial(username, uuid string) (Conn, error) {
	ctx, cancel := context.WithTimeout(r.ctx, 20*time.Second)
	defer cancel()
	conn, err := r.server.Dial(ctx, username, uuid)
	if err != nil {
		return nil, fmt.Errorf("connect %s: %w", username, err)
	}
	d := r.server.Dialect()
	if d.Ping != "" {
		conn = &ponging{conn, d}
	}
	if err := greet(conn, d); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("greet as %s: %w", username, err)
	}
	r.mu.Lock()
	r.conns[conn] = struct{}{}
	r.mu.Unlock()
	if err := context.Cause(r.ctx); err != nil {
		r.hangUp(conn) // leave may have come before
		return nil, err
	}
	return conn, nil
}

// connect is dial, again when it took too long: on a busy machine a handshake can be given up that is not part of what is measured.
func (r *run) connect(username, uuid string) (conn Conn, err error) {
	const attempts = 3
	for range attempts {
		conn, err = r.dial(username, uuid)
		timeout, ok := errors.AsType[net.Error](err)
		if !ok || !timeout.Timeout() || r.ctx.Err() != nil {
			break
		}
	}
	return conn, err
}

// greet does what a dialect wants before everything else.
func greet(conn Conn, d Dialect) error {
	for _, hello := range d.Hello {
		if err := conn.Send([]byte(hello)); err != nil {
			return err
		}
	}
	for range d.Skip {
		if _, err := conn.Receive(); err != nil {
			return err
		}
	}
	return nil
}

// ponging is a connection that answers pings which are messages.
type ponging struct {
	Conn
	dialect Dialect
}

func (c *ponging) Receive() ([]byte, error) {
	for {
		msg, err := c.Conn.Receive()
		if err != nil || string(msg) != c.dialect.Ping {
			return msg, err
		}
		if err := c.Send([]byte(c.dialect.Pong)); err != nil {
			return nil, err
		}
	}
}

// hangUp ends a connection.
func (r *run) hangUp(conn Conn) {
	_ = conn.Close()
	t := conn.Traffic()
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, there := r.conns[conn]; there {
		delete(r.conns, conn)
		r.gone = r.gone.add(t)
	}
}

// dialAll connects peers, some at a time.
func (r *run) dialAll(n int, dial func(i int) error) error {
	const atATime = 16
	var next atomic.Int64
	var all sync.WaitGroup
	var failure atomic.Pointer[error]
	for range min(n, atATime) {
		all.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n || r.ctx.Err() != nil || failure.Load() != nil {
					return
				}
				if err := dial(i); err != nil {
					failure.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	all.Wait()
	if err := failure.Load(); err != nil {
		return *err
	}
	return context.Cause(r.ctx)
}

// leave closes all connections.
func (r *run) leave() {
	r.mu.Lock()
	conns := slices.Collect(maps.Keys(r.conns))
	r.mu.Unlock()
	var all sync.WaitGroup
	for _, conn := range conns {
		all.Go(func() { r.hangUp(conn) })
	}
	all.Wait()
}

// receive gives each message of a connection to handle, until the run ends.
func (r *run) receive(who string, conn Conn, handle func(msg []byte) error) {
	for {
		msg, err := conn.Receive()
		if err == nil {
			err = handle(msg)
		}
		if r.ctx.Err() != nil {
			return
		}
		if err != nil {
			r.failed(who, err)
			return
		}
	}
}

// patience is how long the load waits for one more answer than it has.
const patience = 20 * time.Second

// measure waits for the warm-up to end and measures for the job's duration. Where that is too short for an answer, it goes on
// until there is one. Afterwards each peer has to get one more: a peer that got none any more would have been left out of everything, unnoticed.
func (r *run) measure() error {
	if err := r.sleep(r.job.Warmup); err != nil {
		return err
	}
	err := r.between(func() error {
		r.measuring.Store(true)
		defer r.measuring.Store(false)
		before := r.requests()
		err := r.sleep(r.job.Duration)
		for until := r.now() + patience; err == nil && r.requests() == before && r.now() < until; {
			err = r.sleep(time.Millisecond)
		}
		return err
	})
	if err != nil {
		return err
	}
	before := make([]int64, len(r.answers))
	for i := range r.answers {
		before[i] = r.answers[i].Load()
	}
	until := r.now() + patience
	for i := range r.answers {
		for r.answers[i].Load() == before[i] {
			if r.now() > until {
				return fmt.Errorf("peer %d of %d got no answer any more, within %v", i, len(r.answers), patience)
			}
			if err := r.sleep(time.Millisecond); err != nil {
				return err
			}
		}
	}
	return nil
}

// between measures what happens while work runs. Whatever is divided by each other is read together: this goroutine can
// lose its processor at any point.
func (r *run) between(work func() error) error {
	m := r.measurement
	own, _ := machine.CPUOfSelf() // where there is none, the report says 0
	delay, busy, waits := machine.RunDelay(), machine.Busy(), machine.SchedulingDelays()
	before, err := r.look()
	if err != nil {
		return err
	}
	if err := work(); err != nil {
		return err
	}
	after, err := r.look()
	if err != nil {
		return err
	}
	ownAfter, _ := machine.CPUOfSelf()
	m.Generator.CPU = ownAfter.Since(own)
	m.Generator.RunDelay = machine.RunDelay() - delay
	m.Generator.Busy = machine.Busy() - busy
	m.Generator.Scheduling = machine.SchedulingDelays().Quantile(waits, 0.99)
	m.Elapsed = after.at.Sub(before.at)
	m.Requests = after.requests - before.requests
	m.Server = after.server.Since(before.server)
	m.Traffic = Traffic{Sent: after.traffic.Sent - before.traffic.Sent, Received: after.traffic.Received - before.traffic.Received}
	m.Latency = r.latency.merge()
	return nil
}

// glance is what there was until a moment.
type glance struct {
	at       time.Time
	server   machine.Reading
	requests int64
	traffic  Traffic
}

func (r *run) look() (g glance, err error) {
	g.traffic = r.traffic()
	g.at = time.Now()
	g.requests = r.requests()
	g.server, err = r.server.CPU()
	return g, err
}

func (r *run) sleep(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}
}

func (r *run) traffic() Traffic {
	r.mu.Lock()
	defer r.mu.Unlock()
	sum := r.gone
	for conn := range r.conns {
		sum = sum.add(conn.Traffic())
	}
	return sum
}

func (t Traffic) add(u Traffic) Traffic { return Traffic{t.Sent + u.Sent, t.Received + u.Received} }

// count notes a request that has been answered now, or the like. Its time counts after the warm-up.
func (r *run) count(who int, took time.Duration) {
	if r.measuring.Load() {
		r.latency.record(who, took)
	}
	r.answers[who].Add(1)
}

// requests returns how many have been answered, of all peers together.
func (r *run) requests() (sum int64) {
	for i := range r.answers {
		sum += r.answers[i].Load()
	}
	return sum
}

// on puts a path into a dialect's request.
func on(request, path string) string { return strings.ReplaceAll(request, "$path", path) }
