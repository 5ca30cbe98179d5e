package result

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/protoo-go/protoo/bench/internal/load"
	"github.com/protoo-go/protoo/bench/internal/machine"
)

func TestMedianAndSpread(t *testing.T) {
	for _, tt := range []struct {
		values         []float64
		median, spread float64
	}{
		{[]float64{4}, 4, 0},
		{[]float64{3, 1, 2}, 2, 1},
		{[]float64{4, 1, 2, 3}, 2.5, 1.2},
		{[]float64{0, 0}, 0, 0},
	} {
		if m, s := Median(tt.values), Spread(tt.values); m != tt.median || s != tt.spread {
			t.Errorf("%v: got %g and %g", tt.values, m, s)
		}
	}
}

func TestRatioOf(t *testing.T) {
	base := []float64{9, 10, 11, 10, 10.5}
	for _, tt := range []struct {
		name    string
		values  []float64
		value   float64
		changed bool
	}{
		{"the same", base, 1, false},
		{"twice", []float64{18, 20, 22, 20, 21}, 2, true},
		{"half", []float64{4.5, 5, 5.5, 5, 5.25}, 0.5, true},
		{"larger, but within the noise", []float64{9, 11, 11.5, 9.5, 12}, 1.1, false},
	} {
		r := RatioOf(tt.values, base, Chance)
		if r.Value != tt.value || r.Low > r.Value || r.High < r.Value {
			t.Errorf("%s: got %+v", tt.name, r)
		}
		if changed := r.Low > 1 || r.High < 1; changed != tt.changed {
			t.Errorf("%s: changed is %v in %+v", tt.name, changed, r)
		}
	}
	// Of three values and three, the interval is all that they allow.
	if r := RatioOf([]float64{1, 2, 3}, []float64{1, 2, 4}, Chance); r.Low != 0.25 || r.High != 3 {
		t.Errorf("got %+v", r)
	}
	for _, r := range []Ratio{
		RatioOf([]float64{20, 21}, []float64{10, 11}, Chance),
		RatioOf([]float64{20, 21, 22}, []float64{10, 11, 12}, Chance/2),
	} {
		if r.Low != 0 || !math.IsInf(r.High, 1) {
			t.Errorf("from too few values, got %+v", r)
		}
	}
}

// The critical values of the Mann-Whitney test, one-sided, as they are in tables of it.
func TestOutside(t *testing.T) {
	for _, tt := range []struct {
		n, m   int
		chance float64
		want   int
	}{
		{1, 1, 0.05, -1}, {2, 2, 0.05, -1}, {3, 3, 0.05, 0}, {3, 3, 0.04, -1}, {4, 4, 0.05, 1}, {5, 5, 0.05, 4}, {5, 5, 0.01, 1}, {5, 7, 0.05, 6}, {7, 5, 0.05, 6},
		{8, 8, 0.05, 15}, {10, 10, 0.05, 27}, {10, 10, 0.01, 19}, {20, 20, 0.05, 138},
	} {
		if got := outside(tt.n, tt.m, tt.chance); got != tt.want {
			t.Errorf("%d and %d, %g: got %d, want %d", tt.n, tt.m, tt.chance, got, tt.want)
		}
	}
	if ways := arrangements(2, 3); !slices.Equal(ways, []float64{1, 1, 2, 2, 2, 1, 1}) {
		t.Errorf("got %v", ways)
	}
}

// noisy returns values around a middle, as rarely disturbed as those of a busy machine.
func noisy(random *rand.Rand, n int, middle float64) []float64 {
	values := make([]float64, n)
	for i := range values {
		values[i] = middle * (1 + 0.2*random.ExpFloat64())
	}
	return values
}

// An interval that promises to be wrong at each end in at most 5 of 100 cases is that.
func TestCoverage(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{3, 4, 5, 8} {
		const tries = 8000
		above, below := 0, 0
		for range tries {
			switch r := RatioOf(noisy(random, n, 7), noisy(random, n, 7), Chance); {
			case r.Low > 1:
				above++
			case r.High < 1:
				below++
			}
		}
		if limit := int(1.15 * Chance * tries); above > limit || below > limit {
			t.Errorf("of %d unchanged ones with %d rounds, %d look larger and %d smaller, want at most about %g each", tries, n, above, below, Chance*tries)
		}
	}
}

