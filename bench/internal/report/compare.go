package report

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/protoo-go/protoo/bench/internal/result"
)

// Sessions writes where, when and of what two sessions were, and warns of what keeps them from being compared.
func Sessions(w io.Writer, before, after *result.Report) {
	for _, s := range []struct {
		name   string
		report *result.Report
	}{{"old", before}, {"new", after}} {
		m := s.report.Machine
		fmt.Fprintf(w, "%s: protoo %s, %s, %s, %d processors, %s, %s%s\n", s.name, cmp.Or(s.report.Versions["protoo"], "of unknown version"),
			s.report.Started.Format(time.RFC3339), cmp.Or(m.Processor, "unknown processor"), m.Processors, m.Go, rounds(s.report), circumstances(s.report))
	}
	fmt.Fprintln(w)
	if before.Machine.Processor != after.Machine.Processor || before.Machine.Processors != after.Machine.Processors {
		fmt.Fprintln(w, "The two are from different machines: the reference makes up for their speed, not for their differences.")
	}
	for _, setting := range []struct {
		name     string
		was, now any
	}{
		{"kernels", before.Machine.Kernel, after.Machine.Kernel},
		{"versions of Go", before.Machine.Go, after.Machine.Go},
		{"settings of the garbage collector (GOGC)", before.Settings.GOGC, after.Settings.GOGC},
		{"numbers of rounds", before.Settings.Rounds, after.Settings.Rounds},
		{"times of a measurement", before.Settings.Time, after.Settings.Time},
		{"times of warm-up", before.Settings.Warmup, after.Settings.Warmup},
		{"processors for the server alone", before.Settings.ServerCPUs, after.Settings.ServerCPUs},
	} {
		if was, now := fmt.Sprint(setting.was), fmt.Sprint(setting.now); was != now {
			fmt.Fprintf(w, "The two have different %s: %s and %s.\n", setting.name, was, now)
		}
	}
	if before.Interrupted || after.Interrupted {
		fmt.Fprintln(w, "One of the two was interrupted: its last round is incomplete.")
	}
	const more = 2 // times as noisy, or as busy
	if a, b := unrest(before), unrest(after); max(a, b) > more*min(a, b) {
		fmt.Fprintln(w, "One of the two was measured while the machine was much busier with other things: what differs may be that.")
	}
}

// circumstances says how noisy the machine was, and how much does not count.
func circumstances(r *result.Report) (text string) {
	runs, doubtful := 0, 0
	for _, s := range r.Series {
		for _, run := range s.Runs {
			if runs++; !run.Timed() {
				doubtful++
			}
		}
	}
	if doubtful > 0 {
		text = fmt.Sprintf("; %d of %d measurements do not count, or not with all of their figures", doubtful, runs)
	}
	if len(r.Noise) == 0 {
		return text
	}
	n := r.Noise[0]
	return text + fmt.Sprintf("; before it, noise %.2f (median), %.2f (99 of 100), load average %.1f", n.Median, n.P99, n.Load)
}

// unrest is how much longer than the fastest piece of work most have taken, and how many processes waited: before the session, because
// what comes after it is partly its own.
func unrest(r *result.Report) float64 {
	if len(r.Noise) == 0 {
		return 1
	}
	return r.Noise[0].Median * (1 + r.Noise[0].Load/float64(max(r.Machine.Processors, 1)))
}

// Changes writes how a session compares with an earlier one. A change is marked when it is past the threshold. It returns how many regressions there are.
func Changes(w io.Writer, changes []result.Change, threshold float64) (regressions int, err error) {
	t := table{Head: []string{"scenario", "target", "metric", "new/old", "from", "to", ""}}
	for _, c := range changes {
		verdict := ""
		switch {
		case c.Regression(threshold):
			verdict = "REGRESSION"
			regressions++
		case c.Worse(threshold):
			verdict = "worse"
		case c.Better(threshold):
			verdict = "better"
		}
		low, high := "–", "–"
		if !math.IsInf(c.Ratio.High, 1) {
			low, high = fmt.Sprintf("%.3f", c.Ratio.Low), fmt.Sprintf("%.3f", c.Ratio.High)
		}
		scenario := "all"
		if c.Group != "" {
			scenario = c.Group + ": " + c.Scenario
		}
		t.Rows = append(t.Rows, row{Cells: []string{scenario, c.Target, c.Metric.Name, fmt.Sprintf("%.3f", c.Ratio.Value), low, high, verdict}})
	}
	return regressions, writeTable(w, t)
}
