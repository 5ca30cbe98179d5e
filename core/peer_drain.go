package core

import (
	"context"
	"fmt"
)

// A drain is what a peer is on its way to.
type drain struct {
	reason string        // that new requests are refused with
	idle   chan struct{} // closed when nothing is in progress
	quiet  bool          // idle is closed
}

// Drain closes the peer as [Peer.Close] does, but lets what is in progress end before: the peer's own requests, and those
// that it has yet to answer. From the call on nothing new begins: the peer's requests are refused with 503 and the
// reason, and those that are sent to it end with 410 as if it were offline. When ctx ends first, its requests
// that are still without their final response get a 503 with the reason, which no OnResponse listener sees, and the others end with 410.
//
// It returns when the peer is offline, at once if nothing is in progress. Draining a peer that is being drained
// waits for that, and the first code and reason count. The error is that of ctx if something was still in progress when it ended, or
// says that the code may not be sent.
func (p *Peer) Drain(ctx context.Context, code int, reason string) error {
	if !ValidCloseCode(code) {
		return fmt.Errorf("core: close code %d may not be sent", code)
	}
	reason = cut(reason, maxCloseReason)
	p.mu.Lock()
	if p.drain == nil {
		p.drain = &drain{reason: reason, idle: make(chan struct{})}
	}
	idle := p.drain.idle
	p.settle()
	p.mu.Unlock()
	var cut error
	select {
	case <-idle:
	default:
		select {
		case <-idle:
		case <-ctx.Done():
			cut = context.Cause(ctx)
			p.refuseRest()
		}
	}
	p.goOffline(code, reason)
	return cut
}

// settle tells the drain, if there is one, when nothing is in progress. p.mu is held.
func (p *Peer) settle() {
	if d := p.drain; d != nil && !d.quiet && (p.gone || p.requests == nil && len(p.pending) == 0) {
		d.quiet = true
		close(d.idle)
	}
}

// refuseRest answers the requests that will not be answered otherwise. Their handlers may be running, so nothing of them is used but what
// does not change.
func (p *Peer) refuseRest() {
	p.mu.Lock()
	var rest []*Request
	for req := p.requests; req != nil; req = req.older {
		rest = append(rest, req)
	}
	p.queue, p.queueSize = nil, 0
	reason := p.drain.reason
	p.mu.Unlock()
	for i := range rest {
		req := rest[len(rest)-1-i] // in the order in which they came
		if req.ended.CompareAndSwap(false, true) {
			_ = p.reply(503, reason, req.id, "", req)
			p.app.observed("", 503, req.began)
		}
	}
}

// begin enters a request into those in progress. p.mu is held.
func (p *Peer) begin(req *Request) {
	p.inProgress++
	p.underWay += req.size
	req.older = p.requests
	if p.requests != nil {
		p.requests.newer = req
	}
	p.requests = req
}

// finished takes a request out of those in progress. p.mu is held.
func (p *Peer) finished(req *Request) {
	p.inProgress--
	p.underWay -= req.size
	if req.newer == nil {
		p.requests = req.older
	} else {
		req.newer.older = req.older
	}
	if req.older != nil {
		req.older.newer = req.newer
	}
	req.newer, req.older = nil, nil
	p.settle()
}
