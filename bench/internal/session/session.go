package session

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"time"

	"github.com/protoo-go/protoo/bench/internal/load"
	"github.com/protoo-go/protoo/bench/internal/machine"
	"github.com/protoo-go/protoo/bench/internal/netpath"
	"github.com/protoo-go/protoo/bench/internal/result"
	"github.com/protoo-go/protoo/bench/internal/server"
	"github.com/protoo-go/protoo/bench/internal/target"
)

// Options say how to measure. Fields without a default are needed.
type Options struct {
	Rounds   int
	Time     time.Duration
	Warmup   time.Duration
	Pin      Pin
	Noise    time.Duration     // to measure it for, before and after
	Program  []string          // see target.Options
	Rivals   map[string]Start  // further targets, by name
	Progress io.Writer         // a line for each measurement
	Notes    []string          // for the report
	Targets  []result.Target   // descriptions of Rivals
	Versions map[string]string // of Rivals, and what they are made of
}

// Pin says whether the server gets processors of its own.
type Pin string

// With two processors it depends on what else the machine does: a pinned process cannot make way. There were
// fewer outliers without, so by default that needs four.
const (
	PinAuto Pin = "auto" // from four processors on
	PinOn   Pin = "on"   // if there are two at least, and the system can
	PinOff  Pin = "off"
)

// Start starts a server. See target.Start.
type Start func(ctx context.Context, name string, o target.Options) (*target.Server, error)

// session is one that runs.
type session struct {
	options   Options
	report    *result.Report
	explained bool // why the path is not a better one
}

// Run measures the scenarios. When ctx ends, the report has what was measured until then.
func Run(ctx context.Context, scenarios []Scenario, o Options) *result.Report {
	s := &session{options: o, report: &result.Report{
		Format:   result.Format,
		Started:  time.Now().UTC().Truncate(time.Second),
		Machine:  machine.Describe(),
		Versions: versions(ctx),
		Settings: result.Settings{Rounds: o.Rounds, Time: o.Time, Warmup: o.Warmup, GOGC: server.GOGC()},
		Notes:    o.Notes,
	}}
	maps.Copy(s.report.Versions, o.Versions)
	began := time.Now()
	s.pin()
	s.noise()
	s.describe(scenarios)
	total, n := count(scenarios, o.Rounds), 0
	for round := range o.Rounds {
		for _, scenario := range scenarios {
			if scenario.Once && round > 0 {
				continue
			}
			for _, name := range scenario.Targets {
				if ctx.Err() != nil {
					break
				}
				n++
				s.measure(ctx, scenario, name, round, fmt.Sprintf("%*d/%d", len(fmt.Sprint(total)), n, total))
			}
		}
	}
	s.report.Interrupted = ctx.Err() != nil
	s.report.Series = slices.DeleteFunc(s.report.Series, func(s *result.Series) bool { return len(s.Runs) == 0 })
	if !s.report.Interrupted {
		s.noise()
	}
	s.report.Elapsed = time.Since(began)
	return s.report
}

func count(scenarios []Scenario, rounds int) (n int) {
	for _, s := range scenarios {
		if s.Once {
			n += len(s.Targets)
		} else {
			n += len(s.Targets) * rounds
		}
	}
	return n
}

// pin gives half of the processors to the server and keeps the others.
func (s *session) pin() {
	own, servers := machine.Halves()
	if s.options.Pin == PinOff || s.options.Pin == PinAuto && s.report.Machine.Capacity() < 4 {
		return
	}
	if len(servers) == 0 {
		s.note("The server is not pinned: there is one processor.")
		return
	}
	if err := machine.Pin(own); err != nil {
		s.note(fmt.Sprintf("The server is not pinned: %v.", err))
		return
	}
	s.report.Settings.GeneratorCPUs, s.report.Settings.ServerCPUs = own, servers
}

func (s *session) note(text string) { s.report.Notes = append(s.report.Notes, text) }

