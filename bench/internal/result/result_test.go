package result

import (
	"path/filepath"
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
		r := RatioOf(tt.values, base)
		if r.Value != tt.value || r.Low > r.Value || r.High < r.Value {
			t.Errorf("%s: got %+v", tt.name, r)
		}
		if changed := r.Low > 1 || r.High < 1; changed != tt.changed {
			t.Errorf("%s: changed is %v in %+v", tt.name, changed, r)
		}
		if again := RatioOf(tt.values, base); again != r {
			t.Errorf("%s: got %+v and then %+v", tt.name, r, again)
		}
	}
	// Of three values and three, the interval is all that they allow.
	if r := RatioOf([]float64{1, 2, 3}, []float64{1, 2, 4}); r.Low != 0.25 || r.High != 3 {
		t.Errorf("got %+v", r)
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
	before := report(series(Reference, 20, 20, 20), series("ws", 10, 10, 10))
	after := report(series(Reference, 20, 20, 20), series("ws", 10, 10, 1000))
	after.Series[1].Runs[2].Invalid = "it broke"
	after.Series[1].Runs[1].Limited = "the generator was the limit"
	if c := change(t, before, after, "cpu"); c.Ratio.Value != 1 || c.Ratio.High != 1 {
		t.Errorf("an invalid run counts: %+v", c.Ratio)
	}
	if n := len(Throughput.Values(after.Series[1])); n != 1 {
		t.Errorf("%d rates count, want that of the run that was not limited", n)
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

	r.Format = 99
	if err := r.Write(file); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(file); err == nil || !strings.Contains(err.Error(), "format 99") {
		t.Errorf("got %v", err)
	}
}
