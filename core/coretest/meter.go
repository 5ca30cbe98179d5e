package coretest

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/protoo-go/protoo/core"
)

var meterTests = []test{
	{"refuses", testMeterRefuses},
	{"closes", testMeterCloses},
	{"closed", testMeterClosed},
}

// meter is a core.Meter that refuses what is longer than most, and closes what is more than twice as long. It notes its end.
type meter struct {
	most    int
	journal *journal
	name    string

	mu    sync.Mutex
	bytes int
}

func (m *meter) Receive(size int, _ bool) (core.Excess, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bytes += size
	return core.Excess{Reason: "too long", RetryAfter: 250 * time.Millisecond, Close: size > 2*m.most}, size > m.most
}

func (m *meter) Closed() { m.journal.add("unmetered %s", m.name) }

func (m *meter) received() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bytes
}

// newMeteredServer gives each connection a meter, named like its peer.
func newMeteredServer(t *testing.T, start Start) (s *server, meters func(name string) *meter) {
	var mu sync.Mutex
	all := make(map[string]*meter)
	var j *journal
	s = newServer(t, start, core.Options{}, func(r *core.ConnectRequest) (core.Identity, error) {
		id, err := byQuery(r)
		mu.Lock()
		defer mu.Unlock()
		m := &meter{most: 1000, journal: j, name: id.Username + "/" + id.UUID}
		all[m.name] = m
		id.Meter = m
		return id, err
	})
	mu.Lock()
	defer mu.Unlock()
	j = &s.journal
	return s, func(name string) *meter {
		mu.Lock()
		defer mu.Unlock()
		return all[name]
	}
}

func testMeterRefuses(t *testing.T, start Start) {
	s, meters := newMeteredServer(t, start)
	c := s.connect("alice", "1")
	before := meters("alice/1").received()
	long := request("/echo", "long", strings.Repeat("x", 1000))
	c.send(long)
	if m := c.receive(); m.Status != 429 || m.Reason != "too long" || m.ID != "long" || string(m.Data) != `{"retryAfter":0.25}` {
		t.Errorf("got %s", m.encode())
	}
	c.echo("short")
	if got, least := meters("alice/1").received()-before, len(long.encode()); got <= least {
		t.Errorf("%d bytes were metered, want more than %d", got, least)
	}
}

func testMeterCloses(t *testing.T, start Start) {
	s, _ := newMeteredServer(t, start)
	c := s.connect("alice", "1")
	c.send(request("/echo", "longer", strings.Repeat("x", 2000)))
	c.wantClosed(core.ClosePolicy, "too long")
	s.until("offline", func(got []string) bool {
		return slices.Contains(got, "offline alice/1") && slices.Contains(got, "unmetered alice/1")
	})
}

// testMeterClosed has connections end in all the ways there are. Each meter is told once.
func testMeterClosed(t *testing.T, start Start) {
	s, _ := newMeteredServer(t, start)
	_ = s.connect("alice", "closes").Close(core.CloseNormal, "")
	s.connect("alice", "drops").Drop()
	s.connect("alice", "replaced")
	s.connect("alice", "replaced")
	s.connect("alice", "stays")
	s.app.Peer("alice", "stays").Close(core.CloseGoingAway, "")
	want := []string{"unmetered alice/closes", "unmetered alice/drops", "unmetered alice/replaced", "unmetered alice/stays"}
	s.until("the end of the meters", func(got []string) bool {
		for _, w := range want {
			if !slices.Contains(got, w) {
				return false
			}
		}
		return true
	})
	_ = s.app.Peer("alice", "replaced").Close(core.CloseNormal, "")
	s.until("the end of the last", func(got []string) bool {
		n := 0
		for _, e := range got {
			if strings.HasPrefix(e, "unmetered ") {
				n++
			}
		}
		return n == len(want)+1
	})
}
