package machine

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
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

func TestBusy(t *testing.T) {
	before := Busy()
	if before == 0 {
		if runtime.GOOS == "linux" {
			t.Fatal("the system does not tell, and Linux does")
		}
		t.Skip("the system does not tell")
	}
	for Busy() == before {
		spin(1_000_000)
	}
	if after := Busy(); after < before {
		t.Errorf("%v, and before %v", after, before)
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

func TestQuota(t *testing.T) {
	for _, tt := range []struct {
		name, own string
		max       map[string]string // by group
		want      float64
		capacity  float64 // of 4 processors
	}{
		{"no control groups", "", nil, 0, 4},
		{"no bound", "0::/a/b\n", map[string]string{"a": "max 100000", "a/b": "max 100000"}, 0, 4},
		{"its own", "0::/a/b\n", map[string]string{"a/b": "150000 100000"}, 1.5, 1.5},
		{"one around it", "0::/a/b\n", map[string]string{"a": "50000 100000", "a/b": "150000 100000"}, 0.5, 0.5},
		{"another's", "0::/a\n", map[string]string{"b": "50000 100000"}, 0, 4},
		{"a container", "1:cpu:/x\n0::/\n", map[string]string{"": "200000 100000"}, 2, 2},
		{"more than there is", "0::/\n", map[string]string{"": "800000 100000"}, 8, 4},
	} {
		root := t.TempDir()
		write := func(file, text string) {
			if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o777), os.WriteFile(file, []byte(text), 0o666)); err != nil {
				t.Fatal(err)
			}
		}
		write(root+"/own", tt.own)
		for group, text := range tt.max {
			write(filepath.Join(root, "fs", group, "cpu.max"), text+"\n")
		}
		got := quota(root+"/own", root+"/fs")
		if got != tt.want {
			t.Errorf("%s: got %g, want %g", tt.name, got, tt.want)
		}
		if c := (Description{Processors: 4, Quota: got}).Capacity(); c != tt.capacity {
			t.Errorf("%s: a capacity of %g, want %g", tt.name, c, tt.capacity)
		}
	}
}

func TestDescribe(t *testing.T) {
	if d := Describe(); d.Processors < 1 || d.Go == "" || d.OS == "" {
		t.Errorf("got %+v", d)
	}
}
