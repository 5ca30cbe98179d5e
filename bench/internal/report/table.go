// Package report shows what a session has found, and how two sessions compare.
package report

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/protoo-go/protoo/bench/internal/load"
	"github.com/protoo-go/protoo/bench/internal/result"
)

// A table is what the terminal and the page both show.
type table struct {
	Title string
	Note  string
	Head  []string
	Rows  []row
}

type row struct {
	Cells  []string
	Remark string
}

// groups returns the groups of a report's series, in the order in which they occur.
func groups(r *result.Report) (names []string) {
	for _, s := range r.Series {
		if !slices.Contains(names, s.Group) {
			names = append(names, s.Group)
		}
	}
	return names
}

// tables returns one for each group.
func tables(r *result.Report) (list []table) {
	for _, group := range groups(r) {
		var series []*result.Series
		for _, s := range r.Series {
			if s.Group == group {
				series = append(series, s)
			}
		}
		// Series are in the order of the measurements; scenarios belong together.
		first := func(s *result.Series) int {
			return slices.IndexFunc(series, func(o *result.Series) bool { return o.Scenario == s.Scenario })
		}
		ordered := slices.Clone(series)
		slices.SortStableFunc(ordered, func(a, b *result.Series) int { return cmp.Compare(first(a), first(b)) })
		var t table
		switch ordered[0].Job.Kind {
		case load.Idle:
			t = idleTable(ordered)
		case load.Open:
			t = openTable(ordered)
		default:
			t = closedTable(r, ordered)
		}
		t.Title = group
		list = append(list, t)
	}
	return list
}

func closedTable(r *result.Report, series []*result.Series) table {
	what, many, legend := "request", "requests", ""
	switch series[0].Job.Kind {
	case load.Closed:
		legend = "A scenario is peers × requests in flight of each, and the bytes of text in a request. "
	case load.Fanout:
		what, many = "delivery", "deliveries"
	case load.Storm:
		what, many = "connection", "connections"
	}
	t := table{
		Note: legend + "CPU is the server's, in µs per " + what + "; spread is (largest - smallest) / median of the rounds; × ref. is the CPU as a multiple of the " +
			"reference's, of this scenario where it has one; bytes are what TCP or UDP carry. The generator's own CPU is per " + what + ", too; up to its delay " +
			"have 99 of 100 of its goroutines waited for their turn.",
		Head: []string{"scenario", "target", "CPU µs", "of it user", "system", "spread", "× ref.", many + "/s", "p50 µs", "p99 µs", "B sent", "B received", "generator µs", "delay µs"},
	}
	for _, s := range series {
		generator, delay := own(s)
		user, system := "–", "–"
		if u, v, ok := result.Parts(s); ok {
			user, system = figure(u), figure(v)
		}
		t.Rows = append(t.Rows, row{[]string{s.Scenario, s.Target, median(result.CPU, s), user, system, spread(result.CPU, s), timesReference(r, s),
			median(result.Throughput, s), median(result.P50, s), median(result.P99, s), median(result.Sent, s), median(result.Received, s), generator, delay}, remark(s)})
	}
	return t
}

// own is the generator's own CPU per request, and its delay. What it shares with the server cannot be told apart.
func own(s *result.Series) (cpu, delay string) {
	if s.Shared {
		return "", ""
	}
	return median(result.Generator, s), median(result.Delay, s)
}

// timesReference is a target's CPU per request as a multiple of that of the reference which is nearest.
func timesReference(r *result.Report, s *result.Series) string {
	cpu, nearest := result.CPU.Values(s), r.Nearest(s, result.CPU)
	if s.Shared || s.Target == result.Reference || nearest == nil || len(cpu) == 0 {
		return ""
	}
	ref := result.Median(result.CPU.Values(nearest))
	if ref <= 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", result.Median(cpu)/ref)
}

