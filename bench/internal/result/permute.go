package result

import (
	"math"
	"math/rand/v2"
)

// familywise returns, for each pair, in which part of all ways to deal the rounds out to the two sessions anything in the family looks at least as much
// worse as that pair does: the chance that it, or anything else, looks so although nothing has changed (the largest statistic of Westfall and Young). It
// needs no assumption of how noise is distributed, or of what measurements of a round have in common. least is the smallest that it could have returned.
func familywise(family []pair) (chances []float64, least float64) {
	n, m := 0, 0
	for _, p := range family {
		n, m = max(n, len(p.before)), max(m, len(p.now))
	}
	logs := make([][]float64, len(family)) // by round, those of before first; what is larger is worse
	for i, p := range family {
		logs[i] = make([]float64, n+m)
		for round := range logs[i] {
			logs[i][round] = math.NaN()
		}
		for _, part := range []struct {
			values []float64
			from   int
		}{{p.before, 0}, {p.now, n}} {
			for round, v := range part.values {
				if !(v > 0) || math.IsInf(v, 1) {
					continue
				}
				logs[i][part.from+round] = math.Log(v)
				if p.metric.More {
					logs[i][part.from+round] *= -1
				}
			}
		}
	}
	now := make([]bool, n+m)
	for i := range m {
		now[n+i] = true
	}
	seen := make([]float64, len(family))
	for i := range family {
		seen[i] = difference(logs[i], now)
	}
	const rounding = 1e-9
	larger := make([]float64, len(family))
	ways := 0.0
	deal(now, m, func() {
		ways++
		most := math.Inf(-1)
		for i := range family {
			most = max(most, difference(logs[i], now))
		}
		for i := range family {
			if most >= seen[i]-rounding {
				larger[i]++
			}
		}
	})
	for i := range larger {
		larger[i] /= ways
	}
	return larger, 1 / ways
}

// difference is how much larger those that are now are in the mean than the others, or -∞ if there are none of either.
func difference(logs []float64, now []bool) float64 {
	var sum [2]float64
	var n [2]float64
	for i, v := range logs {
		if math.IsNaN(v) {
			continue
		}
		side := 0
		if now[i] {
			side = 1
		}
		sum[side] += v
		n[side]++
	}
	if n[0] == 0 || n[1] == 0 {
		return math.Inf(-1)
	}
	return sum[1]/n[1] - sum[0]/n[0]
}

// deal calls visit for each way to choose m of the rounds, beginning with the one that there is, or for some thousands at random if there are too many.
func deal(now []bool, m int, visit func()) {
	const most = 20_000
	if ways(len(now), m) > most {
		visit()
		random := rand.New(rand.NewPCG(1, 2))
		for range most - 1 {
			random.Shuffle(len(now), func(i, j int) { now[i], now[j] = now[j], now[i] })
			visit()
		}
		return
	}
	var choose func(from, left int)
	choose = func(from, left int) {
		if left == 0 {
			visit()
			return
		}
		for i := from; i <= len(now)-left; i++ {
			now[i] = true
			choose(i+1, left-1)
			now[i] = false
		}
	}
	clear(now)
	choose(0, m)
}

// ways returns in how many ways m of n can be chosen.
func ways(n, m int) float64 {
	w := 1.0
	for i := range m {
		w = w * float64(n-i) / float64(i+1)
	}
	return w
}
