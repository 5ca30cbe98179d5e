//go:build unix

// Package soak has a protoo-edge work for a while, and looks at what it has lost and kept.
package soak

import (
	"flag"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	duration = flag.Duration("soak", 15*time.Second, "how long the soak test takes; 10m before a release")
	peers    = flag.Int("peers", 150, "how many peers it has; 2000 before a release")
	pause    = flag.Duration("pause", 100*time.Millisecond, "how long each peer rests, on average; 1s before a release")
)

// TestSoak has peers send requests to the server and to each other, lose their connections and come back, while the
// configuration is reloaded and a module is replaced. At the end the server has to be as it was at the beginning.
func TestSoak(t *testing.T) {
	e := start(t)
	empty := e.figures(t)
	f := newFleet(t, e, *peers, *pause)

	// A part of the time is for what grows once: pools, stacks, tables.
	began := time.Now()
	reloads := work(t, e, began.Add(*duration/4))
	var before, after figures
	f.quietly(func() { before = rest(t, e, *peers) })
	reloads += work(t, e, began.Add(*duration))
	f.quietly(func() { after = rest(t, e, *peers) })
	t.Logf("at first: %v", before)
	t.Logf("at last:  %v", after)
	t.Logf("%d requests, %d lost connections, %d take-overs, %d reloads; without an answer because of a lost connection: %d",
		f.requests.Load(), f.moves.Load(), f.takeovers.Load(), reloads, f.explained.Load())
	if n := f.unexplained.Load(); n > 0 {
		t.Errorf("%d failures that cannot be explained", n)
	}
	if limit := f.requests.Load() / 20; f.explained.Load() > limit {
		t.Errorf("%d requests without an answer are too many for %d lost connections", f.explained.Load(), f.moves.Load()+f.takeovers.Load())
	}
	grown(t, "goroutines", before.goroutines, after.goroutines, 0.02, 20)
	grown(t, "descriptors", before.descriptors, after.descriptors, 0, 10)
	grown(t, "heap", before.heap, after.heap, 0.10, 2<<20)
	grown(t, "resident memory", before.resident, after.resident, 0.20, 16<<20)
	for _, reason := range []string{"one", "two"} {
		if !f.heard(reason) {
			t.Errorf("the module %q has answered nobody", reason)
		}
	}
	log := e.log(t)
	if n := strings.Count(log, "configuration reloaded"); n == 0 || strings.Contains(log, "not reloaded") {
		t.Errorf("of %d reloads %d have worked", reloads, n)
	}
	if strings.Contains(log, "level=ERROR") {
		t.Error("the server has logged errors")
	}

	f.leave()
	left := rest(t, e, 0)
	t.Logf("nobody: %v; before anybody came: %v", left, empty)
	grown(t, "goroutines without peers", empty.goroutines, left.goroutines, 0, 20)
	grown(t, "descriptors without peers", empty.descriptors, left.descriptors, 0, 10)
	e.stop(t)
}

// work changes the server until a time, and returns how often it has reloaded the configuration.
func work(t *testing.T, e *edge, until time.Time) (reloads int) {
	t.Helper()
	for time.Now().Before(until) {
		reloads++
		e.swap(t, []string{"one", "two"}[reloads%2])
		e.configure(t, fmt.Sprintf("%dms", 2000+reloads%2))
		time.Sleep(min(250*time.Millisecond, time.Until(until)))
		e.signal(t, syscall.SIGHUP)
		time.Sleep(min(time.Second, time.Until(until)))
	}
	return reloads
}

// rest waits until the server has as many peers, and nothing has happened for a moment.
func rest(t *testing.T, e *edge, peers int) figures {
	t.Helper()
	var f figures
	for quiet, deadline := 0, time.Now().Add(time.Minute); quiet < 5; time.Sleep(200 * time.Millisecond) {
		next := e.figures(t)
		if next.peers == float64(peers) && next.goroutines == f.goroutines && next.descriptors == f.descriptors {
			quiet++
		} else {
			quiet = 0
		}
		f = next
		if time.Now().After(deadline) {
			if f.peers != float64(peers) {
				t.Errorf("%v, expected %d peers", f, peers)
			}
			break
		}
	}
	return f
}

// grown reports what has become more by more than a share and a constant.
func grown(t *testing.T, what string, before, after, share, constant float64) {
	t.Helper()
	if after > before*(1+share)+constant {
		t.Errorf("%s: %.0f have become %.0f", what, before, after)
	}
}
