package report

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"slices"
	"time"

	"github.com/go-analyze/charts"

	"github.com/protoo-go/protoo/bench/internal/load"
	"github.com/protoo-go/protoo/bench/internal/result"
	"github.com/protoo-go/protoo/bench/internal/server"
	"github.com/protoo-go/protoo/bench/internal/target"
)

// A chart is a drawing with what one has to know to read it.
type chart struct {
	Title   string
	Caption string
	SVG     template.HTML
}

// missing marks a point that was not measured.
var missing = charts.GetNullValue()

// A line is one target's values, by position on the horizontal axis.
type line struct {
	name   string
	values []float64
}

// drawings draws what a report has data for.
func drawings(r *result.Report) (list []chart, err error) {
	for _, draw := range []func(*result.Report) ([]chart, error){latencies, cpuParts, throughputs, memories} {
		some, err := draw(r)
		if err != nil {
			return nil, err
		}
		list = append(list, some...)
	}
	return list, nil
}

// latencies draws a curve of percentiles for each scenario that was an open loop.
func latencies(r *result.Report) (list []chart, err error) {
	quantiles := []float64{0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999}
	labels := []string{"50 %", "75 %", "90 %", "95 %", "98 %", "99 %", "99.5 %", "99.8 %", "99.9 %"}
	for _, group := range byScenario(r, load.Open) {
		var lines []line
		for _, s := range group {
			h := s.Latency()
			if h.Count() == 0 {
				continue
			}
			l := line{name: s.Target}
			for _, q := range quantiles {
				v := missing
				if d := h.Quantile(q); h.Tells(q) && d < load.Never {
					v = float64(d)
				}
				l.values = append(l.values, v)
			}
			lines = append(lines, l)
		}
		if len(lines) == 0 {
			continue
		}
		s := group[0]
		caption := "Part of the requests that were answered within a time, from when they should have been sent. Each step to the right takes in more of the slow ones. " +
			"A percentile is drawn only where at least one request lies beyond it, and where a line ends before, the others were never answered."
		if s.Path != "" {
			caption += " Path: " + s.Path + "."
		}
		// No line reaches what is left out everywhere.
		reached := 0
		for _, l := range lines {
			for i, v := range l.values {
				if v != missing {
					reached = max(reached, i+1)
				}
			}
		}
		for i := range lines {
			lines[i].values = lines[i].values[:reached]
		}
		unit := timeUnit(lines)
		svg, err := logLines(labels[:reached], "part of the requests", "latency, "+unit+" (logarithmic)", lines)
		if err != nil {
			return nil, err
		}
		list = append(list, chart{Title: fmt.Sprintf("Latency, %s: %s", s.Group, s.Scenario), Caption: caption, SVG: svg})
	}
	return list, nil
}

// timeUnit turns nanoseconds into what suits the least of them, and returns its name.
func timeUnit(lines []line) string {
	least := math.Inf(1)
	for _, l := range lines {
		for _, v := range l.values {
			if v != missing {
				least = min(least, v)
			}
		}
	}
	name, unit := "µs", time.Microsecond
	if least >= float64(5*time.Millisecond) {
		name, unit = "ms", time.Millisecond
	}
	for _, l := range lines {
		for i, v := range l.values {
			if v != missing {
				l.values[i] = v / float64(unit)
			}
		}
	}
	return name
}

// byScenario returns the series of a kind of load, scenario by scenario.
func byScenario(r *result.Report, kind load.Kind) (groups [][]*result.Series) {
	at := make(map[string]int)
	for _, s := range r.Series {
		if s.Job.Kind != kind {
			continue
		}
		key := s.Group + s.Scenario
		if _, known := at[key]; !known {
			at[key] = len(groups)
			groups = append(groups, nil)
		}
		groups[at[key]] = append(groups[at[key]], s)
	}
	return groups
}

// throughputs draws answers per second by the number of peers, for one request in flight and the smallest messages.
func throughputs(r *result.Report) ([]chart, error) {
	var peers []int
	var names []string
	point := make(map[string]map[int]float64)
	payload := smallest(r)
	for _, s := range r.Series {
		values := result.Throughput.Values(s)
		if s.Job.Kind != load.Closed || s.Job.InFlight != 1 || s.Job.Payload != payload || len(values) == 0 {
			continue
		}
		if point[s.Target] == nil {
			point[s.Target] = make(map[int]float64)
			names = append(names, s.Target)
		}
		point[s.Target][s.Job.Peers] = result.Median(values)
		if !slices.Contains(peers, s.Job.Peers) {
			peers = append(peers, s.Job.Peers)
		}
	}
	if len(peers) < 2 {
		return nil, nil
	}
	slices.Sort(peers)
	var lines []line
	for _, name := range names {
		l := line{name: name}
		for _, n := range peers {
			v, ok := point[name][n]
			if !ok {
				v = missing
			}
			l.values = append(l.values, v)
		}
		lines = append(lines, l)
	}
	svg, err := logLines(numbers(peers), "peers, each with one request in flight", "requests per second (logarithmic)", lines)
	return []chart{{
		Title:   "Throughput by number of peers",
		Caption: fmt.Sprintf("Closed loop, %d bytes of text. Rates at which the generator was the limit are left out.", payload),
		SVG:     svg,
	}}, err
}

