package coretest

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// module is part of every stack that concerns this module, as the function that runs or the one
// that started the goroutine.
const module = "github.com/protoo-go/protoo/"

// Main runs a package's tests and fails if they leave goroutines of this module behind. It is
// to be called by TestMain.
func Main(m *testing.M) {
	before := goroutines()
	code := m.Run()
	if left := leaked(before); code == 0 && len(left) > 0 {
		fmt.Fprintf(os.Stderr, "coretest: %d goroutines are left:\n\n%s\n", len(left), strings.Join(left, "\n\n"))
		code = 1
	}
	os.Exit(code)
}

func checkLeaks(t *testing.T, before map[string]string) {
	if left := leaked(before); len(left) > 0 {
		t.Errorf("%d goroutines are left:\n\n%s", len(left), strings.Join(left, "\n\n"))
	}
}

// leaked returns the stacks of this module's goroutines that were not there before. Those which
// are about to end get some time for it.
func leaked(before map[string]string) []string {
	var left []string
	for wait := time.Millisecond; wait < 4*time.Second; wait *= 2 {
		left = left[:0]
		for id, stack := range goroutines() {
			if before[id] == "" && strings.Contains(stack, module) {
				left = append(left, stack)
			}
		}
		if len(left) == 0 {
			return nil
		}
		time.Sleep(wait)
	}
	return left
}

// goroutines returns the stacks of all goroutines but the calling one, by their number.
func goroutines() map[string]string {
	buf := make([]byte, 64<<10)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	_, others, _ := bytes.Cut(buf, []byte("\n\n")) // the calling goroutine is the first
	all := make(map[string]string)
	for stack := range strings.SplitSeq(string(others), "\n\n") {
		id, _, _ := strings.Cut(stack, " [")
		all[id] = stack
	}
	return all
}
