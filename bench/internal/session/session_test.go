package session

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/protoo-go/protoo/bench/internal/load"
	"github.com/protoo-go/protoo/bench/internal/machine"
	"github.com/protoo-go/protoo/bench/internal/result"
	"github.com/protoo-go/protoo/bench/internal/server"
)

func histogram(times ...time.Duration) *load.Histogram {
	h := load.NewHistogram()
	for _, d := range times {
		h.Record(d)
	}
	return h
}

func TestLate(t *testing.T) {
	const ms = time.Millisecond
	for _, tt := range []struct {
		name                  string
		lag, waiting, latency time.Duration
		busy                  int64
		limited               bool
	}{
		{"in time", 10 * time.Microsecond, 0, 1 * ms, 0, false},
		{"late, but by nothing that matters", 90 * time.Microsecond, 90 * time.Microsecond, ms / 10, 0, false},
		{"late, but the server is much later", 2 * ms, 2 * ms, 10 * ms, 0, false},
		{"late itself", 3 * ms, 0, 10 * ms, 0, true},
		{"late to see answers", 0, 3 * ms, 10 * ms, 0, true},
		{"not sent", 0, 0, 1 * ms, 1, true},
		{"late, although others are lost", 3 * ms, 0, 10 * ms, 0, true},
	} {
		latencies := histogram(tt.latency, tt.latency)
		if strings.Contains(tt.name, "lost") {
			latencies.Record(load.Never)
		}
		m := &load.Measurement{Lag: histogram(tt.lag), Latency: latencies, Busy: tt.busy, Requests: 1, Elapsed: time.Second, Generator: load.Generator{Scheduling: tt.waiting}}
		s, run := &session{report: new(result.Report)}, result.Run{Measurement: m}
		if s.judge(&result.Series{Job: load.Job{Kind: load.Open}}, &run); run.Invalid+run.Starved != "" || (run.Limited != "") != tt.limited {
			t.Errorf("%s: got %+v", tt.name, run)
		}
	}
}

// In a closed loop more of the latencies may be the generator's own.
func TestWaiting(t *testing.T) {
	for waiting, limited := range map[time.Duration]bool{0: false, 4 * time.Millisecond: false, 6 * time.Millisecond: true} {
		m := &load.Measurement{Latency: histogram(10 * time.Millisecond), Requests: 1, Elapsed: time.Second, Generator: load.Generator{Scheduling: waiting}}
		s, run := &session{report: &result.Report{Machine: machine.Description{Processors: 2}}}, result.Run{Measurement: m}
		if s.judge(&result.Series{Job: load.Job{Kind: load.Closed}}, &run); run.Invalid+run.Starved != "" || (run.Limited != "") != limited {
			t.Errorf("%v: got %+v", waiting, run)
		}
	}
}

