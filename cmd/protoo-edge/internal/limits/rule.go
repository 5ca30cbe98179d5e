package limits

import (
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/protoo-go/protoo/core"
)

// RuleOptions bound the requests to a path.
type RuleOptions struct {
	Requests Rate
	Bytes    Rate // of the requests' data
	Per      Per
}

// Per is whose requests are counted together.
type Per string

// What a rule counts by.
const (
	PerPeer    Per = "peer"
	PerUser    Per = "user"
	PerAddress Per = "address"
)

// A Rule bounds the requests that come to where its Handle is mounted.
type Rule struct {
	limits   *Limits
	options  atomic.Pointer[RuleOptions]
	requests *table[subject]
	bytes    *table[subject]
}

// subject is whose requests are counted together. One without anything is a peer without an address.
type subject struct {
	username, uuid string
	addr           netip.Addr
}

// NewRule returns a rule.
func (l *Limits) NewRule(o RuleOptions) *Rule {
	r := &Rule{limits: l, requests: newTable[subject](), bytes: newTable[subject]()}
	r.Set(o)
	return r
}

// Set changes the rule. Any goroutine may call it.
func (r *Rule) Set(o RuleOptions) { r.options.Store(&o) }

// Handle lets a request go on, or answers it with 429 and {"retryAfter":seconds}.
func (r *Rule) Handle(req *core.Request, next core.Next) error {
	o := r.options.Load()
	p := req.Peer()
	v, _ := p.Meter().(*visitor)
	who := o.subject(p, v)
	now := r.limits.now()
	if o.Bytes.PerSecond > 0 {
		n := len(req.Data())
		if wait := r.bytes.use(now, who, func(b *bucket) time.Duration { return b.borrow(now, o.Bytes, n) }); wait > 0 {
			// Its size is what the rate is about, and its number is what the patience is.
			return r.refuse(req, v, now, Rate{}, core.Excess{Reason: "too many bytes for this path", RetryAfter: wait})
		}
	}
	if o.Requests.PerSecond > 0 {
		if wait := r.requests.use(now, who, func(b *bucket) time.Duration { return b.take(now, o.Requests, 1) }); wait > 0 {
			return r.refuse(req, v, now, o.Requests, core.Excess{Reason: "too many requests for this path", RetryAfter: wait})
		}
	}
	next()
	return nil
}

func (o *RuleOptions) subject(p *core.Peer, v *visitor) subject {
	switch {
	case o.Per == PerUser:
		return subject{username: p.Username()}
	case o.Per != PerAddress:
		return subject{username: p.Username(), uuid: p.UUID()}
	case v != nil:
		return subject{addr: v.addr}
	}
	return subject{}
}

func (r *Rule) refuse(req *core.Request, v *visitor, now time.Duration, rate Rate, e core.Excess) error {
	r.limits.count(Path)
	if v != nil {
		e = v.strike(now, r.limits.options.Load(), rate, e)
	}
	if e.Close {
		return req.Peer().Close(core.ClosePolicy, e.Reason)
	}
	return req.Reply(429, e.Reason, e.Data())
}
