package coretest

import (
	"strings"
	"testing"
)

// TestLeaked: the goroutines of this module are found, by what they run or by who started them.
func TestLeaked(t *testing.T) {
	before := goroutines()
	release := make(chan struct{})
	started := make(chan struct{})
	go waitFor(release, started)
	<-started
	after := goroutines()
	found := 0
	for id, stack := range after {
		if before[id] == "" && strings.Contains(stack, module) {
			found++
			if !strings.Contains(stack, "coretest.waitFor") {
				t.Errorf("the stack does not say who it is:\n%s", stack)
			}
		}
	}
	if found != 1 {
		t.Errorf("%d goroutines were found, want 1", found)
	}
	close(release)
	if left := leaked(before); len(left) > 0 {
		t.Errorf("a goroutine that is about to end was taken for a leak:\n%s", left[0])
	}
}

func waitFor(release <-chan struct{}, started chan<- struct{}) {
	close(started)
	<-release
}
