// Package session measures what was asked for, round by round.
package session

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/protoo-go/protoo/bench/internal/load"
	"github.com/protoo-go/protoo/bench/internal/netpath"
	"github.com/protoo-go/protoo/bench/internal/result"
	"github.com/protoo-go/protoo/bench/internal/server"
	"github.com/protoo-go/protoo/bench/internal/target"
)

// A Scenario is a load, and who gets it.
type Scenario struct {
	Group   string
	Name    string
	Job     load.Job
	Targets []string
	Once    bool          // in the first round only, because it takes long
	Longer  float64       // times the usual duration, if not 0
	Warmup  time.Duration // at least
	Lossy   *netpath.Loss
}

// The groups of scenarios.
const (
	GroupClosed = "closed loop"
	GroupOpen   = "open loop"
	GroupRelay  = "peer to peer"
	GroupFanout = "fan-out"
	GroupStorm  = "connection storm"
	GroupIdle   = "idle peers"
	GroupLossy  = "loss and delay"
)

var (
	network = []string{server.Events, server.Secure, server.WebTransport}
	all     = []string{server.Memory, server.Events, server.Secure, server.WebTransport}
	every   = []string{server.Memory, server.Events, server.Goroutines, server.Secure, server.WebTransport}
)

func referred(targets []string) []string { return append([]string{server.Reference}, targets...) }

// Targets describes whom scenarios are for.
var Targets = []result.Target{
	{Name: server.Reference, About: "gobwas/ws with its helpers and encoding/json, a goroutine for each connection; only echoes, and has nothing of protoo in it"},
	{Name: server.Memory, About: "in-process transport; the cost is that of both ends"},
	{Name: server.Events, About: "WebSocket, event-driven where the system can"},
	{Name: server.Goroutines, About: "WebSocket, a goroutine for each connection"},
	{Name: server.Secure, About: "secure WebSocket, TLS 1.3, event-driven where the system can"},
	{Name: server.WebTransport, About: "WebTransport, one stream"},
	{Name: target.Datagram, About: "WebTransport, requests as datagrams and answers on the stream"},
}

// Usual are the scenarios of a run of about a minute. Each differs from the first in one thing.
var Usual = []Scenario{
	closed(64, 1, 64, referred(every)),
	closed(1, 1, 64, every),
	closed(1000, 1, 64, every),
	closed(64, 16, 64, every),
	closed(64, 1, 1<<10, network),
	closed(64, 1, 16<<10, network),
	open(1000, referred(slices.Concat(network, []string{target.Datagram}))),
	open(5000, network),
	relay(32, all),
	fanout(100, all),
	storm(referred(network)),
	idle(1000, referred(every[1:])),
	lossy(0.01, 20*time.Millisecond),
}

// Full are all combinations of peers, requests in flight and size, for all transports, and more of the rest.
var Full = full()

func full() (list []Scenario) {
	for _, peers := range []int{64, 1, 1000} {
		for _, inFlight := range []int{1, 16} {
			for _, payload := range []int{64, 1 << 10, 16 << 10} {
				list = append(list, closed(peers, inFlight, payload, every))
			}
		}
	}
	list[0].Targets = referred(every)
	for _, rate := range []float64{1000, 5000, 10000, 20000} {
		list = append(list, open(rate, referred(slices.Concat(every, []string{target.Datagram}))))
	}
	return append(list,
		relay(32, every), relay(500, every),
		fanout(100, every), fanout(1000, every),
		storm(referred(every[1:])),
		idle(1000, referred(every[1:])), idle(5000, referred(every[1:])),
		lossy(0.01, 20*time.Millisecond), lossy(0.05, 20*time.Millisecond), lossy(0.01, 100*time.Millisecond))
}

func closed(peers, inFlight, payload int, targets []string) Scenario {
	// The more peers, the longer until each has had an answer.
	const perPeer = 150 * time.Microsecond
	return Scenario{
		Group:   GroupClosed,
		Name:    fmt.Sprintf("%d × %d, %s", peers, inFlight, size(payload)),
		Job:     load.Job{Kind: load.Closed, Peers: peers, InFlight: inFlight, Payload: payload},
		Targets: targets,
		Warmup:  time.Duration(peers) * perPeer,
	}
}

