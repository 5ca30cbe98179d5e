package load

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The range of times that are told apart, to three digits. What is shorter or longer counts as the limit.
const (
	shortest = 100 * time.Nanosecond
	longest  = time.Minute
)

// Never is the time of a request without an answer. Nobody waits so long for one.
const Never = longest

// A Histogram counts times. Its JSON is HdrHistogram's own compressed form, so that other tools can read it.
type Histogram struct{ h *hdrhistogram.Histogram }

// NewHistogram returns an empty one.
func NewHistogram() *Histogram {
	return &Histogram{hdrhistogram.New(int64(shortest), int64(longest), 3)}
}

// Record counts a time. One goroutine at a time may call it.
func (h *Histogram) Record(d time.Duration) {
	_ = h.h.RecordValue(int64(min(max(d, shortest), longest))) // it fails for what is out of range only
}

// Quantile returns the time that a part q of all has not exceeded, or 0 if there are none. From Never on it is no time: that many had no answer.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.Count() == 0 {
		return 0
	}
	return time.Duration(h.h.ValueAtPercentile(100 * q))
}

// Tells reports whether at least one time lies beyond the q-th quantile: without one, the quantile is nothing but the largest.
func (h *Histogram) Tells(q float64) bool { return float64(h.Count())*(1-q) >= 1 }

// Count returns how many there are. A nil histogram has none.
func (h *Histogram) Count() int64 {
	if h == nil {
		return 0
	}
	return h.h.TotalCount()
}

// Merge adds what other has counted. Other may be nil.
func (h *Histogram) Merge(other *Histogram) {
	if other != nil {
		h.h.Merge(other.h)
	}
}

func (h *Histogram) MarshalJSON() ([]byte, error) {
	b, err := h.h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return nil, err
	}
	return json.Marshal(string(b))
}

func (h *Histogram) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return err
	}
	decoded, err := hdrhistogram.Decode([]byte(text))
	h.h = decoded
	return err
}

// A recorder is a histogram that many goroutines write to.
type recorder [16]struct {
	mu sync.Mutex
	h  *Histogram
}

func newRecorder() *recorder {
	r := new(recorder)
	for i := range r {
		r[i].h = NewHistogram()
	}
	return r
}

// record counts a time. Callers with different values of who rarely wait for each other.
func (r *recorder) record(who int, d time.Duration) {
	shard := &r[who%len(r)]
	shard.mu.Lock()
	shard.h.Record(d)
	shard.mu.Unlock()
}

func (r *recorder) merge() *Histogram {
	sum := NewHistogram()
	for i := range r {
		r[i].mu.Lock()
		sum.Merge(r[i].h)
		r[i].mu.Unlock()
	}
	return sum
}
