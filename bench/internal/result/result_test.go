package result

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"reflect"
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
	changes, _, err := Compare(before, after, []string{"cpu"})
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

// noise is by how much a measurement is above its middle in the mean: one of a target's, and one of the reference, which all targets of a round share.
type noise struct{ own, reference float64 }

// session has some measurements of each of six targets, of which one takes a number of times as long: in one measurement, or in all if only is "".
func session(random *rand.Rand, rounds int, n noise, slower float64, only string) *Report {
	measured := func(scenario, target string, middle, noise float64) *Series {
		s := &Series{Group: "closed loop", Scenario: scenario, Target: target, Job: load.Job{Kind: load.Closed}}
		for round := range rounds {
			cpu := machine.CPU{User: time.Duration(middle * (1 + noise*random.ExpFloat64()))}
			s.Runs = append(s.Runs, Run{Round: round, Measurement: &load.Measurement{Elapsed: time.Second, Requests: 1, Server: cpu, Traffic: load.Traffic{Sent: 100, Received: 200}}})
		}
		return s
	}
	r := report(measured("0", Reference, 2e9, n.reference))
	for target := range 6 {
		for i := range 8 {
			scenario, middle := fmt.Sprint(i), 1e9
			if target == 2 && (only == "" || only == scenario) {
				middle *= slower
			}
			r.Series = append(r.Series, measured(scenario, fmt.Sprint("target ", target), middle, n.own))
		}
	}
	return r
}

var gates = []string{"cpu", "memory", "to-server", "to-client"}

// regressions returns how many there are of all measurements together, of the slower target and of the others, and of single ones.
func regressions(t *testing.T, before, after *Report) (right, wrong, single int) {
	t.Helper()
	changes, _, err := Compare(before, after, gates)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		switch {
		case !c.Regression(0.1):
		case c.Group != "":
			single++
		case c.Target == "target 2":
			right++
		default:
			wrong++
		}
	}
	return right, wrong, single
}

// Two sessions in which nothing has changed differ by a regression, anywhere in them, with the chance that is promised.
func TestFalseAlarms(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, n := range []noise{{0.2, 0.2}, {0.4, 0.1}, {0.1, 0.4}} {
		for rounds, tries := range map[int]int{3: 200, 4: 40} {
			alarms := 0
			for range tries {
				if right, wrong, single := regressions(t, session(random, rounds, n, 1, ""), session(random, rounds, n, 1, "")); right+wrong+single > 0 {
					alarms++
				}
			}
			t.Logf("%d rounds, noise %v: %d of %d", rounds, n, alarms, tries)
			if limit := Chance*float64(tries) + 2*math.Sqrt(Chance*float64(tries)); float64(alarms) > limit {
				t.Errorf("%d rounds, noise %v: %d of %d unchanged sessions have a regression, want at most %g of 100", rounds, n, alarms, tries, 100*Chance)
			}
		}
	}
}

// A target that has become slower is found among six.
func TestRegression(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	const tries = 100
	for _, tt := range []struct {
		slower float64
		rounds int
		noise  noise
		found  int // at least
	}{
		{1.2, 3, noise{0.1, 0.05}, 80},
		{1.15, 3, noise{0.1, 0.03}, 70},
		{1.2, 5, noise{0.2, 0.05}, 80},
	} {
		found, wrong := 0, 0
		for range tries {
			right, other, _ := regressions(t, session(random, tt.rounds, tt.noise, 1, ""), session(random, tt.rounds, tt.noise, tt.slower, ""))
			found += min(right, 1)
			wrong += min(other, 1)
		}
		t.Logf("%+v: found %d, wrong %d", tt, found, wrong)
		if found < tt.found || wrong > 5 {
			t.Errorf("%g times as slow, %d rounds, noise %v: found %d times of %d, want %d, and %d times in another target", tt.slower, tt.rounds, tt.noise, found, tries, tt.found, wrong)
		}
	}
}

// A single measurement is a regression only if there are rounds enough to tell it from all others.
func TestSingle(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	for rounds, want := range map[int]int{3: 0, 4: 1, 7: 1} {
		_, _, single := regressions(t, session(random, rounds, noise{0.1, 0.1}, 1, ""), session(random, rounds, noise{0.1, 0.1}, 3, "5"))
		if single != want {
			t.Errorf("%d rounds: %d regressions, want %d", rounds, single, want)
		}
	}
}

// What two measurements only say of a target is not said of all of its measurements.
func TestFewMeasurements(t *testing.T) {
	list := func(cpu float64) *Report {
		r := report(series(Reference, 20, 20, 20))
		for i := range 2 {
			s := series("ws", cpu, cpu, cpu)
			s.Scenario = fmt.Sprint(i)
			r.Series = append(r.Series, s)
		}
		return r
	}
	changes, _, err := Compare(list(10), list(20), gates)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		if c.Group == "" || c.Regression(0.1) {
			t.Errorf("got %+v", c)
		}
	}
}

