package report

import (
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-analyze/charts"

	"github.com/protoo-go/protoo/bench/internal/load"
	"github.com/protoo-go/protoo/bench/internal/machine"
	"github.com/protoo-go/protoo/bench/internal/result"
	"github.com/protoo-go/protoo/bench/internal/session"
	"github.com/protoo-go/protoo/bench/internal/target"
)

// sample is a report that has one of everything.
func sample() *result.Report {
	h := load.NewHistogram()
	for i := range 1000 {
		h.Record(time.Duration(i+1) * time.Microsecond)
	}
	series := func(group, scenario, target string, job load.Job) *result.Series {
		return &result.Series{Group: group, Scenario: scenario, Target: target, Job: job, Runs: []result.Run{{Measurement: &load.Measurement{
			Elapsed: time.Second, Requests: 1000, Sent: 1000, Latency: h, Service: h, Lag: h,
			Server:  machine.CPU{User: 2 * time.Millisecond, System: 8 * time.Millisecond},
			Traffic: load.Traffic{Sent: 158_000, Received: 147_000},
			Memory:  []load.Memory{{Resident: 10e6}, {Peers: 25, Resident: 11e6}, {Peers: 50, Resident: 12e6}, {Peers: 75, Resident: 13e6}, {Peers: 100, Resident: 14e6}},
		}}}}
	}
	closed := func(peers int) load.Job { return load.Job{Kind: load.Closed, Peers: peers, InFlight: 1, Payload: 64} }
	r := &result.Report{
		Machine:  machine.Description{Processor: "Test <processor>", Processors: 2, Quota: 1.5, Kernel: "6.1", Go: "go1"},
		Settings: result.Settings{Rounds: 3, Time: 150 * time.Millisecond, GOGC: "400"},
		Noise:    []machine.Noise{{Median: 1.01, P99: 1.5, Worst: 3}},
		Targets:  []result.Target{{Name: "ws", About: "WebSocket"}},
		Versions: map[string]string{"example.com/module": "v1.2.3"},
		Series: []*result.Series{
			series("closed loop", "1", "reference", closed(1)), series("closed loop", "1", "ws", closed(1)),
			series("closed loop", "64", "ws", closed(64)), series("closed loop", "64", "wss", closed(64)),
			series("open loop", "1000/s", "ws", load.Job{Kind: load.Open, Rate: 1000}),
			series("idle peers", "100", "ws", load.Job{Kind: load.Idle, Peers: 100}),
		},
	}
	lost := load.NewHistogram()
	for range 50 {
		lost.Record(250 * time.Microsecond)
	}
	for range 20 {
		lost.Record(load.Never)
	}
	r.Series = append(r.Series, series("loss", "1 %", "datagrams", load.Job{Kind: load.Open, Rate: 500}))
	m := r.Series[6].Runs[0].Measurement
	m.Latency, m.Service, m.Lag, m.Sent, m.Lost = lost, nil, nil, 40, 20
	r.Series[2].Runs[0].Limited = "the generator was the limit"
	r.Series[3].Runs = append(r.Series[3].Runs, result.Run{Round: 1, Invalid: "got </script>"})
	return r
}

// What the reference did in another scenario is nothing to compare with.
func TestTimesReference(t *testing.T) {
	r := sample()
	for i, want := range []string{"", "1.00", "", ""} {
		if got := timesReference(r, r.Series[i]); got != want {
			t.Errorf("%s, %s: got %q, want %q", r.Series[i].Scenario, r.Series[i].Target, got, want)
		}
	}
}

func TestText(t *testing.T) {
	var b strings.Builder
	if err := Text(&b, sample()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`noise before: .* 1\.01 \(median\), 1\.50 \(99 of 100\), 3\.0`,
		`not pinned`,
		`GOGC=400`,
		`the time of 1\.5`,
		`1 +reference +10 +– +20 % +1,000 +– +500 +– +990 +– +158 +147`,
		`\n +ws +10 +– +20 % +1\.00 +1,000`,
		`64 +ws +10 +– +20 % +– +– +– +– +– +– +158 +147 .*\n +! times and rates invalid, CPU not, in 1 of 1: the generator was the limit`,
		`wss +10 .*\n +! INVALID in 1 of 2: got </script>`,
		`1000/s +ws +500 +– +900 +990 +– +999 +1,000 +990 +990 +0 % +10 +– +158 +147`,
		`1 % +datagrams +250 +– +never +– +– +– +never +– +– +50 % `,
		`100 +ws +40,000 +– +10\.0 +11\.0 +12\.0 +13\.0 +14\.0`,
	} {
		if !regexp.MustCompile(want).MatchString(b.String()) {
			t.Errorf("nothing matches %s in\n%s", want, b.String())
		}
	}
}

