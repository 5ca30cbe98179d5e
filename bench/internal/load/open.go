package load

import (
	"fmt"
	"sync"
	"time"
)

// maxWaiting is how many requests of a peer may have no answer before Open sends it no more.
const maxWaiting = 1000

// patienceLossy is what Open has of patience where answers may be lost.
const patienceLossy = time.Second

func (r *run) open() error {
	p := newPacer()
	defer p.close()
	return r.openWith(p.sleep)
}

// openWith waits with sleep, which may be early.
func (r *run) openWith(sleep func(time.Duration)) error {
	if r.job.Rate <= 0 {
		return fmt.Errorf("a rate of %g requests per second, expected more than 0", r.job.Rate)
	}
	d := r.server.Dialect()
	callers := make([]*caller, r.job.Peers)
	err := r.dialAll(len(callers), func(i int) error {
		conn, err := r.connect(username(i), uuid)
		if err == nil {
			callers[i] = newCaller(i, r.firstOf(i), conn, on(d.Request, "/echo"), d.Response, r.job.Payload, maxWaiting)
			callers[i].lossy = d.Lossy
		}
		return err
	})
	if err != nil {
		return err
	}
	o := &schedule{
		run:     r,
		pause:   sleep,
		callers: callers,
		service: newRecorder(),
		gap:     time.Duration(float64(time.Second) / r.job.Rate),
		start:   r.now() + 10*time.Millisecond,
	}
	o.from, o.until = o.start+r.job.Warmup, o.start+r.job.Warmup+r.job.Duration
	var all sync.WaitGroup
	for _, c := range callers {
		all.Go(func() { r.receive(username(c.number), c.conn, func(msg []byte) error { return o.answer(c, msg) }) })
	}
	err = o.drive()
	r.fail(errDone)
	r.leave()
	all.Wait()
	return err
}

// A schedule says when each request is to be sent, and keeps to it even when answers do not come. Requests that are to be sent
// from a time until another are measured, whenever they are answered.
type schedule struct {
	*run
	pause       func(time.Duration)
	callers     []*caller
	gap         time.Duration
	start       time.Duration
	from, until time.Duration
	service     *recorder
	lag         *Histogram
	sent, busy  int64
}

// answer counts from when the request should have been sent: what is lost to a stall is lost to all requests that
// it delays, and not only to the one that happened to be under way.
func (o *schedule) answer(c *caller, msg []byte) error {
	intended, sent, err := c.answered(msg)
	if err != nil {
		return err
	}
	if intended >= o.from && intended < o.until {
		now := o.now()
		o.latency.record(c.number, now-intended)
		o.service.record(c.number, now-sent)
		o.answers[c.number].Add(1)
	}
	return nil
}

// drive sends all requests, and returns when it knows what became of those that count.
func (o *schedule) drive() error {
	o.lag = NewHistogram()
	i, err := o.send(0, o.from)
	if err != nil {
		return err
	}
	err = o.between(func() error {
		_, err := o.send(i, o.until)
		return err
	})
	if err != nil {
		return err
	}
	lossy, wait := o.server.Dialect().Lossy, patience
	if lossy {
		wait = patienceLossy
	}
	for last, since := int64(0), o.now(); o.requests() < o.sent && o.now()-since < wait; {
		if err := o.sleep(5 * time.Millisecond); err != nil {
			return err
		}
		if n := o.requests(); n > last {
			last, since = n, o.now()
		}
	}
	m := o.measurement
	m.Requests = o.requests()
	m.Sent, m.Busy, m.Lost = o.sent, o.busy, o.sent-m.Requests
	if m.Lost > 0 && !lossy {
		return fmt.Errorf("%d of %d requests had no answer, although nothing gets lost on this transport", m.Lost, m.Sent)
	}
	m.Latency, m.Service, m.Lag = o.latency.merge(), o.service.merge(), o.lag
	for range m.Lost {
		m.Latency.Record(Never)
		m.Service.Record(Never)
	}
	return nil
}

// send sends the requests from the i-th on that are due before a time, and returns the number of the next.
func (o *schedule) send(i int, before time.Duration) (int, error) {
	for ; ; i++ {
		due := o.start + time.Duration(i)*o.gap
		if due >= before {
			return i, nil
		}
		for wait := due - o.now(); wait > 0; wait = due - o.now() {
			o.pause(wait)
		}
		if o.ctx.Err() != nil {
			return i, o.sleep(0)
		}
		now := o.now()
		ok, err := o.callers[i%len(o.callers)].send(due, now)
		if err != nil {
			return i, err
		}
		switch {
		case due < o.from:
		case ok:
			o.sent++
			o.lag.Record(now - due)
		default:
			o.busy++
		}
	}
}
