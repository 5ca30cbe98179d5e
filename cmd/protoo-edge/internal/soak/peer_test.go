//go:build unix

package soak

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/protoo-go/protoo/client"
	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/websocket"
	"github.com/protoo-go/protoo/transports/webtransport"
)

// A fleet is the peers of a soak test, which all do something now and then.
type fleet struct {
	t     *testing.T
	edge  *edge
	pause time.Duration // of each peer, on average, between two things
	peers []*peer

	working sync.RWMutex // held for reading by peers that do something
	stopped chan struct{}
	done    sync.WaitGroup

	requests, moves, takeovers, explained, unexplained atomic.Int64
	mu                                                 sync.Mutex
	reasons                                            map[string]bool // that the module has answered with
}

// A peer is one of a fleet.
type peer struct {
	fleet  *fleet
	name   string
	url    string
	random *rand.Rand
	c      *client.Client
	conn   atomic.Pointer[client.Conn] // that it has, or had last
	moved  atomic.Int64                // when it has last lost one, in Unix nanoseconds
}

const (
	// patience is how long a request may take.
	patience = 5 * time.Second
	// settled is how long after a change of connection a request to a peer may still be without an answer: what was
	// on its way in the lost connection is noticed when the request's time is over, on both of its ways.
	settled = 4 * patience
)

func newFleet(t *testing.T, e *edge, n int, pause time.Duration) *fleet {
	t.Helper()
	f := &fleet{t: t, edge: e, pause: pause, stopped: make(chan struct{}), reasons: make(map[string]bool)}
	var dialing sync.WaitGroup
	places := make(chan struct{}, 32)
	for i := range n {
		name := fmt.Sprintf("u%d", i)
		scheme := "ws"
		if i%8 == 7 {
			scheme = "https" // WebTransport
		}
		p := &peer{fleet: f, name: name, random: rand.New(rand.NewPCG(uint64(i), 0)),
			url: fmt.Sprintf("%s://%s/protoo?%s", scheme, e.plain, url.Values{"username": {name}, "uuid": {"d"}}.Encode())}
		f.peers = append(f.peers, p)
		places <- struct{}{}
		dialing.Go(func() {
			p.c = p.connect()
			<-places
		})
	}
	dialing.Wait()
	if t.Failed() {
		t.FailNow()
	}
	for _, p := range f.peers {
		f.done.Go(p.live)
	}
	return f
}

// connect makes a client, which comes back by itself when its connection is lost.
func (p *peer) connect() *client.Client {
	o := client.Options{
		Dial: p.dial,
		Routes: func(app *core.App) {
			app.All("*", func(req *core.Request, _ core.Next) error { return req.Reply(200, "seen by "+p.name, req.Data()) })
		},
		Backoff:       client.Backoff{Base: 100 * time.Millisecond, Max: time.Second},
		DialTimeout:   time.Minute,
		WaitForServer: true,
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	c, err := client.Dial(ctx, p.url, o)
	if err != nil {
		p.fleet.t.Errorf("%s: %v", p.name, err)
	}
	return c
}

func (p *peer) dial(ctx context.Context, url string) (client.Conn, error) {
	var conn client.Conn
	var err error
	if strings.HasPrefix(url, "https:") {
		hash, _ := base64.StdEncoding.DecodeString(p.fleet.edge.hash)
		conn, err = webtransport.Dial(ctx, url, webtransport.DialOptions{CertificateHashes: [][sha256.Size]byte{[sha256.Size]byte(hash)}})
	} else {
		conn, err = websocket.Dial(ctx, url, websocket.DialOptions{})
	}
	if err != nil {
		return nil, err
	}
	p.conn.Store(&conn)
	return conn, nil
}

// live does one thing after the other.
func (p *peer) live() {
	for {
		select {
		case <-p.fleet.stopped:
			return
		case <-time.After(time.Duration(p.random.Float64() * 2 * float64(p.fleet.pause))):
		}
		p.fleet.working.RLock()
		p.act()
		p.fleet.working.RUnlock()
	}
}

func (p *peer) act() {
	switch n := p.random.IntN(100); {
	case n < 50:
		data := strings.Repeat("x", p.random.IntN(2000))
		p.request("/echo", data, nil, func(res *core.Response) bool { return res.Data() == core.JSON(`"`+data+`"`) })
	case n < 80:
		other := p.fleet.peers[p.random.IntN(len(p.fleet.peers))]
		p.request("/users/"+other.name, n, other, func(res *core.Response) bool { return res.Reason() == "seen by "+other.name })
	case n < 94:
		p.request("/module", nil, nil, func(res *core.Response) bool {
			p.fleet.hear(res.Reason())
			return true
		})
	case n < 98: // the connection is lost, and another one takes its place
		p.moved.Store(time.Now().UnixNano())
		p.fleet.moves.Add(1)
		_ = (*p.conn.Load()).Close(core.CloseGoingAway, "moving")
	default: // the same device connects again, as a page does that is loaded again
		if p.unsettled() {
			return // a client that is on its way back would take over in its turn
		}
		p.moved.Store(time.Now().UnixNano())
		p.fleet.takeovers.Add(1)
		old := p.c
		p.c = p.connect()
		select {
		case <-old.Done():
			if err := old.Err(); !errors.Is(err, client.ErrReplaced) {
				p.fleet.failed("%s: ended with %v after a take-over", p.name, err)
			}
		case <-time.After(settled):
			p.fleet.failed("%s: not ended by a take-over", p.name)
		}
	}
}

// request sends a request. Its answer may be missing if the peer that it is for, or this one, has changed its connection.
func (p *peer) request(path string, data any, target *peer, right func(*core.Response) bool) {
	p.fleet.requests.Add(1)
	res, err := p.c.Request(context.Background(), "message", path, data, client.Timeout(patience))
	switch {
	case err == nil && right(res):
	case err == nil:
		p.fleet.failed("%s: %s answers %d %s %s", p.name, path, res.Status(), res.Reason(), res.Data())
	case target != nil && target.unsettled() || p.unsettled():
		p.fleet.explained.Add(1)
	default:
		p.fleet.failed("%s: %s: %v", p.name, path, err)
	}
}

func (p *peer) unsettled() bool { return time.Since(time.Unix(0, p.moved.Load())) < settled }

// failed notes what cannot be explained, in detail at first.
func (f *fleet) failed(format string, args ...any) {
	if f.unexplained.Add(1) <= 20 {
		f.t.Errorf(format, args...)
	}
}

func (f *fleet) hear(reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reasons[reason] = true
}

// heard tells whether the module has answered somebody with a reason.
func (f *fleet) heard(reason string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reasons[reason]
}

// quietly calls fn while no peer does anything.
func (f *fleet) quietly(fn func()) {
	f.working.Lock()
	defer f.working.Unlock()
	fn()
}

// leave ends all peers.
func (f *fleet) leave() {
	close(f.stopped)
	f.done.Wait()
	for _, p := range f.peers {
		_ = p.c.Close(0, "")
	}
	for _, p := range f.peers {
		<-p.c.Done()
	}
}