func TestHTML(t *testing.T) {
	var b strings.Builder
	if err := HTML(&b, sample()); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	if n := strings.Count(page, "<svg"); n != 6 {
		t.Errorf("%d charts, want the latencies of two scenarios, the CPU of two scenarios, the throughput and the memory", n)
	}
	for _, want := range []string{"Test &lt;processor&gt;", "got &lt;/script&gt;", "v1.2.3", "latency, µs", "requests per second", "resident memory, MB", "µs of the server", `class="remark"`} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if found := regexp.MustCompile(`(?i)<(script|link|img|iframe)|@import|url\(|(src|href)=`).FindString(page); found != "" {
		t.Errorf("the page needs something else: %s", found)
	}
	if strings.Contains(page, "NaN") || strings.Contains(page, "Inf") {
		t.Error("there is something that is not a number")
	}
}

// Labels of a logarithmic axis are numbers that one would choose, and all values lie between the ends.
func TestLogAxis(t *testing.T) {
	for _, tt := range []struct {
		low, high float64
		want      string
	}{
		{94, 1700, "50 100 200 400 800 1,600 3,200"},
		{100, 400, "100 200 400"},
		{21.3, 130, "20 40 80 160"},
		{41, 41, "20 40 80"},
		{1, 200_000, "1 10 100 1,000 10,000 100,000 1,000,000"},
		{0.3, 2, "0.2 0.4 0.8 1.6 3.2"},
	} {
		a := logAxis(math.Log10(tt.low), math.Log10(tt.high))
		var labels []string
		for i := range a.LabelCount {
			labels = append(labels, strings.TrimSpace(a.ValueFormatter(*a.Min+(*a.Max-*a.Min)*float64(i)/float64(a.LabelCount-1))))
		}
		if got := strings.Join(labels, " "); got != tt.want {
			t.Errorf("%g to %g: got %s, want %s", tt.low, tt.high, got, tt.want)
		}
		if *a.Min > math.Log10(tt.low)+1e-9 || *a.Max < math.Log10(tt.high)-1e-9 {
			t.Errorf("%g to %g do not fit between %g and %g", tt.low, tt.high, math.Pow(10, *a.Min), math.Pow(10, *a.Max))
		}
	}
}

// Every target has a color of its own.
func TestShades(t *testing.T) {
	used := make(map[charts.Color]string)
	var names []string
	for _, described := range session.Targets {
		names = append(names, described.Name)
	}
	for _, rival := range target.Rivals {
		names = append(names, rival.Name)
	}
	for _, name := range names {
		color, known := shades[name]
		if !known {
			t.Errorf("%s has no color", name)
		} else if other := used[color]; other != "" {
			t.Errorf("%s and %s have the same color", name, other)
		}
		used[color] = name
	}
}