func (s *session) noise() {
	if s.options.Noise > 0 {
		s.report.Noise = append(s.report.Noise, machine.MeasureNoise(s.options.Noise))
	}
}

// describe lists the targets that occur.
func (s *session) describe(scenarios []Scenario) {
	used := make(map[string]bool)
	for _, scenario := range scenarios {
		for _, t := range scenario.Targets {
			used[t] = true
		}
	}
	for _, list := range [][]result.Target{Targets, s.options.Targets} {
		for _, t := range list {
			if used[t.Name] {
				s.report.Targets = append(s.report.Targets, t)
			}
		}
	}
}

// measure does one measurement and adds it to its series.
func (s *session) measure(ctx context.Context, scenario Scenario, name string, round int, progress string) {
	series := s.report.Find(scenario.Name, name)
	if series == nil {
		job := scenario.Job
		job.Warmup, job.Duration = max(s.options.Warmup, scenario.Warmup), s.options.Time
		if scenario.Longer > 0 {
			job.Duration = time.Duration(scenario.Longer * float64(job.Duration))
		}
		series = &result.Series{Group: scenario.Group, Scenario: scenario.Name, Target: name, Job: job, Shared: name == server.Memory}
		s.report.Series = append(s.report.Series, series)
	}
	run := result.Run{Round: round}
	m, path, err := s.run(ctx, scenario, name, series.Job)
	if ctx.Err() != nil {
		return // what was cut off is no measurement
	}
	series.Path = path
	run.Measurement = m
	if err != nil {
		run.Measurement, run.Invalid = nil, err.Error()
	} else {
		s.judge(series, &run)
	}
	series.Runs = append(series.Runs, run)
	fmt.Fprintf(s.options.Progress, "%s  %-16s %-18s %-22s %s\n", progress, scenario.Group, scenario.Name, name, brief(series, run))
}

// run has a fresh server for one measurement.
func (s *session) run(ctx context.Context, scenario Scenario, name string, job load.Job) (m *load.Measurement, path string, err error) {
	// Nothing takes longer than this, unless it hangs.
	limit := job.Warmup + job.Duration + time.Minute
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it took more than %v", limit))
	defer cancel()
	cleanUp := func(f func() error) {
		if e := f(); err == nil && e != nil {
			m, err = nil, e
		}
	}
	o := target.Options{Program: s.options.Program, CPUs: s.report.Settings.ServerCPUs}
	if scenario.Lossy != nil {
		p, err := netpath.New(*scenario.Lossy)
		if err != nil {
			return nil, "", err
		}
		defer cleanUp(p.Close)
		path, o.Host, o.Path = p.Label, p.Host, p.Via
		if p.Note != "" && !s.explained {
			s.explained = true
			s.note(p.Note)
		}
		o.Program = slices.Concat(p.Program, o.Program)
	}
	start := s.options.Rivals[name]
	if start == nil {
		start = target.Start
	}
	srv, err := start(ctx, name, o)
	if err != nil {
		return nil, path, err
	}
	defer cleanUp(srv.Close)
	// The garbage of the last measurement is not this one's.
	runtime.GC()
	if name == server.Memory {
		m, err = srv.Load(ctx, job)
	} else {
		m, err = load.Run(ctx, srv, job)
	}
	return m, path, err
}

// judge decides what of a run can be believed.
func (s *session) judge(series *result.Series, run *result.Run) {
	m := run.Measurement
	switch kind := series.Job.Kind; {
	case kind == load.Idle:
		return
	case m.Requests == 0:
		run.Invalid = "nothing was answered"
		return
	case kind == load.Open:
		run.Limited = late(m)
	case series.Shared: // the generator is part of what is measured
	default:
		run.Limited = cmp.Or(s.exhausted(m), waiting(m, 2))
	}
	run.Starved = s.starved(series, m)
}

// negligible is a delay that nobody has to know of.
const negligible = 100 * time.Microsecond