func TestExhausted(t *testing.T) {
	for _, tt := range []struct {
		name              string
		generator, server float64 // processors used
		waited, others    float64 // seconds of a second
		pinned            bool
		quota             float64
		limited, starved  bool
	}{
		{"idle", 0.1, 0.1, 0, 0, false, 0, false, false},
		{"all is used, mostly by the server", 0.9, 1, 1, 0, false, 0, false, false},
		{"all is used, mostly by the generator", 1.1, 0.8, 1, 0, false, 0, true, false},
		{"busy, but there is room", 1.1, 0.5, 0.2, 0, false, 0, false, false},
		{"something else is busy", 0.5, 0.5, 2, 1, false, 0, false, true},
		{"something else is, now and then", 0.6, 0.8, 0.6, 0.5, false, 0, false, false},
		{"threads wait for each other", 0.5, 0.5, 1, 0, false, 0, false, false},
		{"something else is busy, but leaves enough", 0.5, 0.5, 0.1, 1, false, 0, false, false},
		{"all of the quota is used, mostly by the generator", 0.6, 0.35, 0, 0, false, 1, true, false},
		{"all of the quota is used, mostly by the server", 0.4, 0.55, 1, 0, false, 1, false, false},
		{"pinned: all of the quota is used, mostly by the generator", 0.6, 0.35, 0, 0, true, 1, true, false},
		{"pinned: the server is the limit", 0.95, 0.99, 0, 0, true, 0, false, false},
		{"pinned: the generator is the limit", 0.95, 0.5, 0, 0, true, 0, true, false},
		{"pinned: nobody is", 0.8, 0.5, 0, 0, true, 0, false, false},
		{"pinned: something else is", 0.5, 0.9, 0.5, 0.5, true, 0, false, true},
	} {
		s := &session{report: &result.Report{Machine: machine.Description{Processors: 2, Quota: tt.quota}}}
		if tt.pinned {
			s.report.Settings.ServerCPUs, s.report.Settings.GeneratorCPUs = []int{1}, []int{0}
		}
		seconds := func(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
		used := func(part float64) machine.CPU { return machine.CPU{User: seconds(part)} }
		m := &load.Measurement{Elapsed: time.Second, Requests: 1, Latency: histogram(time.Millisecond), Server: used(tt.server),
			Generator: load.Generator{CPU: used(tt.generator), RunDelay: seconds(tt.waited), Busy: seconds(tt.generator + tt.others)}}
		if !tt.pinned {
			m.Generator.Busy += seconds(tt.server)
		}
		run := result.Run{Measurement: m}
		if s.judge(&result.Series{Job: load.Job{Kind: load.Closed}}, &run); run.Invalid != "" || (run.Limited != "") != tt.limited || (run.Starved != "") != tt.starved {
			t.Errorf("%s: got %q, %q and %q", tt.name, run.Invalid, run.Limited, run.Starved)
		}
	}
	s := &session{report: new(result.Report)}
	for _, shared := range []bool{false, true} {
		series, run := &result.Series{Job: load.Job{Kind: load.Closed}, Shared: shared}, result.Run{Measurement: new(load.Measurement)}
		if s.judge(series, &run); run.Invalid == "" {
			t.Error("a run without an answer counts")
		}
	}
}

func TestSelect(t *testing.T) {
	selected := Select(Usual, regexp.MustCompile(`fan-out.*: wss$`))
	var got []string
	for _, s := range selected {
		got = append(got, s.Group+" "+strings.Join(s.Targets, " "))
	}
	if want := "closed loop reference|fan-out wss"; strings.Join(got, "|") != want {
		t.Errorf("got %s, want %s", strings.Join(got, "|"), want)
	}
	if selected := Select(Usual, regexp.MustCompile("pigeons")); len(selected) != 0 {
		t.Errorf("pigeons are %v", selected)
	}
	for _, s := range Usual {
		if len(s.Targets) == 0 {
			t.Errorf("%s: the choice has changed the list it was made from", s.Name)
		}
	}
}

// Whatever is measured is described, and the reference does what everything is compared with.
func TestScenarios(t *testing.T) {
	described := make(map[string]bool)
	for _, d := range Targets {
		described[d.Name] = true
	}
	kinds := make(map[load.Kind]bool)
	for _, s := range Beside(nil) {
		kinds[s.Job.Kind] = true
	}
	for _, kind := range []load.Kind{load.Closed, load.Storm, load.Idle} {
		if !kinds[kind] {
			t.Errorf("rivals have no %s", kind)
		}
	}
	for _, list := range [][]Scenario{Usual, Full, Beside(nil)} {
		if list[0].Job.Kind != load.Closed || list[0].Targets[0] != server.Reference {
			t.Errorf("the first scenario is %s for %v, want a closed loop for the reference", list[0].Name, list[0].Targets)
		}
		for _, s := range list {
			// The first request of each peer is not like the others.
			if job := s.Job; job.Kind == load.Open && float64(s.Warmup)*job.Rate < float64(job.Peers)*float64(time.Second) {
				t.Errorf("%s: its warm-up of %v has less than a request of each peer", s.Name, s.Warmup)
			}
			if s.Lossy != nil && s.Warmup < 4*s.Lossy.Delay {
				t.Errorf("%s: its warm-up of %v has less than some round trips", s.Name, s.Warmup)
			}
			for _, target := range s.Targets {
				if !described[target] {
					t.Errorf("%s: nobody knows what %s is", s.Name, target)
				}
			}
		}
	}
}