func open(rate float64, targets []string) Scenario {
	job := load.Job{Kind: load.Open, Peers: 64, Rate: rate, Payload: 64}
	return Scenario{
		Group:   GroupOpen,
		Name:    fmt.Sprintf("%g/s from %d", rate, job.Peers),
		Job:     job,
		Targets: targets,
		Longer:  2,
		Warmup:  twice(job),
	}
}

// twice is how long it takes until an open loop has sent two requests of each peer. Those at the beginning are not like the others.
func twice(job load.Job) time.Duration {
	return time.Duration(2 * float64(job.Peers) / job.Rate * float64(time.Second))
}

func relay(pairs int, targets []string) Scenario {
	return Scenario{
		Group:   GroupRelay,
		Name:    fmt.Sprintf("%d pairs", pairs),
		Job:     load.Job{Kind: load.Relay, Peers: pairs, InFlight: 1, Payload: 64},
		Targets: targets,
	}
}

func fanout(devices int, targets []string) Scenario {
	return Scenario{
		Group:   GroupFanout,
		Name:    fmt.Sprintf("to %d devices", devices),
		Job:     load.Job{Kind: load.Fanout, Peers: devices, Payload: 64},
		Targets: targets,
	}
}

func storm(targets []string) Scenario {
	return Scenario{
		Group:   GroupStorm,
		Name:    "32 at a time",
		Job:     load.Job{Kind: load.Storm, Peers: 32, Payload: 64},
		Targets: targets,
		Longer:  2,
	}
}

func idle(peers int, targets []string) Scenario {
	return Scenario{
		Group:   GroupIdle,
		Name:    fmt.Sprintf("%d peers", peers),
		Job:     load.Job{Kind: load.Idle, Peers: peers, Payload: 64},
		Targets: targets,
	}
}

func lossy(part float64, delay time.Duration) Scenario {
	const roundTrips = 5
	job := load.Job{Kind: load.Open, Peers: 64, Rate: 500, Payload: 64}
	return Scenario{
		Group:   GroupLossy,
		Name:    fmt.Sprintf("%g %%, %v", 100*part, delay),
		Job:     job,
		Warmup:  twice(job) + roundTrips*2*delay,
		Targets: []string{server.Events, server.Secure, server.WebTransport, target.Datagram},
		Once:    true,
		Longer:  5,
		Lossy:   &netpath.Loss{Part: part, Delay: delay},
	}
}

func size(n int) string {
	if n >= 1<<10 {
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d B", n)
}

// Select returns what of the scenarios a pattern matches, by "group: scenario: target". What the reference does stays in, because
// nothing can be compared later without it. It returns nothing if nothing matches.
func Select(list []Scenario, pattern *regexp.Regexp) (selected []Scenario) {
	matched := false
	for _, s := range list {
		var targets []string
		some := false
		for _, t := range s.Targets {
			matches := pattern.MatchString(s.Group + ": " + s.Name + ": " + t)
			if matches || t == server.Reference {
				targets = append(targets, t)
			}
			some = some || matches
		}
		matched = matched || some
		if s.Targets = targets; some || len(targets) > 0 && s.Job.Kind == load.Closed {
			selected = append(selected, s)
		}
	}
	if !matched {
		return nil
	}
	return selected
}

// Beside are the scenarios in which rivals are measured beside our own. Those that are compiled while they run need a long warm-up.
func Beside(rivals []string) []Scenario {
	targets := append([]string{server.Reference, server.Events, server.Goroutines, server.WebTransport}, rivals...)
	scenarios := []Scenario{
		closed(64, 1, 128, targets),
		closed(64, 16, 128, targets),
		closed(1000, 1, 128, targets),
		storm(targets),
		idle(1000, targets),
	}
	for i := range scenarios {
		scenarios[i].Warmup, scenarios[i].Longer = 2*time.Second, 5
	}
	return scenarios
}
