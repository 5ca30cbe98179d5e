package wasmhost

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tetratelabs/wazero/sys"
)

// A Kind says in what way a module has failed.
type Kind string

// The kinds of failures.
const (
	KindTrap        Kind = "trap"        // it did what WebAssembly forbids, or called unreachable
	KindFuel        Kind = "fuel"        // it took more than its fuel
	KindMemory      Kind = "memory"      // it gave the host an address outside of its memory
	KindFrame       Kind = "frame"       // it returned a result that is not one
	KindExit        Kind = "exit"        // it ended its program
	KindLimit       Kind = "limit"       // its event did not fit into its buffer, or it keeps more than it may
	KindLoad        Kind = "load"        // it could not be loaded
	KindTimeout     Kind = "timeout"     // it kept a request for too long
	KindUnavailable Kind = "unavailable" // it has failed too often to be asked now
)

// An Error is the failure of a module. Load and Reload return it for what the module's file is to blame for, and
// handlers for what happened while it ran.
type Error struct {
	Module  string // its name
	Version string
	Kind    Kind
	Event   string // what it was told of, "" while it was loaded
	Stack   string // of the module, as far as known
	Err     error
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("module")
	for _, name := range []string{e.Module, e.Version} { // which are not known before the manifest is
		if name != "" {
			b.WriteString(" " + name)
		}
	}
	fmt.Fprintf(&b, ": %s", e.Kind)
	if e.Event != "" {
		b.WriteString(" at event " + e.Event)
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	return b.String()
}

// Unwrap returns what was wrong in particular.
func (e *Error) Unwrap() error { return e.Err }

// ErrClosed is returned by methods of a module or host that is closed.
var ErrClosed = errors.New("wasmhost: closed")

var (
	errFuel   = errors.New("out of fuel")
	errWait   = errors.New("the module wanted to sleep: use a timer instead")
	errAccess = errors.New("the module gave an address outside of its memory")
)

// kindOf classifies what a call of a module has failed with.
func kindOf(err error) Kind {
	switch {
	case errors.Is(err, errFuel):
		return KindFuel
	case errors.Is(err, errAccess):
		return KindMemory
	case errors.As(err, new(*sys.ExitError)):
		return KindExit
	}
	return KindTrap
}
