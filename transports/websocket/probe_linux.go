package websocket

import (
	"sync"
	"time"
)

// A probe measures how long events wait until a poller comes to them: it makes one of its own for each poller at times, as late as
// those of any connection. To take the time of every round would cost busy pollers more, and say nothing of
// what delays the rounds themselves.
type probe struct {
	end   chan struct{}
	ended sync.WaitGroup
}

// probeInterval is how often a poller is probed. An idle process wakes up as often.
const probeInterval = 250 * time.Millisecond

// probing is one event of a probe.
type probing struct {
	began time.Time
	delay func(time.Duration)
}

func (p *probing) arrived() { p.delay(time.Since(p.began)) }

func newProbe(pollers []*poller, delay func(time.Duration)) *probe {
	p := &probe{end: make(chan struct{})}
	p.ended.Go(func() {
		ticker := time.NewTicker(probeInterval)
		defer ticker.Stop()
		for {
			select {
			case <-p.end:
				return
			case <-ticker.C:
			}
			for _, poller := range pollers {
				// One that has not come to the last yet is measured by that.
				if poller.probed.CompareAndSwap(nil, &probing{time.Now(), delay}) {
					poller.wake()
				}
			}
		}
	})
	return p
}

// stop returns when the probe wakes nobody any more: a poller that stops closes what it is woken by.
func (p *probe) stop() {
	if p != nil {
		close(p.end)
		p.ended.Wait()
	}
}
