//go:build !unix && !windows

package machine

// CPUOfSelf is not supported here.
func CPUOfSelf() (Reading, error) { return Reading{}, ErrUnsupported }
