package webhook

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/throttle"
)

const (
	firstRetry = time.Second     // the wait before it, which doubles from one to the next
	lastRetry  = time.Minute     // and grows no longer than this
	maxPause   = 5 * time.Minute // that a receiver can ask for
	maxBody    = 4 << 10         // of an answer, which nobody looks at
)

// A receiver is a server that is told of events. No goroutine runs while there is nothing to tell.
type receiver struct {
	o      *Options
	poster *poster
	losses throttle.Throttle

	ctx    context.Context // of the calls
	cancel context.CancelFunc

	mu      sync.Mutex
	lanes   map[string]*lane // of the users that there is something to tell about
	ready   []*lane          // whose first event can be told now, in this order
	active  int              // goroutines that make calls
	idle    chan struct{}    // closed when there are none and nothing waits; nil unless close waits for that
	paused  *time.Timer      // until the receiver wants to be called again; nil if it does not mind
	closing bool
	stats   Stats
}

// A lane holds the events of one user, so that they are told in order.
type lane struct {
	user     string
	events   []message
	attempts int         // to tell the first one
	timer    *time.Timer // for the next attempt; nil if it is ready or being told
}

type message struct {
	id   string
	body []byte
}

func newReceiver(url string, o *Options) *receiver {
	r := &receiver{o: o, poster: newPoster(url, o.Signer, o.Concurrency, o.Transport), lanes: make(map[string]*lane)}
	r.stats.URL = name(url)
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// queue takes an event, unless there are too many already: the newest one is lost then, and the next says so.
func (r *receiver) queue(user string, e *event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closing || r.stats.Queue >= r.o.Queue {
		r.stats.Dropped++
		r.lost(1, "the queue is full")
		return
	}
	e.Dropped = r.stats.Dropped + r.stats.Failed + r.stats.Rejected
	r.stats.Queue++
	l := r.lanes[user]
	if l == nil {
		l = &lane{user: user}
		r.lanes[user] = l
		r.ready = append(r.ready, l)
	}
	l.events = append(l.events, message{NewID(), e.encode()})
	r.start()
}

// lost is called with the lock.
func (r *receiver) lost(events int, reason string) {
	if n := r.losses.Hit(events); n > 0 && r.o.Lost != nil {
		go r.o.Lost(r.stats.URL, n, reason) // it may write to a log that waits
	}
}

// start has as many goroutines at work as there is work for. It is called with the lock.
func (r *receiver) start() {
	ended := r.ctx.Err() != nil
	for n := len(r.ready); n > 0 && r.active < r.o.Concurrency && r.paused == nil && !ended; n-- {
		r.active++
		go r.work()
	}
	if r.idle != nil && r.active == 0 && (r.stats.Queue == 0 || ended) {
		close(r.idle)
		r.idle = nil
	}
}

func (r *receiver) work() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.ready) > 0 && r.paused == nil && r.ctx.Err() == nil {
		l := r.ready[0]
		r.ready[0] = nil
		r.ready = r.ready[1:]
		m := l.events[0]
		if l.attempts > 0 {
			r.stats.Retried++
		}
		l.attempts++
		r.mu.Unlock()
		result := r.tell(m)
		r.mu.Lock()
		r.settle(l, result)
	}
	r.active--
	r.start()
}

// outcome is what has become of an attempt.
type outcome struct {
	delivered bool
	again     bool          // it makes sense to try again
	pause     time.Duration // that the receiver wants
	reason    string        // why it was not delivered
}

// tell makes one attempt.
func (r *receiver) tell(m message) outcome {
	ctx, cancel := context.WithTimeout(r.ctx, r.o.Timeout)
	defer cancel()
	res, err := r.poster.post(ctx, m.id, "", m.body, maxBody)
	if _, long := errors.AsType[tooLong](err); err != nil && !long {
		return outcome{again: true, reason: err.Error()}
	}
	o := outcome{reason: "the receiver answered " + strconv.Itoa(res.status)}
	switch {
	case res.status >= 200 && res.status < 300:
		o.delivered = true
	case res.status >= 500, res.status == http.StatusTooManyRequests, res.status == http.StatusRequestTimeout:
		o.again = true
		o.pause = retryAfter(res.header.Get("Retry-After"), time.Now())
	}
	return o
}

// settle draws the conclusion of an attempt to tell the first event of a lane. It is called with the lock.
func (r *receiver) settle(l *lane, o outcome) {
	if r.ctx.Err() != nil && !o.delivered {
		r.ready = append(r.ready, l) // for close to count
		return
	}
	if o.pause > 0 && !r.closing && r.paused == nil {
		r.paused = time.AfterFunc(o.pause, func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.paused = nil
			r.start()
		})
	}
	switch {
	case o.delivered:
		r.stats.Delivered++
	case !o.again:
		r.stats.Rejected++
		r.lost(1, o.reason)
	case r.closing, l.attempts >= r.o.Attempts:
		r.stats.Failed++
		r.lost(1, o.reason)
	default:
		l.timer = time.AfterFunc(backoff(l.attempts), func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			if l.timer != nil { // else close has been faster
				l.timer = nil
				r.ready = append(r.ready, l)
				r.start()
			}
		})
		return
	}
	r.stats.Queue--
	l.attempts = 0
	l.events[0] = message{}
	l.events = l.events[1:]
	if len(l.events) > 0 {
		r.ready = append(r.ready, l)
	} else {
		delete(r.lanes, l.user)
	}
}

// close makes a last attempt at everything, until ctx ends, and returns how many events it has given up.
func (r *receiver) close(ctx context.Context) (lost int) {
	idle := make(chan struct{})
	r.mu.Lock()
	before := r.stats.Failed + r.stats.Rejected
	r.closing = true
	if r.paused != nil {
		r.paused.Stop()
		r.paused = nil
	}
	for _, l := range r.lanes {
		if l.timer != nil {
			l.timer.Stop()
			l.timer = nil
			r.ready = append(r.ready, l)
		}
	}
	r.idle = idle
	r.start()
	r.mu.Unlock()
	select {
	case <-idle:
	case <-ctx.Done():
		r.cancel()
		r.mu.Lock()
		r.start()
		r.mu.Unlock()
		<-idle // calls that are given up end at once
	}
	r.cancel()
	r.poster.close()
	r.mu.Lock()
	defer r.mu.Unlock()
	left := uint64(r.stats.Queue) //nolint:gosec // a length
	r.stats.Dropped += left
	r.stats.Queue = 0
	clear(r.lanes)
	r.ready = nil
	return int(r.stats.Failed + r.stats.Rejected + left - before) //nolint:gosec // no more than the queue had
}

func (r *receiver) figures() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}

// backoff is how long to wait after so many attempts: half of it is chance, so that what failed together does not come back together.
func backoff(attempts int) time.Duration {
	d := lastRetry
	if attempts < 8 {
		d = min(lastRetry, firstRetry<<(attempts-1))
	}
	return d/2 + rand.N(d/2)
}

// retryAfter reads the header field of that name (RFC 9110, section 10.2.3); 0 if it says nothing.
func retryAfter(text string, now time.Time) time.Duration {
	var d time.Duration
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		d = time.Duration(seconds) * time.Second //nolint:gosec // 31 bits
	} else if at, err := http.ParseTime(text); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), maxPause)
}
