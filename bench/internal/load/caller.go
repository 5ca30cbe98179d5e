package load

import (
	"sync/atomic"
	"time"
)

// A caller is a peer that sends requests and knows which ones have no answer yet. One goroutine may send while another receives.
type caller struct {
	number   int
	conn     Conn
	request  *form
	response *form
	next     int64
	waiting  []pending // by the remainder of the id
	lossy    bool      // requests that are long without an answer are lost
}

// pending is a request without an answer, if id is not 0. Times count from the beginning of the run.
type pending struct {
	id       atomic.Int64
	intended atomic.Int64
	sent     atomic.Int64
}

// lostAfter is when a request without an answer makes room for another, where requests get lost.
const lostAfter = 5 * time.Second

// newCaller returns one whose requests have the numbers from first on.
func newCaller(number int, first int64, conn Conn, request, response string, payload, window int) *caller {
	return &caller{
		number:   number,
		conn:     conn,
		request:  newForm(request, payload),
		response: newForm(response, payload),
		next:     first,
		waiting:  make([]pending, window),
	}
}

// send sends the next request, or reports that there is no room for one more without an answer.
func (c *caller) send(intended, now time.Duration) (ok bool, err error) {
	p := &c.waiting[c.next%int64(len(c.waiting))]
	if p.id.Load() != 0 && (!c.lossy || now-time.Duration(p.sent.Load()) < lostAfter) {
		return false, nil
	}
	p.intended.Store(int64(intended))
	p.sent.Store(int64(now))
	p.id.Store(c.next)
	msg := c.request.fill(c.next)
	c.next++
	return true, c.conn.Send(msg)
}

// answered takes an answer and returns when its request was to be sent, and when it was.
func (c *caller) answered(msg []byte) (intended, sent time.Duration, err error) {
	id, err := c.response.match(msg)
	if err != nil {
		return 0, 0, err
	}
	p := &c.waiting[id%int64(len(c.waiting))]
	intended, sent = time.Duration(p.intended.Load()), time.Duration(p.sent.Load())
	if id == 0 || !p.id.CompareAndSwap(id, 0) {
		return 0, 0, errUnasked
	}
	return intended, sent, nil
}