func smallest(r *result.Report) int {
	payload := math.MaxInt
	for _, s := range r.Series {
		if s.Job.Kind == load.Closed {
			payload = min(payload, s.Job.Payload)
		}
	}
	return payload
}

// memories draws the resident memory by the number of idle peers.
func memories(r *result.Report) (list []chart, err error) {
	for _, group := range byScenario(r, load.Idle) {
		var lines []line
		for _, s := range group {
			l := line{name: s.Target}
			for i := range s.Job.Steps() {
				sizes := residents(s, i)
				if len(sizes) == 0 {
					break
				}
				l.values = append(l.values, result.Median(sizes))
			}
			if len(l.values) == len(s.Job.Steps()) {
				lines = append(lines, l)
			}
		}
		if len(lines) == 0 {
			continue
		}
		svg, err := logLines(numbers(group[0].Job.Steps()), "idle peers", "resident memory, MB (logarithmic)", lines)
		if err != nil {
			return nil, err
		}
		list = append(list, chart{
			Title:   "Memory by number of idle peers",
			Caption: "Resident memory of the whole server process, after it has collected its garbage and given back what it does not need. The kernel's part of the sockets is not in it.",
			SVG:     svg,
		})
	}
	return list, nil
}

// cpuParts draws bars of the CPU time per request, user and system on top of each other, for each scenario that is a closed loop.
func cpuParts(r *result.Report) (list []chart, err error) {
	for _, kind := range []load.Kind{load.Closed, load.Relay, load.Fanout, load.Storm} {
		for _, group := range byScenario(r, kind) {
			var names []string
			var user, system []float64
			for _, s := range group {
				u, v, ok := result.Parts(s)
				if !ok || s.Shared {
					continue
				}
				names = append(names, fmt.Sprintf("%s: %s", s.Target, figure(u+v)))
				user = append(user, u)
				system = append(system, v)
			}
			if len(names) < 2 {
				continue
			}
			what := cmp.Or(map[load.Kind]string{load.Fanout: "delivery", load.Storm: "connection"}[kind], "request")
			svg, err := bars(names, "µs of the server's CPU per "+what, []line{{"user", user}, {"system", system}})
			if err != nil {
				return nil, err
			}
			list = append(list, chart{
				Title:   fmt.Sprintf("CPU per %s, %s: %s", what, group[0].Group, group[0].Scenario),
				Caption: "Medians of the rounds, with the sum beside the name. “user” is the program and its runtime, “system” is what the kernel does for it, mostly the network; how they divide is a rough estimate by the kernel's ticks.",
				SVG:     svg,
			})
		}
	}
	return list, nil
}

func numbers(list []int) (texts []string) {
	for _, n := range list {
		texts = append(texts, figure(float64(n)))
	}
	return texts
}

const width = 900

// margin is of spaces that are not dropped: it keeps what is beside a label away from it, whatever the font.
const margin = "\u00a0\u00a0"

// logLines draws lines over a logarithmic vertical axis: latencies of different transports are orders of magnitude
// apart, and so are those of one. The library has linear axes only, so it gets logarithms, and labels that turn them back.
func logLines(labels []string, horizontal, vertical string, lines []line) (template.HTML, error) {
	low, high := math.Inf(1), math.Inf(-1)
	var values [][]float64
	var names []string
	for _, l := range lines {
		logs := make([]float64, len(l.values))
		for i, v := range l.values {
			logs[i] = missing
			if v != missing && v > 0 {
				logs[i] = math.Log10(v)
				low, high = min(low, logs[i]), max(high, logs[i])
			}
		}
		values = append(values, logs)
		names = append(names, l.name)
	}
	axis := logAxis(low, high)
	axis.Title = vertical
	opt := charts.NewLineChartOptionWithData(values)
	opt.XAxis.Labels = labels
	opt.XAxis.Title = horizontal
	opt.YAxis = []charts.YAxisOption{axis}
	opt.Legend = charts.LegendOption{SeriesNames: names}
	opt.LineStrokeWidth = 2
	opt.Theme = palette(names)
	p := charts.NewPainter(charts.PainterOptions{OutputFormat: charts.ChartOutputSVG, Width: width, Height: 420})
	if err := p.LineChart(opt); err != nil {
		return "", err
	}
	return svg(p)
}

// logAxis returns an axis for logarithms. Each label is twice the one before, from 1, 2 or 5 times a power of ten on, or, where that would be too many,
// ten times.
func logAxis(low, high float64) charts.ValueAxisOption {
	step := 1.0
	first := math.Floor(low)
	if high-low < 2.4 {
		step = math.Log10(2)
		for _, from := range []float64{2, 5} {
			if l := math.Floor(low) + math.Log10(from); l <= low {
				first = l
			}
		}
	}
	steps := max(1, math.Ceil((high-first)/step-1e-9))
	return charts.ValueAxisOption{
		Min: new(first), Max: new(first + steps*step),
		RangeValuePaddingScale: new(0.0),
		LabelCount:             int(steps) + 1,
		PreferNiceIntervals:    new(false),
		ValueFormatter:         func(v float64) string { return margin + figure(math.Pow(10, v)) },
	}
}

// linearAxis returns an axis from 0 on, with a round number between two labels.
func linearAxis(high float64) charts.ValueAxisOption {
	const most = 9 // steps
	unit := math.Pow(10, math.Floor(math.Log10(high/most)))
	step := 10 * unit
	for _, factor := range []float64{5, 2.5, 2, 1} {
		if high <= most*factor*unit {
			step = factor * unit
		}
	}
	steps := math.Ceil(high / step)
	return charts.ValueAxisOption{
		Min: new(0.0), Max: new(steps * step),
		RangeValuePaddingScale: new(0.0),
		LabelCount:             int(steps) + 1,
		PreferNiceIntervals:    new(false),
		ValueFormatter:         figure,
	}
}

// longest returns the length of the longest bar, of all its parts together.
func longest(parts []line) float64 {
	most := 0.001
	for i := range parts[0].values {
		sum := 0.0
		for _, part := range parts {
			sum += part.values[i]
		}
		most = max(most, sum)
	}
	return most
}

// bars draws horizontal bars, the parts side by side on one bar.
func bars(names []string, horizontal string, parts []line) (template.HTML, error) {
	var values [][]float64
	var legend []string
	for _, part := range parts {
		v := slices.Clone(part.values)
		slices.Reverse(v) // the first at the top
		values = append(values, v)
		legend = append(legend, part.name)
	}
	var labels []string
	for _, name := range slices.Backward(names) {
		labels = append(labels, name+margin)
	}
	opt := charts.NewBarChartOptionWithData(values)
	opt.Horizontal = true
	opt.StackSeries = new(true)
	opt.CategoryAxis.Labels = labels
	axis := linearAxis(longest(parts))
	axis.Title = horizontal
	opt.ValueAxis = []charts.ValueAxisOption{axis}
	opt.Legend = charts.LegendOption{SeriesNames: legend}
	opt.ValueFormatter = figure
	opt.Theme = theme.WithSeriesColors([]charts.Color{charts.ColorRGB(40, 90, 200), charts.ColorRGB(165, 195, 235)})
	p := charts.NewPainter(charts.PainterOptions{OutputFormat: charts.ChartOutputSVG, Width: width, Height: 130 + 34*len(names)})
	if err := p.BarChart(opt); err != nil {
		return "", err
	}
	return svg(p)
}

var theme = charts.GetTheme(charts.ThemeVividLight)

// shades are the colors of targets, the same in all charts.
var shades = map[string]charts.Color{
	server.Reference:    charts.ColorRGB(120, 120, 120),
	server.Memory:       charts.ColorRGB(160, 110, 60),
	server.Events:       charts.ColorRGB(40, 90, 200),
	server.Goroutines:   charts.ColorRGB(60, 175, 220),
	server.Secure:       charts.ColorRGB(30, 140, 60),
	server.WebTransport: charts.ColorRGB(220, 100, 20),
	target.Datagram:     charts.ColorRGB(190, 40, 120),
	"gws":               charts.ColorRGB(125, 65, 180),
	"coder":             charts.ColorRGB(205, 50, 50),
	"gorilla":           charts.ColorRGB(0, 150, 140),
	"gobwas":            charts.ColorRGB(230, 130, 190),
	"webtransport-go":   charts.ColorRGB(100, 65, 45),
	"ws-npm":            charts.ColorRGB(150, 155, 30),
	"bun":               charts.ColorRGB(240, 185, 40),
	"socket.io":         charts.ColorRGB(40, 40, 60),
	"protoo-server":     charts.ColorRGB(110, 200, 100),
}

// palette gives each target its color.
func palette(names []string) charts.ColorPalette {
	var colors []charts.Color
	for i, name := range names {
		color, known := shades[name]
		if !known {
			color = theme.GetSeriesColor(i)
		}
		colors = append(colors, color)
	}
	return theme.WithSeriesColors(colors)
}

func svg(p *charts.Painter) (template.HTML, error) {
	b, err := p.Bytes()
	return template.HTML(b), err //nolint:gosec // the library has escaped the texts, which are ours
}
