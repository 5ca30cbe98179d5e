//go:build !linux

package machine

// CPUOf is not supported here: a process has to tell with [CPUOfSelf] what it has used.
func CPUOf(int) (Reading, error) { return Reading{}, ErrUnsupported }
