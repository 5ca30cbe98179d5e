package wasmhost

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/protoo-go/protoo/wasmhost/kv"
)

// Stats are a module's figures. Counters count from when the module was loaded, through all its versions.
type Stats struct {
	Name    string // of the version that serves
	Version string
	Serial  int // 1 when it was loaded, one more with every reload

	Events   map[string]uint64 // that the module was told of, by name
	Fuel     uint64            // that it has used
	Failures map[Kind]uint64
	Skipped  uint64 // events that were not told because the module is unavailable

	Instances int // that exist now, of all versions
	Made      uint64
	Waiting   int // events that wait for an instance
	Versions  int // that serve or still have something to finish
	Pending   int // requests and connections that are kept now
	Sends     int // requests of the module's own without a final response
	Timers    int // that run
	Held      int // bytes that all of these hold
	Broken    bool

	LogDropped uint64
	KV         kv.Stats
	Counters   map[string]int64 // the module's own
}

type counters struct {
	events     [numEvents]atomic.Uint64
	fuel       atomic.Uint64
	skipped    atomic.Uint64
	made       atomic.Uint64
	instances  atomic.Int64
	waiting    atomic.Int64
	versions   atomic.Int64
	pending    atomic.Int64
	sends      atomic.Int64
	timers     atomic.Int64
	held       atomic.Int64
	logDropped atomic.Uint64

	mu       sync.Mutex
	failures map[Kind]uint64
}

func (c *counters) failed(k Kind) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failures == nil {
		c.failures = make(map[Kind]uint64)
	}
	c.failures[k]++
}

// Stats returns the figures of this moment.
func (m *Module) Stats() Stats {
	c := &m.stats
	s := Stats{
		Events:     make(map[string]uint64),
		Fuel:       c.fuel.Load(),
		Skipped:    c.skipped.Load(),
		Instances:  int(c.instances.Load()),
		Made:       c.made.Load(),
		Waiting:    int(c.waiting.Load()),
		Versions:   int(c.versions.Load()),
		Pending:    int(c.pending.Load()),
		Sends:      int(c.sends.Load()),
		Timers:     int(c.timers.Load()),
		Held:       int(c.held.Load()),
		LogDropped: c.logDropped.Load(),
		Counters:   m.metrics.all(),
	}
	for e := range c.events {
		if n := c.events[e].Load(); n > 0 {
			s.Events[Event(e).String()] = n
		}
	}
	c.mu.Lock()
	s.Failures = maps.Clone(c.failures)
	c.mu.Unlock()
	if v := m.current.Load(); v != nil {
		s.Name, s.Version, s.Serial = v.manifest.Name, v.manifest.Version, v.serial
		s.KV = v.store.Stats()
		s.Broken = v.breaker.open()
	}
	return s
}

// metrics are what a module counts itself.
type metrics struct {
	mu     sync.Mutex
	values map[string]*metric
}

type metric struct {
	value  int64
	serial int // of the last version that has recorded it
}

// record changes a value, and reports false if there is no room for its name. Names that only versions before v have recorded
// make room for others.
func (m *metrics) record(name []byte, add bool, value int64, v *version) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.values[string(name)]
	if n == nil {
		if len(m.values) >= v.limits.Counters {
			maps.DeleteFunc(m.values, func(_ string, n *metric) bool { return n.serial < v.serial })
		}
		if len(m.values) >= v.limits.Counters {
			return false
		}
		if m.values == nil {
			m.values = make(map[string]*metric)
		}
		n = new(metric)
		m.values[string(name)] = n
	}
	n.serial = max(n.serial, v.serial)
	if add {
		n.value += value
	} else {
		n.value = value
	}
	return true
}

func (m *metrics) all() map[string]int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[string]int64, len(m.values))
	for name, n := range m.values {
		all[name] = n.value
	}
	return all
}