// series has a run for each CPU time per request, in µs, of a hundred requests a second.
func series(target string, cpu ...float64) *Series {
	s := &Series{Group: "closed loop", Scenario: "64", Target: target, Job: load.Job{Kind: load.Closed, Peers: 64, InFlight: 1, Payload: 64}}
	for round, v := range cpu {
		h := load.NewHistogram()
		h.Record(time.Millisecond)
		s.Runs = append(s.Runs, Run{Round: round, Measurement: &load.Measurement{
			Elapsed:  time.Second,
			Requests: 100,
			Latency:  h,
			Server:   machine.CPU{User: time.Duration(v * 100 * 1e3)},
			Traffic:  load.Traffic{Sent: 1000, Received: 2000},
		}})
	}
	return s
}

func report(list ...*Series) *Report { return &Report{Format: Format, Series: list} }

func change(t *testing.T, before, after *Report, metric string) Change {
	t.Helper()
	changes, err := Compare(before, after)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		if c.Metric.Name == metric {
			return c
		}
	}
	t.Fatalf("nothing is said of %s", metric)
	return Change{}
}

func TestCompare(t *testing.T) {
	before := report(series(Reference, 20, 20, 20), series("ws", 10, 10, 10))
	for _, tt := range []struct {
		name  string
		after *Report
		ratio float64
		worse bool
	}{
		{"the same", before, 1, false},
		{"worse", report(series(Reference, 20, 20, 20), series("ws", 12, 13, 12)), 1.2, true},
		{"better", report(series(Reference, 20, 20, 20), series("ws", 5, 5, 5)), 0.5, false},
		{"a slower machine", report(series(Reference, 40, 40, 40), series("ws", 20, 20, 20)), 1, false},
		{"a slow round", report(series(Reference, 20, 40, 20), series("ws", 10, 20, 10)), 1, false},
		{"worse on a faster machine", report(series(Reference, 10, 10, 10), series("ws", 10, 10, 10)), 2, true},
		{"a little worse", report(series(Reference, 20, 20, 20), series("ws", 10.5, 10.5, 10.5)), 1.05, false},
		{"uncertain", report(series(Reference, 20, 20, 20), series("ws", 9, 12, 12)), 1.2, false},
	} {
		c := change(t, before, tt.after, "cpu")
		if diff := c.Ratio.Value - tt.ratio; diff > 1e-9 || diff < -1e-9 || c.Worse(0.1) != tt.worse {
			t.Errorf("%s: got %+v, worse: %v", tt.name, c.Ratio, c.Worse(0.1))
		}
	}
}

// session has fifty measurements of a target with some noise, of which one takes a number of times as long.
func session(random *rand.Rand, rounds int, slower float64) *Report {
	reference := make([]float64, rounds)
	for i := range reference {
		reference[i] = 20
	}
	r := report(series(Reference, reference...))
	for i := range 50 {
		middle := 10.0
		if i == 7 {
			middle *= slower
		}
		s := series("ws", noisy(random, rounds, middle)...)
		s.Scenario = fmt.Sprint(i)
		r.Series = append(r.Series, s)
	}
	return r
}

// Of many comparisons, chance makes some look worse. Only what it would hardly do to any of them is a regression.
func TestRegression(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	const threshold = 0.1
	worse := 0
	for range 50 {
		changes, err := Compare(session(random, 3, 1), session(random, 3, 1))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range changes {
			if c.Worse(threshold) {
				worse++
			}
			if c.Regression(threshold) {
				t.Errorf("%s %s is a regression: %+v", c.Scenario, c.Metric.Name, c.Ratio)
			}
		}
	}
	if worse == 0 {
		t.Error("chance makes nothing look worse, so this test tests nothing")
	}

	for rounds, want := range map[int]bool{3: false, 5: false, 7: true} {
		changes, err := Compare(session(random, rounds, 1), session(random, rounds, 3))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range changes {
			if c.Metric.Name != "cpu" {
				continue
			}
			slow := c.Scenario == "7"
			if slow && !c.Worse(threshold) {
				t.Errorf("%d rounds: three times as much is not worse: %+v", rounds, c.Ratio)
			}
			if got := c.Regression(threshold); got != (slow && want) {
				t.Errorf("%d rounds: %s %s: regression is %v: %+v", rounds, c.Group, c.Scenario, got, c.Ratio)
			}
		}
	}
}