func openTable(series []*result.Series) table {
	t := table{
		Note: "Latencies of all rounds together, in µs, from when a request should have been sent: corrected for coordinated omission. What the last " +
			"request of a hundred would look like without that is under “uncorrected”, and how late the generator was itself under “lag”. " +
			"CPU is the server's, per request, and the generator's own; up to its delay have 99 of 100 of its goroutines waited for their turn.",
		Head: []string{"scenario", "target", "p50", "p90", "p99", "p99.9", "max", "uncorrected p99", "lag p99", "CPU µs", "lost", "generator µs", "delay µs"},
	}
	for _, s := range series {
		h, service, lag := load.NewHistogram(), load.NewHistogram(), load.NewHistogram()
		var sent, lost int64
		for _, run := range s.Runs {
			if run.Invalid == "" && run.Limited == "" {
				h.Merge(run.Measurement.Latency)
				service.Merge(run.Service)
				lag.Merge(run.Lag)
				sent += run.Sent
				lost += run.Lost
			}
		}
		cells := []string{s.Scenario, s.Target}
		for _, q := range []float64{0.5, 0.9, 0.99, 0.999, 1} {
			cells = append(cells, micros(h, q))
		}
		losses := ""
		if sent > 0 {
			losses = fmt.Sprintf("%.2g %%", 100*float64(lost)/float64(sent))
		}
		generator, delay := own(s)
		t.Rows = append(t.Rows, row{append(cells, micros(service, 0.99), micros(lag, 0.99), median(result.CPU, s), losses, generator, delay), remark(s)})
		if s.Path != "" && !strings.Contains(t.Note, "Path:") {
			t.Note += " Path: " + s.Path + "."
		}
	}
	return t
}

func idleTable(series []*result.Series) table {
	t := table{
		Note: "Resident memory of the server, by the number of connected peers that do nothing. What a peer takes is the slope from a quarter of them " +
			"to all, as the median of the rounds; what the kernel needs for their sockets comes on top.",
		Head: []string{"scenario", "target", "bytes/peer", "spread"},
	}
	for _, m := range series[0].Job.Steps() {
		t.Head = append(t.Head, fmt.Sprintf("MB at %d", m))
	}
	for _, s := range series {
		cells := []string{s.Scenario, s.Target, median(result.Memory, s), spread(result.Memory, s)}
		for i := range s.Job.Steps() {
			text := "–"
			if sizes := residents(s, i); len(sizes) > 0 {
				text = fmt.Sprintf("%.1f", result.Median(sizes))
			}
			cells = append(cells, text)
		}
		t.Rows = append(t.Rows, row{cells, remark(s)})
	}
	return t
}

// residents returns the server's memory at a step of the number of idle peers, in MB, of all rounds.
func residents(s *result.Series, step int) (sizes []float64) {
	for _, run := range s.Runs {
		if run.Invalid == "" && step < len(run.Memory) {
			sizes = append(sizes, float64(run.Memory[step].Resident)/1e6)
		}
	}
	return sizes
}

func median(m result.Metric, s *result.Series) string {
	values := m.Values(s)
	if len(values) == 0 {
		return "–"
	}
	return figure(result.Median(values))
}

func spread(m result.Metric, s *result.Series) string {
	values := m.Values(s)
	if len(values) < 2 {
		return "–"
	}
	return fmt.Sprintf("%.0f %%", 100*result.Spread(values))
}

func micros(h *load.Histogram, q float64) string {
	if h.Count() == 0 {
		return "–"
	}
	return figure(float64(h.Quantile(q)) / float64(time.Microsecond))
}

