package wasmhost

import (
	"io"
	"testing"
)

func TestErrorText(t *testing.T) {
	for want, e := range map[string]Error{
		"module: load: EOF":                      {Kind: KindLoad},
		"module a: load: EOF":                    {Module: "a", Kind: KindLoad},
		"module a 1.0: trap at event timer: EOF": {Module: "a", Version: "1.0", Kind: KindTrap, Event: "timer"},
	} {
		e.Err = io.EOF
		if got := e.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
