package report

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/protoo-go/protoo/bench/internal/load"
	"github.com/protoo-go/protoo/bench/internal/machine"
	"github.com/protoo-go/protoo/bench/internal/result"
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
		Machine:  machine.Description{Processor: "Test <processor>", Processors: 2},
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
	r.Series[2].Runs[0].Limited = "the generator was the limit"
	r.Series[3].Runs = append(r.Series[3].Runs, result.Run{Round: 1, Invalid: "got </script>"})
	return r
}

func TestText(t *testing.T) {
	var b strings.Builder
	if err := Text(&b, sample()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`noise before: .* 1\.01 \(median\), 1\.50 \(99 of 100\), 3\.0`,
		`not pinned`,
		`1 +reference +10 +2 +8 +– +1,000 +500 +990 +158 +147`,
		`\n +ws +10 +2 +8 +– +1\.00 +1,000`,
		`64 +ws +10 +2 +8 +– +1\.00 +– +– +– .*times and rates invalid in 1 of 1: the generator was the limit`,
		`wss +10 .*INVALID 1 of 2: got </script>`,
		`1000/s +ws +500 +900 +990 +999 +1,000 +990 +990 +10 +0 %`,
		`100 +ws +40,000 +10\.0 +11\.0 +12\.0 +13\.0 +14\.0`,
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
	if n := strings.Count(page, "<svg"); n != 5 {
		t.Errorf("%d charts, want the latencies, the CPU of two scenarios, the throughput and the memory", n)
	}
	for _, want := range []string{"Test &lt;processor&gt;", "got &lt;/script&gt;", "v1.2.3", "latency, µs", "requests per second", "resident memory, MB", "µs of the server"} {
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
	s := &result.Series{Group: "closed loop", Scenario: "64", Target: "ws"}
	changes := []result.Change{
		{Series: s, Metric: result.CPU, Ratio: result.Ratio{Value: 1.5, Low: 1.4, High: 1.6}},
		{Series: s, Metric: result.P99, Ratio: result.Ratio{Value: 1.5, Low: 1.4, High: 1.6}},
		{Series: s, Metric: result.P50, Ratio: result.Ratio{Value: 0.5, Low: 0.4, High: 0.6}},
		{Series: s, Metric: result.Memory, Ratio: result.Ratio{Value: 1.5, Low: 0.9, High: 1.6}},
	}
	var b strings.Builder
	n, err := Changes(&b, changes, 0.1, func(metric string) bool { return metric == "cpu" || metric == "memory" })
	if n != 1 || err != nil {
		t.Errorf("%d regressions, %v", n, err)
	}
	for _, want := range []string{`cpu +1\.500 +1\.400 +1\.600 +REGRESSION\n`, `p99 .*worse\n`, `p50 .*better\n`, `memory +1\.500 +0\.900 +1\.600\n`} {
		if !regexp.MustCompile(want).MatchString(b.String()) {
			t.Errorf("nothing matches %s in\n%s", want, b.String())
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
