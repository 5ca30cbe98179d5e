// Package drain takes a server out of service so that its clients come back, here or elsewhere, at an even rate, and have an
// answer to all that they have asked.
package drain

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/protoo-go/protoo/core"
)

const (
	// reason is what clients are told, before the hint when to come back.
	reason = "restart"
	// leastPace is how far apart two peers are closed at most: a server with few of them does not need the whole window.
	leastPace = 20 * time.Millisecond
	// jitter is what clients wait at random, so that those closed at one moment come back at different ones.
	jitter = time.Second
	// grain is how much earlier than planned a peer may be closed, because a timer for each would cost more than it does good.
	grain = time.Millisecond
)

// A Plan says how long what may take.
type Plan struct {
	Window         time.Duration // over which peers are closed
	RequestTimeout time.Duration // for the requests of a peer to end, when it is its turn
	ReconnectAfter time.Duration // that clients are asked to wait, besides up to a second at random
}

// A Drain is the end of a server's service. The zero value has not begun. Any goroutine may call its methods.
type Drain struct {
	begun              atomic.Bool
	peers, closed, cut atomic.Int64
}

// Stats are a drain's figures.
type Stats struct {
	Begun  bool
	Peers  int64 // that are to be closed, or are
	Closed int64 // those that are
	Cut    int64 // those of them whose requests took too long
}

// Stats returns the figures of this moment.
func (d *Drain) Stats() Stats {
	return Stats{Begun: d.begun.Load(), Peers: d.peers.Load(), Closed: d.closed.Load(), Cut: d.cut.Load()}
}

// Begin makes Accept refuse everybody.
func (d *Drain) Begin() { d.begun.Store(true) }

// Accept asks next until the drain begins. From then on it refuses connections with 503, which clients take for a reason to try again.
func (d *Drain) Accept(next core.Accept) core.Accept {
	return func(r *core.ConnectRequest) (core.Identity, error) {
		if d.begun.Load() {
			return core.Identity{}, core.Reject(503, reason)
		}
		return next(r)
	}
}

// Run closes the peers of an application with core.CloseRestart, one after the other at an even pace in a random order, and returns when
// all are offline. Each may end its requests before, which delays nobody else. When ctx ends they are all closed at once.
func (d *Drain) Run(ctx context.Context, app *core.App, plan Plan) {
	d.Begin()
	var closing sync.WaitGroup
	defer closing.Wait()
	seen := make(map[*core.Peer]bool)
	// Some connections may have been let in just before, and so come online meanwhile.
	for range 2 {
		var peers []*core.Peer
		app.Peers("", "", func(p *core.Peer) {
			if !seen[p] {
				seen[p] = true
				peers = append(peers, p)
			}
		})
		d.peers.Add(int64(len(peers)))
		rand.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
		window := min(plan.Window, time.Duration(len(peers))*leastPace)
		began := time.Now()
		for i, p := range peers {
			sleepUntil(ctx, began.Add(window/time.Duration(len(peers))*time.Duration(i)))
			closing.Go(func() { d.close(ctx, p, plan) })
		}
		closing.Wait()
	}
}

func (d *Drain) close(ctx context.Context, p *core.Peer, plan Plan) {
	ctx, cancel := context.WithTimeout(ctx, plan.RequestTimeout)
	defer cancel()
	wait := plan.ReconnectAfter + rand.N(jitter)
	if p.Drain(ctx, core.CloseRestart, core.ReconnectHint(reason, wait)) != nil {
		d.cut.Add(1)
	}
	d.closed.Add(1)
}

func sleepUntil(ctx context.Context, t time.Time) {
	wait := time.Until(t)
	if wait < grain {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
