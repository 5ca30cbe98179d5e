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

	certain bool // that it is worse, even though it is one of many comparisons
}

// Worse tells whether it has become worse by more than a threshold (0.1 is a tenth), and not by chance, if it was the only thing to look at.
func (c Change) Worse(threshold float64) bool {
	if c.Metric.More {
		return c.Ratio.Value < 1/(1+threshold) && c.Ratio.High < 1
	}
	return c.Ratio.Value > 1+threshold && c.Ratio.Low > 1
}

// Better is the opposite of Worse.
func (c Change) Better(threshold float64) bool {
	c.Metric.More = !c.Metric.More
	return c.Worse(threshold)
}

// Regression tells whether a gated metric is worse by more than a threshold even though it was one of many to look at: of two sessions in which nothing
// has changed, all that is compared has a regression in it with Chance at most.
func (c Change) Regression(threshold float64) bool { return c.certain && c.Worse(threshold) }

// A pair is what a metric of a measurement was and is, by round, related to the reference. Rounds without a value have 0.
type pair struct {
	series      *Series
	metric      Metric
	before, now []float64
}

// Compare relates each series to the reference of its session, round by round, and the new ones to the old ones. First come the changes of
// all measurements of a target together. What only one of the two has, and the reference itself, is left out; skipped says what both have, but not alike.
// Only gated metrics, by name, can have regressions.
func Compare(before, after *Report, gated []string) (changes []Change, skipped []string, err error) {
	pairs, skipped := pairsOf(before, after)
	if len(pairs) == 0 {
		return nil, skipped, fmt.Errorf("the two have no measurement in common that both relate to the %s", Reference)
	}
	together, means := overall(pairs)
	var single []Change
	for _, p := range pairs {
		single = append(single, Change{Group: p.series.Group, Scenario: p.series.Scenario, Target: p.series.Target, Metric: p.metric,
			Ratio: RatioOf(positive(p.now), positive(p.before), Chance)})
	}
	// Both kinds share the chance, where there are rounds enough for that.
	chance := Chance
	if enough := Chance / 2; certain(single, pairs, gated, enough) {
		chance -= enough
	}
	certain(together, means, gated, chance)
	return append(together, single...), skipped, nil
}

// certain marks the changes that chance would hardly make any of them look like, and tells whether there are rounds enough to tell.
func certain(changes []Change, pairs []pair, gated []string, chance float64) bool {
	var family []pair
	var of []*Change
	for i, p := range pairs {
		if slices.Contains(gated, p.metric.Name) && min(len(positive(p.before)), len(positive(p.now))) >= Rounds {
			family, of = append(family, p), append(of, &changes[i])
		}
	}
	chances, least := familywise(family)
	for i, c := range chances {
		of[i].certain = c <= chance
	}
	return least <= chance
}

// Rounds is how many of them a session must have before anything can be told.
const Rounds = 3

func pairsOf(before, after *Report) (pairs []pair, skipped []string) {
	for _, now := range after.Series {
		was := before.Find(now.Scenario, now.Target)
		if now.Target == Reference || was == nil {
			continue
		}
		if now.Job.Kind != was.Job.Kind || now.Job.Peers != was.Job.Peers || now.Job.InFlight != was.Job.InFlight ||
			now.Job.Payload != was.Job.Payload || now.Job.Rate != was.Job.Rate {
			skipped = append(skipped, fmt.Sprintf("%s: %s: %s: not the same load in both", now.Group, now.Scenario, now.Target))
			continue
		}
		if now.Path != was.Path {
			skipped = append(skipped, fmt.Sprintf("%s: %s: %s: the path was %q, and is %q", now.Group, now.Scenario, now.Target, was.Path, now.Path))
			continue
		}
		for _, m := range Compared {
			p := pair{series: now, metric: m, before: related(before, was, m), now: related(after, now, m)}
			if len(positive(p.before)) > 0 && len(positive(p.now)) > 0 {
				pairs = append(pairs, p)
			}
		}
	}
	return pairs, skipped
}

// overall compares all measurements of each target together, where there are three at least: the geometric mean, by round, of what each is to the
// median of both sessions. What was measured in too few rounds, in either session, is left out.
func overall(pairs []pair) (changes []Change, together []pair) {
	const enough = 3
	type key struct{ target, metric string }
	var order []key
	of := make(map[key][]pair)
	for _, p := range pairs {
		if min(len(positive(p.before)), len(positive(p.now))) < Rounds {
			continue
		}
		k := key{p.series.Target, p.metric.Name}
		if of[k] == nil {
			order = append(order, k)
		}
		of[k] = append(of[k], p)
	}
	for _, k := range order {
		if len(of[k]) < enough {
			continue
		}
		var before, now []mean
		for _, p := range of[k] {
			unit := Median(positive(slices.Concat(p.before, p.now)))
			before, now = gather(before, p.before, unit), gather(now, p.now, unit)
		}
		p := pair{metric: of[k][0].metric, before: means(before), now: means(now)}
		together = append(together, p)
		changes = append(changes, Change{Target: k.target, Metric: p.metric, Ratio: RatioOf(positive(p.now), positive(p.before), Chance)})
	}
	return changes, together
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

func means(rounds []mean) []float64 {
	values := make([]float64, len(rounds))
	for i, m := range rounds {
		if m.n > 0 {
			values[i] = math.Exp(m.logs / float64(m.n))
		}
	}
	return values
}

// positive leaves out what was not measured, or cannot be: memory that got less while peers connected.
func positive(values []float64) []float64 {
	return slices.DeleteFunc(slices.Clone(values), func(v float64) bool { return !(v > 0) || math.IsInf(v, 1) })
}

// related returns a metric's values by round, each divided by the reference's in the same round, or by the reference's median if that
// round has none. Times on a path that delays are not divided: most of them does not depend on how fast the machine is.
func related(r *Report, s *Series, m Metric) []float64 {
	values := make([]float64, len(s.Runs))
	if s.Path != "" && m.Timed {
		for i, run := range s.Runs {
			values[i], _ = m.Of(run)
		}
		return values
	}
	reference := r.Nearest(s, m)
	if reference == nil {
		return nil
	}
	middle := Median(m.Values(reference))
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
