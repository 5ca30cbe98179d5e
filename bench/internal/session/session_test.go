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
		name         string
		lag, latency time.Duration
		busy         int64
		limited      bool
	}{
		{"in time", 10 * time.Microsecond, 1 * ms, 0, false},
		{"late, but by nothing that matters", 90 * time.Microsecond, ms / 10, 0, false},
		{"late, but the server is much later", 2 * ms, 10 * ms, 0, false},
		{"late itself", 6 * ms, 10 * ms, 0, true},
		{"not sent", 0, 1 * ms, 1, true},
	} {
		m := &load.Measurement{Lag: histogram(tt.lag), Latency: histogram(tt.latency), Busy: tt.busy, Requests: 1}
		s := &session{report: new(result.Report)}
		if invalid, limited := s.judge(&result.Series{Job: load.Job{Kind: load.Open}}, m); invalid != "" || (limited != "") != tt.limited {
			t.Errorf("%s: got %q and %q", tt.name, invalid, limited)
		}
	}
}

func TestExhausted(t *testing.T) {
	for _, tt := range []struct {
		name              string
		generator, server float64 // processors used
		pinned            bool
		limited           bool
	}{
		{"idle", 0.1, 0.1, false, false},
		{"all is used, mostly by the server", 0.9, 1, false, false},
		{"all is used, mostly by the generator", 1.1, 0.8, false, true},
		{"busy, but there is room", 1.1, 0.5, false, false},
		{"pinned: the server is the limit", 0.95, 0.99, true, false},
		{"pinned: the generator is the limit", 0.95, 0.5, true, true},
		{"pinned: nobody is", 0.8, 0.5, true, false},
	} {
		s := &session{report: &result.Report{Machine: machine.Description{Processors: 2}}}
		if tt.pinned {
			s.report.Settings.ServerCPUs, s.report.Settings.GeneratorCPUs = []int{1}, []int{0}
		}
		used := func(part float64) machine.CPU { return machine.CPU{User: time.Duration(part * float64(time.Second))} }
		m := &load.Measurement{Elapsed: time.Second, Requests: 1, Server: used(tt.server), Generator: load.Generator{CPU: used(tt.generator)}}
		if invalid, limited := s.judge(&result.Series{Job: load.Job{Kind: load.Closed}}, m); invalid != "" || (limited != "") != tt.limited {
			t.Errorf("%s: got %q and %q", tt.name, invalid, limited)
		}
	}
	s := &session{report: new(result.Report)}
	for _, shared := range []bool{false, true} {
		series := &result.Series{Job: load.Job{Kind: load.Closed}, Shared: shared}
		if invalid, _ := s.judge(series, new(load.Measurement)); invalid == "" {
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
	for _, list := range [][]Scenario{Usual, Full, Beside(nil)} {
		if list[0].Job.Kind != load.Closed || list[0].Targets[0] != server.Reference {
			t.Errorf("the first scenario is %s for %v, want a closed loop for the reference", list[0].Name, list[0].Targets)
		}
		for _, s := range list {
			for _, target := range s.Targets {
				if !described[target] {
					t.Errorf("%s: nobody knows what %s is", s.Name, target)
				}
			}
		}
	}
}