func TestRemark(t *testing.T) {
	s := &result.Series{Runs: []result.Run{{}, {Limited: "the generator was the limit"}, {Invalid: "it broke"}, {Invalid: "it broke again"},
		{Starved: "something else", Limited: "the generator was the limit"}}}
	want := "INVALID in 2 of 5: it broke; CPU, times and rates invalid, bytes not, in 1 of 5: something else; times and rates invalid, CPU not, in 1 of 5: the generator was the limit"
	if got := remark(s); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// After an interrupt there may be next to nothing.
func TestEmpty(t *testing.T) {
	r := &result.Report{Interrupted: true, Series: []*result.Series{{Group: "closed loop", Scenario: "1", Target: "ws", Job: load.Job{Kind: load.Closed}}}}
	var b strings.Builder
	if err := Text(&b, r); err != nil || !strings.Contains(b.String(), "INTERRUPTED") {
		t.Errorf("got %v and\n%s", err, b.String())
	}
	if err := HTML(&b, r); err != nil {
		t.Error(err)
	}
}

func TestChanges(t *testing.T) {
	changes := []result.Change{
		{Target: "ws", Metric: result.CPU, Ratio: result.Ratio{Value: 1.5, Low: 1.4, High: 1.6}},
		{Target: "ws", Metric: result.P99, Ratio: result.Ratio{Value: 1.5, Low: 1.4, High: 1.6}},
		{Target: "ws", Metric: result.P50, Ratio: result.Ratio{Value: 0.5, Low: 0.4, High: 0.6}},
		{Target: "ws", Metric: result.Memory, Ratio: result.Ratio{Value: 1.5, Low: 0.9, High: 1.6}},
		{Group: "closed loop", Scenario: "64", Target: "ws", Metric: result.CPU, Ratio: result.Ratio{Value: 1.7, Low: 1.2, High: 1.8}},
		{Group: "closed loop", Scenario: "64", Target: "ws", Metric: result.Sent, Ratio: result.Ratio{Value: 2, High: math.Inf(1)}},
	}
	var b strings.Builder
	n, err := Changes(&b, changes, 0.1)
	if n != 0 || err != nil {
		t.Errorf("%d regressions, %v", n, err)
	}
	for _, want := range []string{`all +ws +cpu +1\.500 +1\.400 +1\.600 +worse\n`, `p99 .*worse\n`, `p50 .*better\n`, `memory +1\.500 +0\.900 +1\.600\n`,
		`closed loop: 64 +ws +cpu +1\.700 +1\.200 +1\.800 +worse\n`, `to-server +2\.000 +– +–\n`} {
		if !regexp.MustCompile(want).MatchString(b.String()) {
			t.Errorf("nothing matches %s in\n%s", want, b.String())
		}
	}
}

func TestSessions(t *testing.T) {
	const machines, busier, kernels, compilers, gc, rounds, times, pinning, interrupted = "different machines", "busier", "kernels: 6.1 and 6.2", "Go: go1 and go2", "(GOGC): 400 and off", "rounds: 3 and 5", "measurement: 150ms and 1s",
		"alone: [] and [1]", "interrupted"
	const doubtful = "3 of 8 measurements do not count"
	for _, tt := range []struct {
		name   string
		change func(*result.Report)
		want   []string
	}{
		{"the same", func(*result.Report) {}, nil},
		{"nothing is known", func(r *result.Report) { r.Noise, r.Versions = nil, nil }, nil},
		{"another machine", func(r *result.Report) { r.Machine.Processor = "Other" }, []string{machines}},
		{"busier", func(r *result.Report) { r.Noise[0].Load = 6 }, []string{busier}},
		{"noisier", func(r *result.Report) { r.Noise[0].Median = 2.5 }, []string{busier}},
		{"another kernel", func(r *result.Report) { r.Machine.Kernel = "6.2" }, []string{kernels}},
		{"another compiler", func(r *result.Report) { r.Machine.Go = "go2" }, []string{compilers}},
		{"another collector", func(r *result.Report) { r.Settings.GOGC = "off" }, []string{gc}},
		{"more rounds", func(r *result.Report) { r.Settings.Rounds = 5 }, []string{rounds}},
		{"longer", func(r *result.Report) { r.Settings.Time = time.Second }, []string{times}},
		{"pinned", func(r *result.Report) { r.Settings.ServerCPUs = []int{1} }, []string{pinning}},
		{"interrupted", func(r *result.Report) { r.Interrupted = true }, []string{interrupted}},
		{"starved", func(r *result.Report) { r.Series[0].Runs[0].Starved = "something else" }, []string{doubtful}},
	} {
		after := sample()
		tt.change(after)
		var b strings.Builder
		Sessions(&b, sample(), after)
		for _, text := range []string{machines, busier, kernels, compilers, gc, rounds, times, pinning, interrupted, doubtful} {
			if got, want := strings.Contains(b.String(), text), slices.Contains(tt.want, text); got != want {
				t.Errorf("%s: says %q: %v, want %v in\n%s", tt.name, text, got, want, b.String())
			}
		}
	}
}

func TestFigure(t *testing.T) {
	for v, want := range map[float64]string{0.1234: "0.123", 12.345: "12.3", 100: "100", 999.6: "1,000", 1234567: "1,234,567", -12345: "-12,345"} {
		if got := figure(v); got != want {
			t.Errorf("%g: got %s, want %s", v, got, want)
		}
	}
}

func TestLinearAxis(t *testing.T) {
	for _, tt := range []struct {
		high, max float64
		labels    int
	}{
		{22.6, 25, 6}, {8, 8, 9}, {9.1, 10, 6}, {117, 120, 7}, {0.5, 0.5, 6}, {694, 700, 8}, {1, 1, 6}, {0.001, 0.001, 6},
	} {
		axis := linearAxis(tt.high)
		if *axis.Min != 0 || math.Abs(*axis.Max-tt.max) > 1e-9 || axis.LabelCount != tt.labels {
			t.Errorf("%v: from %v to %v with %d labels, want 0 to %v with %d", tt.high, *axis.Min, *axis.Max, axis.LabelCount, tt.max, tt.labels)
		}
	}
}
