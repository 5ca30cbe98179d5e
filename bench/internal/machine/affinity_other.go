//go:build !linux

package machine

import (
	"os/exec"
	"runtime"
)

// Allowed returns the processors that this process may use.
func Allowed() []int { return sequence(runtime.NumCPU()) }

// Pin is not supported here.
func Pin([]int) error { return ErrUnsupported }

// Start starts a program. It cannot be limited to some processors here.
func Start(cmd *exec.Cmd, cpus []int) error {
	if len(cpus) > 0 {
		return ErrUnsupported
	}
	return cmd.Start()
}
