package core

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// A Transaction is a request that was sent to a peer, with the responses to it: any
// number of provisional ones and a final one. When the peer does not give a
// final one, it is made here:
//
//	400  the request cannot be encoded
//	408  "sending timeout": no final response in time
//	410  "peer offline": it is, or it went offline meanwhile
//	487  "canceled"
//	503  "peer too slow": its queue is full and the request was not sent
type Transaction struct {
	peer *Peer
	req  *Request
	id   string // as sent
	key  string // in the peer's pending transactions
	done chan struct{}

	began time.Duration // on the clock, if somebody observes

	mu        sync.Mutex
	timer     *time.Timer
	responses []*Response // in order, as far as listeners may still want them
	size      int         // bytes of the messages that they came in
	relayed   bool        // no listener comes later that wants earlier ones
	first     int         // the number of responses[0]
	ended     bool
	listeners []*listener
	calling   bool
	due       bool // tell is going to be called
}

type listener struct {
	fn   func(*Response)
	next int // the number of the response it gets next
}

// What is kept of the responses for listeners that are slow or yet to come: a peer can send provisional ones without
// end. The newest is always kept.
const (
	maxKept     = 64
	maxKeptSize = 16 << 10 // bytes
)

func newTransaction(p *Peer, req *Request) *Transaction {
	t := &Transaction{peer: p, req: req, done: make(chan struct{})}
	if p.app.observe.Transaction != nil {
		t.began = clock()
	}
	return t
}

// Request returns the request that was sent.
func (t *Transaction) Request() *Request { return t.req }

// Peer returns the peer it was sent to.
func (t *Transaction) Peer() *Peer { return t.peer }

// ID returns the identifier it was sent with: the request's own, or another when the
// peer already had a request with that one to answer.
func (t *Transaction) ID() string { return idText(t.id) }

// OnResponse registers a function that is called with every response in order, also
// with those that have already come, of which the last 64 are kept, or those that came in the last 16 KiB. One function is called at a
// time, on the goroutine that received the response or, for earlier ones, on this one.
func (t *Transaction) OnResponse(fn func(*Response)) *Transaction {
	t.mu.Lock()
	t.listeners = append(t.listeners, &listener{fn, t.first})
	t.call()
	return t
}

// Wait returns the final response. When ctx ends first, Wait returns its error and
// the transaction goes on. With a context from [Request.Context], the wait does not hold up the connection
// that the handler's request came from.
func (t *Transaction) Wait(ctx context.Context) (*Response, error) {
	select {
	case <-t.done:
		return t.Final(), nil
	default:
	}
	if req, ok := ctx.Value(requestKey{}).(*Request); ok {
		req.detach()
	}
	select {
	case <-t.done:
		return t.Final(), nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Done is closed when the final response is there.
func (t *Transaction) Done() <-chan struct{} { return t.done }

// Final returns the final response, nil before there is one.
func (t *Transaction) Final() *Response {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ended {
		return nil
	}
	return t.responses[len(t.responses)-1]
}

// Cancel ends the transaction with 487 unless it has ended. The peer is not told.
func (t *Transaction) Cancel() { t.endLocally(487, "canceled") }

func (t *Transaction) endLocally(status int, reason string) {
	t.peer.forget(t)
	t.deliver(localResponse(t, status, reason))
}

func localResponse(t *Transaction, status int, reason string) *Response {
	return &Response{peer: t.peer, status: status, reason: reason, id: t.id, local: true}
}

// startTimer begins the time the peer has for its answer.
func (t *Transaction) startTimer(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ended {
		t.timer = time.AfterFunc(d, func() { t.endLocally(408, "sending timeout") })
	}
}

// deliver takes a response and calls the listeners.
func (t *Transaction) deliver(res *Response) {
	if t.add(res) {
		t.tell()
	}
}

// add takes a response, and reports whether tell is to be called.
func (t *Transaction) add(res *Response) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return false
	}
	t.responses = append(t.responses, res)
	t.size += int(res.size)
	for len(t.responses) > maxKept || len(t.responses) > 1 && t.size > maxKeptSize {
		t.forget(1)
	}
	if !res.IsProvisional() {
		t.ended = true
		if t.timer != nil {
			t.timer.Stop()
		}
		close(t.done)
		if fn := t.peer.app.observe.Transaction; fn != nil {
			fn(res, clock()-t.began)
		}
	}
	due := t.due
	t.due = true
	return !due
}

// forget drops the n oldest responses. t.mu is held.
func (t *Transaction) forget(n int) {
	for _, res := range t.responses[:n] {
		t.size -= int(res.size)
	}
	t.responses = slices.Delete(t.responses, 0, n)
	t.first += n
}

func (t *Transaction) tell() {
	t.mu.Lock()
	t.due = false
	t.call()
}

// call brings every listener up to date and unlocks t.mu, which it needs locked. While one
// goroutine is calling, others leave their responses to it.
func (t *Transaction) call() {
	defer t.mu.Unlock()
	if t.calling {
		return
	}
	t.calling = true
	defer func() { t.calling = false }()
	for again := true; again; {
		again = false
		for _, l := range t.listeners {
			l.next = max(l.next, t.first)
			if l.next == t.first+len(t.responses) {
				continue
			}
			res := t.responses[l.next-t.first]
			l.next++
			again = true
			t.notify(l.fn, res)
		}
	}
	if t.relayed && !t.ended {
		t.forget(len(t.responses))
	}
}

func (t *Transaction) notify(fn func(*Response), res *Response) {
	t.mu.Unlock()
	defer t.mu.Lock()
	t.peer.app.Guard(func() { fn(res) })
}

// Forward sends a peer's request on to another peer and answers it with every
// response that comes back, the local ones included. Of the provisional ones none is kept for listeners that are yet to come.
func Forward(req *Request, to *Peer) *Transaction {
	t := to.Send(req)
	t.mu.Lock()
	t.relayed = true
	t.mu.Unlock()
	return t.OnResponse(func(res *Response) {
		// The asker may be gone or slow: then nobody waits for this response.
		_ = req.respond(res.status, res.reason, res.data)
	})
}

// String describes the transaction for logs.
func (t *Transaction) String() string { return fmt.Sprintf("%v to %v (%s)", t.req, t.peer, t.ID()) }
