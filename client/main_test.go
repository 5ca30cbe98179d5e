package client_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain fails when goroutines of this module are left behind.
func TestMain(m *testing.M) {
	code := m.Run()
	var left []string
	for deadline := time.Now().Add(time.Minute); code == 0 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if left = leftover(); len(left) == 0 {
			break
		}
	}
	if len(left) > 0 {
		fmt.Fprintf(os.Stderr, "goroutines left behind:\n\n%s\n", strings.Join(left, "\n\n"))
		code = 1
	}
	os.Exit(code)
}

func leftover() []string {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	var left []string
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(stack, "github.com/protoo-go/protoo/") && !strings.Contains(stack, ".TestMain(") {
			left = append(left, stack)
		}
	}
	return left
}