// latency is what 99 of 100 requests have not exceeded, or, where more than that are lost, half of them.
func latency(m *load.Measurement) time.Duration {
	if d := m.Latency.Quantile(0.99); d < load.Never {
		return d
	}
	return m.Latency.Quantile(0.5)
}

// late finds an open loop whose own lateness is a considerable part of its latencies.
func late(m *load.Measurement) string {
	const part = 4
	lag := m.Lag.Quantile(0.99)
	switch {
	case m.Busy > 0:
		return fmt.Sprintf("%d requests were not sent, because too many had no answer", m.Busy)
	case lag > negligible && lag > latency(m)/part:
		return fmt.Sprintf("one request in a hundred was sent %v too late", lag.Round(time.Microsecond))
	}
	return waiting(m, part)
}

// waiting finds a generator of which goroutines that were ready, with an answer for instance, waited longer than a part of the latency. In a closed loop they
// queue even on a machine that has nothing else to do.
func waiting(m *load.Measurement, part time.Duration) string {
	if d := m.Generator.Scheduling; d > negligible && d > latency(m)/part {
		return fmt.Sprintf("one in a hundred of the generator's goroutines waited %v for its turn", d.Round(time.Microsecond))
	}
	return ""
}

// exhausted finds a closed loop in which the generator had no processor left while the server had.
func (s *session) exhausted(m *load.Measurement) string {
	const nearly = 0.9
	generator := float64(m.Generator.CPU.Total()) / float64(m.Elapsed)
	srv := float64(m.Server.Total()) / float64(m.Elapsed)
	set := s.report.Settings
	if len(set.ServerCPUs) > 0 && generator >= nearly*float64(len(set.GeneratorCPUs)) && srv < nearly*float64(len(set.ServerCPUs)) {
		return fmt.Sprintf("the generator was the limit: it used %.2f of %d processors, the server %.2f of %d",
			generator, len(set.GeneratorCPUs), srv, len(set.ServerCPUs))
	}
	if cpus := s.report.Machine.Capacity(); generator+srv >= nearly*cpus && generator > srv && (len(set.ServerCPUs) == 0 || s.report.Machine.Quota > 0) {
		return fmt.Sprintf("the generator was the limit: of %g processors it used %.2f, the server %.2f", cpus, generator, srv)
	}
	return ""
}

// starved finds a run in which something else had the processors: they were busy with neither of the two while threads of the generator were ready to run.
// Both have to be, as threads wait for each other as well, and what else runs may leave enough. Ticks are coarse: in a measurement of 150 ms on two
// processors, there are thirty.
func (s *session) starved(series *result.Series, m *load.Measurement) string {
	const considerable = 0.3
	cpus, used := s.report.Machine.Capacity(), m.Generator.CPU.Total()
	switch pinned := s.report.Settings; {
	case series.Shared && len(pinned.ServerCPUs) > 0:
		cpus = float64(len(pinned.ServerCPUs))
	case len(pinned.ServerCPUs) > 0:
		cpus = float64(len(pinned.GeneratorCPUs))
	case !series.Shared:
		used += m.Server.Total()
	}
	all := cpus * float64(m.Elapsed)
	if others := min(float64(m.Generator.RunDelay), float64(m.Generator.Busy-used), all-float64(used)) / all; others > considerable {
		return fmt.Sprintf("something else had %.0f %% of the processors' time, for which the generator waited", 100*others)
	}
	return ""
}

// brief is what progress says of a run.
func brief(s *result.Series, r result.Run) string {
	if r.Invalid != "" {
		return "INVALID: " + r.Invalid
	}
	text := ""
	for _, m := range []result.Metric{result.CPU, result.Throughput, result.P50, result.P99, result.Memory} {
		if v, ok := m.Of(r); ok {
			text += fmt.Sprintf("  %s %.4g %s", m.Name, v, m.Unit)
		}
	}
	for _, doubt := range []string{r.Limited, r.Starved} {
		if doubt != "" {
			text += "  (" + doubt + ")"
		}
	}
	if len(text) > 2 {
		text = text[2:]
	}
	return text
}
