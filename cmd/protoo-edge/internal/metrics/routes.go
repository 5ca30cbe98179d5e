package metrics

import (
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxRoutes bounds the routes that are told apart: modules and configurations make as many as they like.
	maxRoutes = 512
	noRoute   = "none"  // no handler has seen the request
	anyRoute  = "other" // beyond maxRoutes
)

// knownStatuses are told apart. A peer that others' requests are forwarded to chooses the status of its answers, so the rest are put together
// by their first digits.
var knownStatuses = []int{
	200, 201, 202, 204, 300, 301, 302, 304,
	400, 401, 402, 403, 404, 405, 406, 408, 409, 410, 413, 415, 422, 429, 480, 481, 486, 487, 488, 491,
	500, 501, 502, 503, 504, 600, 603, 604, 606,
}

// statusNames are the values of the label status, and statusIndex has the place of each status from 200 on among them.
var statusNames, statusIndex = func() (names []string, index [500]uint8) {
	for _, s := range knownStatuses {
		index[s-200] = uint8(len(names))
		names = append(names, strconv.Itoa(s))
	}
	for class := 2; class <= 6; class++ {
		for s := class * 100; s < class*100+100; s++ {
			if !slices.Contains(knownStatuses, s) {
				index[s-200] = uint8(len(names))
			}
		}
		names = append(names, strconv.Itoa(class)+"xx")
	}
	return names, index
}()

// maxStatuses is how many statusNames there are at most, in whole cache lines.
const maxStatuses = 48

// route is what is known about one route.
type route struct {
	histogram
	name   string
	counts [shards][maxStatuses]atomic.Uint64 // by statusIndex
}

// statuses returns how many requests had which status, leaving out those that none had.
func (r *route) statuses() iter.Seq2[string, uint64] {
	return func(yield func(string, uint64) bool) {
		for i, name := range statusNames {
			var n uint64
			for s := range r.counts {
				n += r.counts[s][i].Load()
			}
			if n > 0 && !yield(name, n) {
				return
			}
		}
	}
}

// routes finds a route by its name.
type routes struct {
	mu     sync.Mutex
	byName atomic.Pointer[map[string]*route] // copied when one is new
}

func (rs *routes) init() {
	if len(statusNames) > maxStatuses {
		panic("metrics: too many statuses")
	}
	rs.byName.Store(new(map[string]*route))
}

// observe counts a request.
func (rs *routes) observe(name string, status int, took time.Duration) {
	r := (*rs.byName.Load())[name]
	if r == nil {
		r = rs.add(name)
	}
	shard := shard()
	if status >= 200 && status < 700 {
		r.counts[shard][statusIndex[status-200]].Add(1)
	}
	r.observeIn(shard, took)
}

func (rs *routes) add(name string) *route {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	known := *rs.byName.Load()
	if r := known[name]; r != nil {
		return r
	}
	label := strings.ToValidUTF8(name, "\ufffd")
	switch {
	case name == "":
		label = noRoute
	case len(known) >= maxRoutes:
		if r := known[anyRoute]; r != nil {
			return r
		}
		name, label = anyRoute, anyRoute
	}
	r := &route{name: label}
	r.init(requestBounds)
	grown := maps.Clone(known)
	if grown == nil {
		grown = make(map[string]*route)
	}
	grown[name] = r
	rs.byName.Store(&grown)
	return r
}

// all returns the routes in the order of their names.
func (rs *routes) all() []*route {
	return slices.SortedFunc(maps.Values(*rs.byName.Load()), func(a, b *route) int { return strings.Compare(a.name, b.name) })
}
