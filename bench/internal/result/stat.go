package result

import (
	"math/rand/v2"
	"slices"
)

// Median returns the middle of some values, of which there is at least one.
func Median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

// Spread returns how far the values are apart, as a part of their median: (largest - smallest) / median.
func Spread(values []float64) float64 {
	m := Median(values)
	if m == 0 {
		return 0
	}
	return (slices.Max(values) - slices.Min(values)) / m
}

// A Ratio is how many times as large something has become.
type Ratio struct {
	Value     float64
	Low, High float64 // between which it is in 95 of 100 cases
}

// RatioOf returns the ratio of the medians of some values, and the interval in which the percentile bootstrap has it: both samples are
// drawn again, with replacement, 10,000 times. With five runs or fewer on each side that is close to the whole range of what the
// runs allow, so it errs on the side of "nothing has changed". The same values give the same interval.
func RatioOf(values, base []float64) Ratio {
	const draws, seed = 10_000, 1
	random := rand.New(rand.NewPCG(seed, seed))
	draw := func(from, to []float64) float64 {
		for i := range to {
			to[i] = from[random.IntN(len(from))]
		}
		return Median(to)
	}
	a, b := make([]float64, len(values)), make([]float64, len(base))
	ratios := make([]float64, draws)
	for i := range ratios {
		ratios[i] = draw(values, a) / draw(base, b)
	}
	slices.Sort(ratios)
	return Ratio{
		Value: Median(values) / Median(base),
		Low:   ratios[draws*25/1000],
		High:  ratios[draws*975/1000-1],
	}
}
