package meter

import (
	"errors"
	"fmt"
)

// Why a module was refused; [Error] unwraps to one of them.
var (
	// ErrMalformed means that the module is not valid WebAssembly.
	ErrMalformed = errors.New("meter: malformed module")
	// ErrUnsupported means that the module uses something that WebAssembly 2.0 does not have,
	// or that Options do not accept.
	ErrUnsupported = errors.New("meter: unsupported module")
	// ErrLimit means that the module exceeds one of the Limits.
	ErrLimit = errors.New("meter: module exceeds a limit")
	// ErrReserved means that the module uses a name that only the metering may use.
	ErrReserved = errors.New("meter: reserved name")
)

// Error says why a module was refused. All errors of [Meter] are of this type.
type Error struct {
	Offset  int    // in the module, in bytes
	Section string // "header", or the section's name in the specification: "code"
	// Function is the index of the function with the mistake, -1 if it is not
	// in one.
	Function int
	What     string // what is wrong: "unknown opcode 0xff"
	Want     string // what was expected
	Err      error  // one of the sentinels of this package
}

func (e *Error) Error() string {
	where := "the " + e.Section + " section"
	if e.Section == "header" {
		where = "the header"
	}
	if e.Function >= 0 {
		where = fmt.Sprintf("function %d", e.Function)
	}
	return fmt.Sprintf("%s at offset 0x%x in %s, expected %s", e.What, e.Offset, where, e.Want)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }
