package result

import (
	"fmt"
	"slices"
)

// Compared are the metrics that compare looks at.
var Compared = []Metric{CPU, Memory, Sent, Received, Throughput, P50, P99}

// A Change is what has become of a metric of a series.
type Change struct {
	Series *Series // of the new report
	Metric Metric
	Ratio  Ratio // new to old, each related to the reference of its own session
}

// Worse tells whether it has become worse by more than a threshold (0.1 is a tenth), and not by chance.
func (c Change) Worse(threshold float64) bool {
	if c.Metric.More {
		return c.Ratio.Value < 1/(1+threshold) && c.Ratio.High < 1
	}
	return c.Ratio.Value > 1+threshold && c.Ratio.Low > 1
}

// Compare relates each series to the reference of its session, round by round, and the new ones to the old ones. What only one of the two has,
// and the reference itself, is left out.
func Compare(before, after *Report) ([]Change, error) {
	var changes []Change
	for _, now := range after.Series {
		was := before.Find(now.Scenario, now.Target)
		if now.Target == Reference || was == nil {
			continue
		}
		if now.Job.Kind != was.Job.Kind || now.Job.Peers != was.Job.Peers || now.Job.InFlight != was.Job.InFlight ||
			now.Job.Payload != was.Job.Payload || now.Job.Rate != was.Job.Rate || now.Path != was.Path {
			return nil, fmt.Errorf("%s, %s is not the same measurement in both", now.Scenario, now.Target)
		}
		for _, m := range Compared {
			a, b := related(after, now, m), related(before, was, m)
			if len(a) > 0 && len(b) > 0 {
				changes = append(changes, Change{Series: now, Metric: m, Ratio: RatioOf(a, b)})
			}
		}
	}
	if len(changes) == 0 {
		return nil, fmt.Errorf("the two have no measurement in common that both relate to the %s", Reference)
	}
	return changes, nil
}

// related returns a metric's values, each divided by the reference's in the same round, or by the reference's median if that
// round has none.
func related(r *Report, s *Series, m Metric) []float64 {
	reference := r.reference(s, m)
	all := m.Values(reference)
	if len(all) == 0 {
		return nil
	}
	middle := Median(all)
	var values []float64
	for _, run := range s.Runs {
		v, ok := m.Of(run)
		if !ok {
			continue
		}
		by := middle
		if i := slices.IndexFunc(reference.Runs, func(other Run) bool { return other.Round == run.Round }); i >= 0 {
			if w, ok := m.Of(reference.Runs[i]); ok {
				by = w
			}
		}
		if by > 0 {
			values = append(values, v/by)
		}
	}
	return values
}

// reference returns the reference's series that is nearest to s and has a metric: the same scenario, or the same kind of load, or any.
func (r *Report) reference(s *Series, m Metric) *Series {
	nearest, best := new(Series), 0
	for _, other := range r.Series {
		if other.Target != Reference || len(m.Values(other)) == 0 {
			continue
		}
		near := 1
		switch {
		case other.Scenario == s.Scenario:
			near = 3
		case other.Job.Kind == s.Job.Kind:
			near = 2
		}
		if near > best {
			nearest, best = other, near
		}
	}
	return nearest
}