// What is worse everywhere is a regression with three rounds already, and never with two.
func TestOverall(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	before, after := session(random, 3, noise{0.1, 0.1}, 1, ""), session(random, 3, noise{0.1, 0.1}, 1, "")
	for _, s := range after.Series[1:] {
		for _, run := range s.Runs {
			run.Server.User = run.Server.User * 3 / 2
		}
	}
	c := change(t, before, after, "cpu")
	if c.Group != "" || !c.Regression(0.1) || math.Abs(c.Ratio.Value-1.5) > 0.2 {
		t.Errorf("got %+v", c)
	}
	if c := change(t, after, before, "cpu"); !c.Better(0.1) || c.Regression(0.1) {
		t.Errorf("the other way around: got %+v", c)
	}
	for _, r := range []*Report{before, after} {
		for _, s := range r.Series {
			s.Runs = s.Runs[:2]
		}
	}
	changes, _, err := Compare(before, after, gates)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		if c.Worse(0.1) || c.Better(0.1) || c.Regression(0.1) {
			t.Errorf("got %+v", c)
		}
	}
}

// Of more rounds than can be dealt out in all ways, some are.
func TestManyRounds(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 10))
	n := noise{0.1, 0.1}
	before, after := session(random, 10, n, 1, ""), session(random, 10, n, 1.5, "")
	after.Series = append(after.Series[:9], after.Series[17:25]...) // of two targets
	if right, wrong, single := regressions(t, before, after); right != 1 || wrong+single > 8 {
		t.Errorf("%d, %d and %d regressions", right, wrong, single)
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
	after.Series[1].Runs[0].Starved = "something else had the processors"
	for want, m := range map[int]Metric{1: Throughput, 2: CPU, 3: Sent} {
		if n := len(m.Values(after.Series[1])); n != want {
			t.Errorf("%d runs have %s, want %d", n, m.Name, want)
		}
	}

	for name, other := range map[string]*Report{
		"no reference":      report(series("ws", 10, 10, 10)),
		"nothing in common": report(series(Reference, 20), series("wss", 10)),
	} {
		if _, _, err := Compare(before, other, nil); err == nil {
			t.Errorf("%s: they were compared", name)
		}
	}
}

// What is not the same in both is skipped, and said.
func TestCompareSkips(t *testing.T) {
	for want, differ := range map[string]func(*Series){
		"not the same load":       func(s *Series) { s.Job.Payload = 1 },
		`the path was "", and is`: func(s *Series) { s.Path = "proxies" },
	} {
		before := report(series(Reference, 20), series("ws", 10), series("wss", 10))
		after := report(series(Reference, 20), series("ws", 10), series("wss", 10))
		differ(after.Series[1])
		changes, skipped, err := Compare(before, after, nil)
		if err != nil || len(skipped) != 1 || !strings.Contains(skipped[0], "ws: "+want) {
			t.Errorf("%s: skipped %q, %v", want, skipped, err)
		}
		for _, c := range changes {
			if c.Target == "ws" {
				t.Errorf("%s: compared %+v", want, c)
			}
		}
	}
}

// Times on a path that delays are not those of the machine. What they cost is.
func TestCompareDelayed(t *testing.T) {
	late := func(reference, cpu float64, latency time.Duration) *Report {
		r := report(series(Reference, reference), series("ws", cpu))
		for i, d := range []time.Duration{time.Duration(reference) * time.Microsecond, latency} {
			h := load.NewHistogram()
			for range 1000 {
				h.Record(d)
			}
			r.Series[i].Runs[0].Measurement.Latency = h
		}
		r.Series[1].Path = "one that delays"
		return r
	}
	before, after := late(20, 10, 40*time.Millisecond), late(40, 20, 40*time.Millisecond)
	for _, metric := range []string{"cpu", "p50", "p99"} {
		if c := change(t, before, after, metric); c.Ratio.Value != 1 {
			t.Errorf("%s on a machine that is half as fast: got %+v", metric, c.Ratio)
		}
	}
}

// A quantile needs a time beyond it, and an answer below it.
func TestQuantiles(t *testing.T) {
	h := load.NewHistogram()
	for range 90 {
		h.Record(time.Millisecond)
	}
	run := Run{Measurement: &load.Measurement{Latency: h, Requests: 1}}
	if _, ok := P99.Of(run); ok {
		t.Error("there is a 99th percentile of 90")
	}
	for range 10 {
		h.Record(load.Never)
	}
	if v, ok := P50.Of(run); !ok || math.Round(v/10) != 100 {
		t.Errorf("got %g, %v", v, ok)
	}
	if v, ok := P99.Of(run); ok {
		t.Errorf("the 99th percentile of which a tenth was lost is %g", v)
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

// Whoever reads a report without this program has to know the units.
func TestUnits(t *testing.T) {
	var check func(reflect.Type)
	check = func(of reflect.Type) {
		switch of.Kind() {
		case reflect.Pointer, reflect.Slice:
			check(of.Elem())
		case reflect.Struct:
			for f := range of.Fields() {
				name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
				if f.Type == reflect.TypeFor[time.Duration]() || f.Type == reflect.TypeFor[*load.Histogram]() {
					if !strings.HasSuffix(name, "_ns") {
						t.Errorf("%v.%s is called %q, want a name that ends with _ns", of, f.Name, name)
					}
				} else if f.IsExported() && f.Type != reflect.TypeFor[time.Time]() {
					check(f.Type)
				}
			}
		}
	}
	check(reflect.TypeFor[Report]())
	b, err := json.Marshal(report(series("ws", 10)))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"toServer_bytes", "toClients_bytes", "payload_bytes", "rate_per_s"} {
		if !strings.Contains(string(b), `"`+name+`":`) {
			t.Errorf("nothing is called %s", name)
		}
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
