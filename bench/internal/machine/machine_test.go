package machine

import (
	"slices"
	"testing"
	"time"
)

func TestHalves(t *testing.T) {
	for _, tt := range []struct {
		name          string
		cores         []string // of the processors
		first, second []int
	}{
		{"one", []string{"0"}, []int{0}, nil},
		{"two", []string{"0", "1"}, []int{0}, []int{1}},
		{"two threads of a core", []string{"0-1", "0-1"}, []int{0}, []int{1}},
		{"neighbors are threads", []string{"0-1", "0-1", "2-3", "2-3"}, []int{0, 1}, []int{2, 3}},
		{"halves are threads", []string{"0,2", "1,3", "0,2", "1,3"}, []int{0, 2}, []int{1, 3}},
		{"odd", []string{"0", "1", "2"}, []int{0, 1}, []int{2}},
		{"unknown", []string{"", "", "", ""}, []int{0, 1}, []int{2, 3}},
	} {
		first, second := halves(sequence(len(tt.cores)), func(cpu int) string { return tt.cores[cpu] })
		if !slices.Equal(first, tt.first) || !slices.Equal(second, tt.second) {
			t.Errorf("%s: got %v and %v", tt.name, first, second)
		}
	}
}

func TestReading(t *testing.T) {
	const ms = time.Millisecond
	for _, tt := range []struct{ from, to Reading }{
		{Reading{}, Reading{Exact: 100 * ms, User: 30 * ms, System: 70 * ms}},
		{Reading{Exact: 50 * ms, User: 50 * ms}, Reading{Exact: 150 * ms, User: 80 * ms, System: 70 * ms}},
		{Reading{}, Reading{Exact: 100 * ms, User: 3 * ms, System: 7 * ms}}, // few ticks
	} {
		if got := tt.to.Since(tt.from); got != (CPU{User: 30 * ms, System: 70 * ms}) {
			t.Errorf("from %v to %v: got %v", tt.from, tt.to, got)
		}
	}
	if got := (Reading{Exact: ms}).Since(Reading{}); got.Total() != ms {
		t.Errorf("without ticks: got %v", got)
	}
}

func TestOwnCPU(t *testing.T) {
	before, err := CPUOfSelf()
	if err != nil {
		t.Fatal(err)
	}
	for used := time.Duration(0); used == 0; {
		spin(1_000_000)
		after, err := CPUOfSelf()
		if err != nil {
			t.Fatal(err)
		}
		used = after.Since(before).Total()
	}
}

func TestNoise(t *testing.T) {
	n := MeasureNoise(time.Millisecond)
	if n.Pieces < 10 || n.Median < 1 || n.P99 < n.Median || n.Worst < n.P99 || n.Piece <= 0 {
		t.Errorf("got %+v", n)
	}
}

func TestSchedulingDelays(t *testing.T) {
	before := SchedulingDelays()
	if d := before.Quantile(before, 0.99); d != 0 {
		t.Errorf("nothing has happened, but took %v", d)
	}
	done := make(chan int)
	for i := range 100 {
		go func() { done <- i }()
	}
	for range 100 {
		<-done
	}
	after := SchedulingDelays()
	if low, high := after.Quantile(before, 0.01), after.Quantile(before, 1); low > high || high == 0 {
		t.Errorf("between %v and %v", low, high)
	}
}

func TestDescribe(t *testing.T) {
	if d := Describe(); d.Processors < 1 || d.Go == "" || d.OS == "" {
		t.Errorf("got %+v", d)
	}
}
