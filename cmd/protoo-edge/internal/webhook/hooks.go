package webhook

import (
	"context"
	"crypto/rand"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/protoo-go/protoo/core"
)

// Options say who is told what. Zero numbers are the defaults that are named.
type Options struct {
	URLs   []string // of the receivers; each is told everything, and none waits for another
	Events []string // of [EventNames]
	Signer *Signer

	Timeout     time.Duration // of an attempt; default 10 s
	Attempts    int           // to deliver an event; default 8
	Queue       int           // events that wait for one receiver; default 10,000
	Concurrency int           // calls to one receiver at a time; default 4

	// Lost is called when events have been lost, at most once a minute for each receiver: how many since the last call, and
	// why the last one was. It may be nil.
	Lost func(url string, events int, reason string)

	// Transport makes the calls. Default is net/http's, with connections of its own.
	Transport http.RoundTripper
}

func (o *Options) defaults() {
	set := func(field *int, standard int) {
		if *field == 0 {
			*field = standard
		}
	}
	set(&o.Attempts, 8)
	set(&o.Queue, 10_000)
	set(&o.Concurrency, 4)
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
}

// Hooks tell receivers of events. Any goroutine may use them.
type Hooks struct {
	instance  string
	tells     map[string]bool // by name of the event
	receivers []*receiver
	lives     sync.Map // of the peers that are online: *core.Peer to *life
}

// life is what is known about a peer until it is offline. Its listeners run one after the other, so nothing guards it.
type life struct {
	since  time.Time
	code   int
	reason string
}

// New returns hooks for these receivers.
func New(o Options) *Hooks {
	o.defaults()
	h := &Hooks{instance: strings.ToLower(rand.Text()), tells: make(map[string]bool)}
	for _, name := range o.Events {
		h.tells[name] = true
	}
	for _, url := range o.URLs {
		h.receivers = append(h.receivers, newReceiver(url, &o))
	}
	return h
}

// Watch tells the receivers when a peer of app comes online or goes offline. It is called before there are any.
func (h *Hooks) Watch(app *core.App) {
	if len(h.receivers) == 0 {
		return
	}
	app.OnOnline(h.online)
	app.OnDisconnect(h.disconnected)
	app.OnOffline(h.offline)
}

func (h *Hooks) online(p *core.Peer) {
	l := &life{since: time.Now(), code: core.CloseAbnormal}
	h.lives.Store(p, l)
	if !h.tells["online"] {
		return
	}
	data := peerOnline{Username: p.Username(), UUID: p.UUID()}
	if conn := p.Conn(); conn != nil {
		data.Transport, data.Address, _ = strings.Cut(conn.String(), "/")
	}
	h.send(p.Username(), Online, l.since, data)
}

func (h *Hooks) disconnected(p *core.Peer, code int, reason string) {
	if v, ok := h.lives.Load(p); ok {
		l := v.(*life)
		l.code, l.reason = code, reason
	}
}

func (h *Hooks) offline(p *core.Peer) {
	v, ok := h.lives.LoadAndDelete(p)
	if !ok || !h.tells["offline"] {
		return
	}
	l := v.(*life)
	now := time.Now()
	h.send(p.Username(), Offline, now, peerOffline{
		Username: p.Username(),
		UUID:     p.UUID(),
		Code:     l.code,
		Reason:   l.reason,
		Seconds:  now.Sub(l.since).Round(time.Millisecond).Seconds(),
	})
}

// send queues an event. Those of one user are told in order.
func (h *Hooks) send(user, kind string, at time.Time, data any) {
	for _, r := range h.receivers {
		r.queue(user, &event{Type: kind, Timestamp: at.UTC(), Instance: h.instance, Data: data})
	}
}

// Close tries for the last time to deliver what is queued, until ctx ends, and returns how many events are lost then.
// Events that come later are lost.
func (h *Hooks) Close(ctx context.Context) (lost int) {
	var (
		all sync.WaitGroup
		mu  sync.Mutex
	)
	for _, r := range h.receivers {
		all.Go(func() {
			n := r.close(ctx)
			mu.Lock()
			lost += n
			mu.Unlock()
		})
	}
	all.Wait()
	return lost
}

// Stats are the figures of one receiver since the start, and what waits for it now.
type Stats struct {
	URL       string // without its query
	Delivered uint64
	Retried   uint64 // attempts that were not the first
	Rejected  uint64 // events that the receiver has refused
	Failed    uint64 // events that were given up after all attempts
	Dropped   uint64 // events that found no room in the queue, or had no time at the end
	Queue     int    // events that wait, those that are being told included
}

// Stats returns the figures of all receivers, in their order.
func (h *Hooks) Stats() []Stats {
	var stats []Stats
	for _, r := range h.receivers {
		stats = append(stats, r.figures())
	}
	return stats
}