// What is worse everywhere is a regression with three rounds already.
func TestOverall(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	before, after := session(random, 3, 1), session(random, 3, 1)
	for _, s := range after.Series[1:] {
		for _, run := range s.Runs {
			run.Server.User = run.Server.User * 5 / 4
		}
	}
	c := change(t, before, after, "cpu")
	if c.Group != "" || !c.Regression(0.1) || math.Abs(c.Ratio.Value-1.25) > 0.1 {
		t.Errorf("got %+v", c)
	}
	if c := change(t, after, before, "cpu"); !c.Better(0.1) || c.Regression(0.1) {
		t.Errorf("the other way around: got %+v", c)
	}
	// With two rounds, nothing can be told.
	for _, r := range []*Report{before, after} {
		for _, s := range r.Series {
			s.Runs = s.Runs[:2]
		}
	}
	changes, err := Compare(before, after)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		if c.Worse(0.1) || c.Better(0.1) || c.Regression(0.1) {
			t.Errorf("got %+v", c)
		}
	}
}

// More requests per second are better, not worse.
func TestCompareThroughput(t *testing.T) {
	before, after := report(series(Reference, 1, 1, 1), series("ws", 1, 1, 1)), report(series(Reference, 1, 1, 1), series("ws", 1, 1, 1))
	for _, run := range after.Series[1].Runs {
		run.Measurement.Elapsed = 2 * time.Second
	}
	if c := change(t, before, after, "rate"); c.Ratio.Value != 0.5 || !c.Worse(0.1) {
		t.Errorf("got %+v", c.Ratio)
	}
	if c := change(t, after, before, "rate"); c.Ratio.Value != 2 || c.Worse(0.1) {
		t.Errorf("got %+v", c.Ratio)
	}
}

func TestCompareLeavesOut(t *testing.T) {
	before := report(series(Reference, 20, 20, 20, 20), series("ws", 10, 10, 10, 10))
	after := report(series(Reference, 20, 20, 20, 20), series("ws", 10, 10, 1000, 10))
	after.Series[1].Runs[2].Invalid = "it broke"
	after.Series[1].Runs[1].Limited = "the generator was the limit"
	if c := change(t, before, after, "cpu"); c.Ratio.Value != 1 || c.Ratio.High != 1 {
		t.Errorf("an invalid run counts: %+v", c.Ratio)
	}
	if n := len(Throughput.Values(after.Series[1])); n != 2 {
		t.Errorf("%d rates count, want those of the runs that were not limited", n)
	}

	for name, other := range map[string]*Report{
		"no reference":        report(series("ws", 10, 10, 10)),
		"nothing in common":   report(series(Reference, 20), series("wss", 10)),
		"another measurement": report(series(Reference, 20), series("ws", 10)),
	} {
		if name == "another measurement" {
			other.Series[1].Job.Payload = 1
		}
		if _, err := Compare(before, other); err == nil {
			t.Errorf("%s: they were compared", name)
		}
	}
}

func TestMemory(t *testing.T) {
	m := &load.Measurement{Memory: []load.Memory{{Peers: 0, Resident: 1e6}, {Peers: 100, Resident: 5e6}, {Peers: 200, Resident: 6e6}, {Peers: 300, Resident: 7e6}}}
	if v, ok := Memory.Of(Run{Measurement: m}); !ok || v != 1e4 {
		t.Errorf("got %g, %v, want the slope from the first peers on", v, ok)
	}
	if _, ok := Memory.Of(Run{Measurement: &load.Measurement{}}); ok {
		t.Error("memory was not measured")
	}
}

func TestFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report.json")
	r := report(series("ws", 10, 20))
	r.Series[0].Runs = append(r.Series[0].Runs, Run{Round: 2, Invalid: "it broke"})
	if err := r.Write(file); err != nil {
		t.Fatal(err)
	}
	read, err := Read(file)
	if err != nil {
		t.Fatal(err)
	}
	s := read.Find("64", "ws")
	if got := CPU.Values(s); len(got) != 2 || got[0] != 10 || got[1] != 20 {
		t.Errorf("got %v", got)
	}
	if h := s.Latency(); h.Count() != 2 || h.Quantile(1).Round(10*time.Microsecond) != time.Millisecond {
		t.Errorf("%d latencies up to %v", h.Count(), h.Quantile(1))
	}

	r.Series = append(r.Series, nil)
	if err := r.Write(file); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(file); err == nil || !strings.Contains(err.Error(), "null") {
		t.Errorf("got %v", err)
	}

	r.Format = 99
	if err := r.Write(file); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(file); err == nil || !strings.Contains(err.Error(), "format 99") {
		t.Errorf("got %v", err)
	}
}
