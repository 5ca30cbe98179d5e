package limits

import (
	"hash/maphash"
	"math"
	"net/http"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/internal/network"
)

// A visitor is a connection, or who knocks to have one. It is the connection's meter.
type visitor struct {
	limits *Limits
	addr   netip.Addr // not valid for what is no IP address
	from   *guest     // nil if the address is not counted
	left   atomic.Bool

	who      atomic.Uint64 // the peer, as debtors are known; 0 until it is known
	begun    bool          // what it has left behind has been taken over; of the goroutine that reads
	ended    atomic.Bool   // its patience has
	requests bucket
	bytes    bucket
	strikes  bucket
}

// debtor is whom the rest of a bucket belongs to when the connection is gone.
type debtor struct {
	who  uint64
	what uint8
}

var debtors = maphash.MakeSeed()

func debtorOf(id core.Identity) uint64 {
	return maphash.Comparable(debtors, [2]string{id.Username, id.UUID})
}

// refusal says why somebody may not come in.
type refusal struct {
	core.StatusError
	wait time.Duration
}

// roomAfter is how long to wait for somebody else to leave, which nobody knows.
const roomAfter = 10 * time.Second

func (l *Limits) refuse(cause Cause, status int, reason string, wait time.Duration) *refusal {
	l.count(cause)
	return &refusal{core.StatusError{Status: status, Reason: reason}, wait}
}

// enter makes room for a connection. Unless it is refused, the visitor's Closed must follow.
func (l *Limits) enter(remote string) (*visitor, *refusal) {
	o := l.options.Load()
	v := &visitor{limits: l, addr: network.Of(remote, o.IPv6Prefix)}
	exempt := !v.addr.IsValid() || isExempt(o, remote)
	now := l.now()
	if r := o.HandshakesPerAddress; !exempt && r.PerSecond > 0 {
		if wait := l.attempted.use(now, v.addr, func(b *bucket) time.Duration { return b.take(now, r, 1) }); wait > 0 {
			return nil, l.refuse(HandshakesPerAddress, http.StatusTooManyRequests, "too many handshakes from your address", wait)
		}
	}
	if r := o.Handshakes; !exempt && r.PerSecond > 0 {
		if wait := l.attempts.take(now, r, 1); wait > 0 {
			return nil, l.refuse(Handshakes, http.StatusServiceUnavailable, "too many handshakes", wait)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if o.Connections > 0 && l.inside >= o.Connections {
		return nil, l.refuse(Connections, http.StatusServiceUnavailable, "too many connections", roomAfter)
	}
	if !exempt {
		v.from = l.guests[v.addr]
		if v.from == nil {
			v.from = &guest{addr: v.addr}
		}
		if o.ConnectionsPerAddress > 0 && v.from.count >= o.ConnectionsPerAddress {
			return nil, l.refuse(ConnectionsPerAddress, http.StatusTooManyRequests, "too many connections from your address", roomAfter)
		}
		v.from.count++
		l.guests[v.addr] = v.from
	}
	l.inside++
	return v, nil
}

func isExempt(o *Options, remote string) bool {
	addr := network.Of(remote, 128)
	return slices.ContainsFunc(o.Exempt, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// Closed makes room for another connection, and remembers what the peer has taken too much of. Only the first call counts.
func (v *visitor) Closed() {
	if v.left.Swap(true) {
		return
	}
	l := v.limits
	l.mu.Lock()
	l.inside--
	if v.from != nil {
		if v.from.count--; v.from.count == 0 {
			delete(l.guests, v.from.addr)
		}
	}
	l.mu.Unlock()
	who := v.who.Load()
	if who == 0 {
		return
	}
	now := l.now()
	for i, b := range v.buckets() {
		if empty := b.empty.Load(); time.Duration(empty) > now {
			l.debts.use(now, debtor{who, uint8(i)}, func(b *bucket) time.Duration { b.empty.Store(empty); return 0 })
		}
	}
}

func (v *visitor) buckets() [3]*bucket { return [...]*bucket{&v.requests, &v.bytes, &v.strikes} }

// remember takes over what an earlier connection of the same peer has left behind: who reconnects has no new burst.
func (v *visitor) remember() {
	who := v.who.Load()
	if who == 0 {
		return
	}
	v.begun = true
	for i, b := range v.buckets() {
		if empty := v.limits.debts.remove(debtor{who, uint8(i)}); empty > 0 {
			b.empty.Store(int64(empty))
		}
	}
}

// Receive is core.Meter's.
func (v *visitor) Receive(size int, request bool) (core.Excess, bool) {
	o := v.limits.options.Load()
	if o.Bytes.PerSecond == 0 && o.Requests.PerSecond == 0 {
		return core.Excess{}, false
	}
	if !v.begun {
		v.remember()
	}
	now := v.limits.now()
	if o.Bytes.PerSecond > 0 {
		switch debt := v.bytes.owe(now, o.Bytes, size); {
		case debt > 0 && o.Patience > 0 && debt > o.Patience:
			return v.end(), true
		case debt > 0 && request:
			v.limits.count(Bytes)
			return core.Excess{Reason: "too many bytes", RetryAfter: debt}, true
		}
	}
	if request && o.Requests.PerSecond > 0 {
		if wait := v.requests.take(now, o.Requests, 1); wait > 0 {
			v.limits.count(Requests)
			return v.strike(now, o, o.Requests, core.Excess{Reason: "too many requests", RetryAfter: wait}), true
		}
	}
	return core.Excess{}, false
}

// leastStrikes is how many requests may be refused at least.
const leastStrikes = 100

// strike counts a request that a rate has refused, and closes the connection if there were too many.
func (v *visitor) strike(now time.Duration, o *Options, r Rate, e core.Excess) core.Excess {
	if o.Patience <= 0 {
		return e
	}
	// In patience they may be as many as the rate allows, and what is forgiven is a tenth of the rate: that
	// many in ten times as long.
	n := int(min(max(o.Patience.Seconds()*r.PerSecond, leastStrikes), math.MaxInt32))
	if v.strikes.take(now, per(10*o.Patience, n), 1) > 0 {
		return v.end()
	}
	return e
}

// end closes the connection. What comes after that is not counted any more.
func (v *visitor) end() core.Excess {
	if !v.ended.Swap(true) {
		v.limits.count(Patience)
	}
	return core.Excess{Reason: "rate limit", Close: true}
}
