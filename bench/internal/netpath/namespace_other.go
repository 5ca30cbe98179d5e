//go:build !linux

package netpath

import (
	"errors"
	"runtime"
)

func newNamespace(Loss) (*Path, error) {
	return nil, errors.New("not available on " + runtime.GOOS)
}