// figure writes a number with three digits that count, and commas.
func figure(v float64) string {
	if math.Abs(v) < 100 {
		return fmt.Sprintf("%.3g", v)
	}
	digits := fmt.Sprintf("%.0f", v)
	for at := len(digits) - 3; at > 0 && digits[at-1] != '-'; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// remark says which runs of a series do not count, or count in part, and why the first of them does not.
func remark(s *result.Series) string {
	var invalid, limited []string
	for _, run := range s.Runs {
		switch {
		case run.Invalid != "":
			invalid = append(invalid, run.Invalid)
		case run.Limited != "":
			limited = append(limited, run.Limited)
		}
	}
	var parts []string
	if len(invalid) > 0 {
		parts = append(parts, fmt.Sprintf("INVALID %d of %d: %s", len(invalid), len(s.Runs), invalid[0]))
	}
	if len(limited) > 0 {
		parts = append(parts, fmt.Sprintf("times and rates invalid in %d of %d: %s", len(limited), len(s.Runs), limited[0]))
	}
	return strings.Join(parts, "; ")
}

// Text writes a report for a terminal.
func Text(w io.Writer, r *result.Report) error {
	for _, line := range preface(r) {
		fmt.Fprintln(w, line)
	}
	for _, t := range tables(r) {
		fmt.Fprintf(w, "\n%s\n%s\n", strings.ToUpper(t.Title), t.Note)
		if err := writeTable(w, t); err != nil {
			return err
		}
	}
	return nil
}

// writeTable writes a table in columns, and remarks below what they are about.
func writeTable(w io.Writer, t table) error {
	var text strings.Builder
	tw := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, strings.Join(t.Head, "\t"))
	last := ""
	for _, r := range t.Rows {
		cells := slices.Clone(r.Cells)
		if cells[0] == last {
			cells[0] = ""
		}
		last = r.Cells[0]
		fmt.Fprintln(tw, strings.Join(cells, "\t"))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	n := -1 // the head
	for line := range strings.Lines(text.String()) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
		if n >= 0 && t.Rows[n].Remark != "" {
			if _, err := fmt.Fprintf(w, "    ! %s\n", t.Rows[n].Remark); err != nil {
				return err
			}
		}
		n++
	}
	return nil
}

// preface says where, how and how well it was measured.
func preface(r *result.Report) []string {
	m := r.Machine
	lines := []string{
		fmt.Sprintf("%s, %d processors, %.1f GB, %s/%s %s, %s", cmp.Or(m.Processor, "unknown processor"), m.Processors, float64(m.Memory)/1e9, m.OS, m.Arch, m.Kernel, m.Go),
		fmt.Sprintf("%s, %s, each measurement %s after %s of warm-up, %v in all", r.Started.Format(time.RFC3339), rounds(r),
			extent(r, func(j load.Job) time.Duration { return j.Duration }), extent(r, func(j load.Job) time.Duration { return j.Warmup }), r.Elapsed.Round(time.Second)),
	}
	if len(r.Settings.ServerCPUs) > 0 {
		lines = append(lines, fmt.Sprintf("pinned: server on processors %v, generator on %v", r.Settings.ServerCPUs, r.Settings.GeneratorCPUs))
	} else {
		lines = append(lines, "not pinned: server and generator share all processors")
	}
	for i, n := range r.Noise {
		when := []string{"before", "after"}[min(i, 1)]
		lines = append(lines, fmt.Sprintf("noise %s: the same piece of work took %.2f (median), %.2f (99 of 100), %.1f (worst) times the fastest; load average %.1f, stolen %.1f %%",
			when, n.Median, n.P99, n.Worst, n.Load, 100*n.Stolen))
	}
	if r.Interrupted {
		lines = append(lines, "INTERRUPTED: not everything was measured")
	}
	return append(lines, r.Notes...)
}

func rounds(r *result.Report) string {
	if r.Settings.Rounds == 1 {
		return "1 round"
	}
	return fmt.Sprintf("%d rounds", r.Settings.Rounds)
}

// extent writes the shortest and the longest of some times.
func extent(r *result.Report, of func(load.Job) time.Duration) string {
	var times []time.Duration
	for _, s := range r.Series {
		if s.Job.Kind != load.Idle {
			times = append(times, of(s.Job))
		}
	}
	if len(times) == 0 {
		return "0s"
	}
	low, high := slices.Min(times), slices.Max(times)
	if low == high {
		return low.String()
	}
	return fmt.Sprintf("%v to %v", low, high)
}
