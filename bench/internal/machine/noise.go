package machine

import (
	"slices"
	"time"
)

// Noise says how steady the machine was while it was asked to do the same piece of work again and again. Everything
// above the fastest piece is somebody else's work, or a processor that slowed down.
type Noise struct {
	Pieces int           `json:"pieces"`
	Median float64       `json:"median"` // times of pieces, as multiples of the fastest
	P99    float64       `json:"p99"`
	Worst  float64       `json:"worst"`
	Piece  time.Duration `json:"piece_ns"` // the fastest
	Stolen float64       `json:"stolen"`   // part of all processors' time that the host kept for others
	Load   float64       `json:"load"`     // average of the last minute
}

// MeasureNoise spins on one processor for about the given time.
func MeasureNoise(d time.Duration) Noise {
	const piece = 500 * time.Microsecond
	turns := calibrate(piece)
	began, stolen := time.Now(), Stolen()
	var times []float64
	for time.Since(began) < d || len(times) < 10 {
		start := time.Now()
		spin(turns)
		times = append(times, float64(time.Since(start)))
	}
	slices.Sort(times)
	at := func(q float64) float64 { return times[int(q*float64(len(times)-1))] / times[0] }
	return Noise{
		Pieces: len(times),
		Median: at(0.5),
		P99:    at(0.99),
		Worst:  at(1),
		Piece:  time.Duration(times[0]),
		Stolen: float64(Stolen()-stolen) / float64(time.Since(began)) / float64(len(Allowed())),
		Load:   Load(),
	}
}

// calibrate finds how many turns of spin take d, by the fastest of some tries.
func calibrate(d time.Duration) int {
	const turns = 100_000
	fastest := time.Hour
	for range 10 {
		start := time.Now()
		spin(turns)
		fastest = min(fastest, time.Since(start))
	}
	return max(1, int(float64(turns)*float64(d)/float64(max(fastest, 1))))
}

var sink uint64

// spin computes something that depends on every turn, so that none can be left out.
func spin(turns int) {
	x := sink | 1
	for range turns {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	sink = x
}

func sequence(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}
