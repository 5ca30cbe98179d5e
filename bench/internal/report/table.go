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
		Note: legend + "CPU is the server's, in µs per " + what + "; spread, here and later, is (largest - smallest) / median of the rounds; user is the part of it that is " +
			"not the kernel's, a rough estimate by its ticks; × ref. is the CPU as a multiple of the reference's in the same scenario. " +
			"p50 and p99 are of a closed loop, so they are not corrected for coordinated omission: what a stall would have done to requests that " +
			"were not sent meanwhile is not in them. " + directions + "The generator's own CPU is per " + what + ", too; up to its delay have 99 of 100 of its goroutines waited for their turn.",
		Head: []string{"scenario", "target", "CPU µs", "spread", "user", "× ref.", many + "/s", "spread", "p50 µs", "spread", "p99 µs", "spread", "B to server", "B to client", "generator µs", "delay µs"},
	}
	for _, s := range series {
		generator, delay := own(s)
		user := "–"
		if u, v, ok := result.Parts(s); ok && u+v > 0 {
			user = fmt.Sprintf("%.0f %%", 100*u/(u+v))
		}
		cells := []string{s.Scenario, s.Target, median(result.CPU, s), spread(result.CPU, s), user, timesReference(r, s)}
		for _, m := range []result.Metric{result.Throughput, result.P50, result.P99} {
			cells = append(cells, median(m, s), spread(m, s))
		}
		t.Rows = append(t.Rows, row{append(cells, median(result.Sent, s), median(result.Received, s), generator, delay), remark(s)})
	}
	return t
}

// directions explains the columns with bytes.
const directions = "B to server and B to client are the bytes in each direction, as TCP or UDP carry them, with what there is besides messages. "

// own is the generator's own CPU per request, and its delay. What it shares with the server cannot be told apart.
func own(s *result.Series) (cpu, delay string) {
	if s.Shared {
		return "", ""
	}
	return median(result.Generator, s), median(result.Delay, s)
}

// timesReference is a target's CPU per request as a multiple of that of the reference, if that does the same.
func timesReference(r *result.Report, s *result.Series) string {
	reference := r.Find(s.Scenario, result.Reference)
	if s.Shared || s == reference || reference == nil {
		return ""
	}
	cpu, by := result.CPU.Values(s), result.CPU.Values(reference)
	if len(cpu) == 0 || len(by) == 0 || result.Median(by) <= 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", result.Median(cpu)/result.Median(by))
}

func openTable(series []*result.Series) table {
	t := table{
		Note: "Latencies of all rounds together, in µs, from when a request should have been sent: corrected for coordinated omission. They are of all requests that " +
			"were sent: one without an answer took longer than any. A percentile that no request lies beyond is left out. What the last request of a hundred would look " +
			"like without the correction is under “uncorrected”, and how late the generator was itself under “lag”. " + directions +
			"CPU is the server's, per request, and the generator's own; up to its delay have 99 of 100 of its goroutines waited for their turn.",
		Head: []string{"scenario", "target", "p50", "spread", "p90", "p99", "spread", "p99.9", "max", "uncorrected p99", "lag p99", "lost", "CPU µs", "spread", "B to server", "B to client", "generator µs", "delay µs"},
	}
	for _, s := range series {
		h, service, lag := s.Latency(), load.NewHistogram(), load.NewHistogram()
		var sent, lost int64
		for _, run := range s.Runs {
			if run.Timed() {
				service.Merge(run.Service)
				lag.Merge(run.Lag)
				sent += run.Sent
				lost += run.Lost
			}
		}
		losses := ""
		if sent > 0 {
			losses = fmt.Sprintf("%.2g %%", 100*float64(lost)/float64(sent))
		}
		generator, delay := own(s)
		t.Rows = append(t.Rows, row{[]string{s.Scenario, s.Target, micros(h, 0.5), spread(result.P50, s), micros(h, 0.9), micros(h, 0.99), spread(result.P99, s), micros(h, 0.999), micros(h, 1),
			micros(service, 0.99), micros(lag, 0.99), losses, median(result.CPU, s), spread(result.CPU, s), median(result.Sent, s), median(result.Received, s), generator, delay}, remark(s)})
		if s.Path != "" && !strings.Contains(t.Note, "Path:") {
			t.Note += " Path: " + s.Path + "."
		}
	}
	return t
}

func idleTable(series []*result.Series) table {
	t := table{
		Note: "Resident memory of the server, by the number of connected peers that do nothing, after each server, those of others too, has collected its garbage and given back " +
			"what it does not need. What a peer takes is the slope from a quarter of them to all, as the median of the rounds; what the kernel needs for their sockets comes on top.",
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
	if h.Count() == 0 || q < 1 && !h.Tells(q) {
		return "–"
	}
	d := h.Quantile(q)
	if d >= load.Never {
		return "never"
	}
	return figure(float64(d) / float64(time.Microsecond))
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
	doubts := []struct {
		what string
		why  []string
	}{{"INVALID", nil}, {"CPU, times and rates invalid, bytes not,", nil}, {"times and rates invalid, CPU not,", nil}}
	for _, run := range s.Runs {
		for i, why := range []string{run.Invalid, run.Starved, run.Limited} {
			if why != "" {
				doubts[i].why = append(doubts[i].why, why)
				break
			}
		}
	}
	var parts []string
	for _, d := range doubts {
		if len(d.why) > 0 {
			parts = append(parts, fmt.Sprintf("%s in %d of %d: %s", d.what, len(d.why), len(s.Runs), d.why[0]))
		}
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
		fmt.Sprintf("%s, %s, each measurement %s after %s of warm-up, GOGC=%s, %v in all", r.Started.Format(time.RFC3339), rounds(r),
			extent(r, func(j load.Job) time.Duration { return j.Duration }), extent(r, func(j load.Job) time.Duration { return j.Warmup }), r.Settings.GOGC, r.Elapsed.Round(time.Second)),
	}
	if m.Quota > 0 {
		lines = append(lines, fmt.Sprintf("of the processors, a control group leaves the time of %g", m.Quota))
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
