package main

import "testing"

func TestIdleDetector(t *testing.T) {
	const mb = 1 << 20
	var d idleDetector
	for _, step := range []struct {
		name string
		heap heap
		want bool
	}{
		{"working", heap{allocated: 100 * mb, living: 10 * mb, held: 40 * mb}, false},
		{"still working", heap{allocated: 200 * mb, living: 10 * mb, held: 40 * mb}, false},
		{"idle", heap{allocated: 200*mb + 1000, living: 10 * mb, held: 40 * mb}, true},
		{"idle for longer", heap{allocated: 200*mb + 2000, living: 10 * mb, held: 40 * mb}, false},
		{"working again", heap{allocated: 300 * mb, living: 10 * mb, held: 12 * mb}, false},
		{"idle, with nothing to give back", heap{allocated: 300 * mb, living: 10 * mb, held: 12 * mb}, false},
	} {
		if got := d.begins(step.heap); got != step.want {
			t.Errorf("%s: %v, want %v", step.name, got, step.want)
		}
	}
}

func TestReadHeap(t *testing.T) {
	if h := readHeap(); h.allocated == 0 || h.held == 0 {
		t.Errorf("the heap is %+v", h)
	}
}
