package result

import (
	"fmt"
	"math"
	"slices"
)

// Compared are the metrics that compare looks at.
var Compared = []Metric{CPU, Memory, Sent, Received, Throughput, P50, P99}

// A Change is what has become of a metric, of one measurement or of all of a target's.
type Change struct {
	Group    string // "" for all measurements of the target together
	Scenario string
	Target   string
	Metric   Metric
	Ratio    Ratio // new to old, each related to the reference of its own session

	// strict is the ratio with an interval so wide that of all comparisons of this metric, none is wrong with the same confidence.
	strict Ratio
}

// Worse tells whether it has become worse by more than a threshold (0.1 is a tenth), and not by chance, if it was the only thing to look at.
func (c Change) Worse(threshold float64) bool { return c.worse(c.Ratio, threshold) }

// Better is the opposite of Worse.
func (c Change) Better(threshold float64) bool {
	c.Metric.More = !c.Metric.More
	return c.Worse(threshold)
}

// Regression tells whether it is worse even though it was one of many comparisons. Of fifty that have not changed, with three rounds, some
// look worse: what cannot be told from these is no regression. All measurements of a target together are one comparison.
func (c Change) Regression(threshold float64) bool {
	if c.Group == "" {
		return c.Worse(threshold)
	}
	return c.worse(c.strict, threshold)
}

func (c Change) worse(r Ratio, threshold float64) bool {
	if c.Metric.More {
		return r.Value < 1/(1+threshold) && r.High < 1
	}
	return r.Value > 1+threshold && r.Low > 1
}

// A pair is what a metric of a measurement was and is, by round, related to the reference. Rounds without a value have 0.
type pair struct {
	series      *Series
	metric      Metric
	before, now []float64
}

// Compare relates each series to the reference of its session, round by round, and the new ones to the old ones. First come the changes of
// all measurements of a target together. What only one of the two has, and the reference itself, is left out.
func Compare(before, after *Report) ([]Change, error) {
	pairs, err := pairsOf(before, after)
	if err != nil {
		return nil, err
	}
	if len(pairs) == 0 {
		return nil, fmt.Errorf("the two have no measurement in common that both relate to the %s", Reference)
	}
	changes := overall(pairs)
	number := make(map[string]float64) // of comparisons of a metric in which something can be told
	for _, p := range pairs {
		if outside(len(positive(p.now)), len(positive(p.before)), Chance) >= 0 {
			number[p.metric.Name]++
		}
	}
	for _, p := range pairs {
		now, was := positive(p.now), positive(p.before)
		changes = append(changes, Change{
			Group: p.series.Group, Scenario: p.series.Scenario, Target: p.series.Target, Metric: p.metric,
			Ratio:  RatioOf(now, was, Chance),
			strict: RatioOf(now, was, Chance/max(number[p.metric.Name], 1)),
		})
	}
	return changes, nil
}

func pairsOf(before, after *Report) (pairs []pair, err error) {
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
			p := pair{series: now, metric: m, before: related(before, was, m), now: related(after, now, m)}
			if len(positive(p.before)) > 0 && len(positive(p.now)) > 0 {
				pairs = append(pairs, p)
			}
		}
	}
	return pairs, nil
}

// overall compares all measurements of each target together: the geometric mean of what each is to its own old median, by round. What was measured
// in fewer than three rounds, in either session, is left out.
func overall(pairs []pair) (changes []Change) {
	const enough = 3
	type key struct{ target, metric string }
	var order []key
	of := make(map[key][]pair)
	for _, p := range pairs {
		if len(positive(p.before)) < enough || len(positive(p.now)) < enough {
			continue
		}
		k := key{p.series.Target, p.metric.Name}
		if of[k] == nil {
			order = append(order, k)
		}
		of[k] = append(of[k], p)
	}
	for _, k := range order {
		var before, now []mean
		for _, p := range of[k] {
			unit := Median(positive(p.before))
			before, now = gather(before, p.before, unit), gather(now, p.now, unit)
		}
		changes = append(changes, Change{Target: k.target, Metric: of[k][0].metric, Ratio: RatioOf(means(now), means(before), Chance)})
	}
	return changes
}

// A mean is a geometric one that grows.
type mean struct {
	logs float64
	n    int
}

// gather adds each round's value to the round's mean.
func gather(rounds []mean, values []float64, unit float64) []mean {
	for i, v := range values {
		if i >= len(rounds) {
			rounds = append(rounds, mean{})
		}
		if v > 0 {
			rounds[i].logs += math.Log(v / unit)
			rounds[i].n++
		}
	}
	return rounds
}

func means(rounds []mean) (values []float64) {
	for _, m := range rounds {
		if m.n > 0 {
			values = append(values, math.Exp(m.logs/float64(m.n)))
		}
	}
	return values
}

// positive leaves out what was not measured, or cannot be: memory that got less while peers connected.
func positive(values []float64) []float64 {
	return slices.DeleteFunc(slices.Clone(values), func(v float64) bool { return !(v > 0) || math.IsInf(v, 1) })
}

// related returns a metric's values by round, each divided by the reference's in the same round, or by the reference's median if that
// round has none.
func related(r *Report, s *Series, m Metric) []float64 {
	reference := r.Nearest(s, m)
	if reference == nil {
		return nil
	}
	middle := Median(m.Values(reference))
	values := make([]float64, len(s.Runs))
	for i, run := range s.Runs {
		v, ok := m.Of(run)
		if !ok {
			continue
		}
		by := middle
		if at := slices.IndexFunc(reference.Runs, func(other Run) bool { return other.Round == run.Round }); at >= 0 {
			if w, ok := m.Of(reference.Runs[at]); ok {
				by = w
			}
		}
		if by > 0 {
			values[i] = v / by
		}
	}
	return values
}

// Nearest returns the reference's series that is nearest to s and has a metric: the same scenario, or the same kind of load, or any. It returns nil if
// there is none.
func (r *Report) Nearest(s *Series, m Metric) (nearest *Series) {
	best := 0
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
