package result

import (
	"math"
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
	Value     float64 // of the medians
	Low, High float64 // the ends of its interval
}

// Chance is how often chance alone may put an end of an interval on the wrong side of the truth.
const Chance = 0.05

// RatioOf returns the ratio of the medians of some positive values, and its exact interval by ranks: the one that the Mann-Whitney test does not
// refuse. It needs no assumption of how noise is distributed. Each end is wrong with the given chance at most; of three values and three, with
// a chance of one in twenty, it is all that they allow. Fewer, or a smaller chance, and there are no ends: Low is 0 and High infinite.
func RatioOf(values, base []float64, chance float64) Ratio {
	var ratios []float64
	for _, v := range values {
		for _, b := range base {
			ratios = append(ratios, v/b)
		}
	}
	slices.Sort(ratios)
	r := Ratio{Value: Median(values) / Median(base), Low: 0, High: math.Inf(1)}
	if out := outside(len(values), len(base), chance); out >= 0 {
		r.Low, r.High = ratios[out], ratios[len(ratios)-1-out]
	}
	return r
}

// outside returns how many of the n × m ratios may lie beyond each end of an interval, or -1 if even the whole range is too narrow for the chance.
func outside(n, m int, chance float64) int {
	ways := arrangements(n, m)
	total := 0.0
	for _, w := range ways {
		total += w
	}
	sum := 0.0
	for u, w := range ways {
		const rounding = 1e-9
		if sum += w; sum > chance*total*(1+rounding) {
			return u - 1
		}
	}
	return len(ways) - 1
}

// arrangements returns in how many ways n and m values can be ordered so that u of the pairs are inverted, for each u. It is Mann and Whitney's
// recurrence: the coefficients of the Gaussian binomial.
func arrangements(n, m int) []float64 {
	ways := make([]float64, n*m+1)
	ways[0] = 1
	for i := 1; i <= n; i++ {
		for u := len(ways) - 1; u >= m+i; u-- {
			ways[u] -= ways[u-m-i]
		}
		for u := i; u < len(ways); u++ {
			ways[u] += ways[u-i]
		}
	}
	return ways
}
