package core

import (
	"errors"
	"fmt"
)

// Control values for [Next]. They are not failures and no error handler sees them.
var (
	// SkipRoute leaves the current route: its remaining handlers do not run and the
	// walk goes on with the layer after it.
	SkipRoute = errors.New("core: skip route")
	// SkipRouter leaves the current router: the walk goes on after the layer in
	// which the router is mounted.
	SkipRouter = errors.New("core: skip router")
)

var (
	// ErrNextTwice is reported to OnRouteError when a handler calls its next more
	// than once, or returns an error after having called it.
	ErrNextTwice = errors.New("core: next called twice")
	// ErrReplied is returned by Reply after the final response.
	ErrReplied = errors.New("core: request already has its final response")
	// ErrOffline says that the peer has gone.
	ErrOffline = errors.New("core: peer is offline")
	// ErrSlow is returned by Conn.Send when the connection's queue is full, and by
	// Reply when a response was lost for that reason.
	ErrSlow = errors.New("core: peer reads too slowly")
	// ErrClosed says that the application, or a connection, is closed.
	ErrClosed = errors.New("core: closed")
)

// A StatusError is an error that the peer may see: it becomes the status and the
// reason of the response.
type StatusError struct {
	Status int
	Reason string
}

// Error describes e as "404 peer not found".
func (e *StatusError) Error() string { return fmt.Sprintf("%d %s", e.Status, e.Reason) }

// Error returns a [*StatusError]: a handler that returns it rejects the request
// with this status, 300 to 699, and reason. A status outside that range is a mistake
// of the caller's and becomes 500.
func Error(status int, reason string) error { return &StatusError{rejection(status), reason} }

func rejection(status int) int {
	if status < 300 || status > 699 {
		return 500
	}
	return status
}

// Reject returns the error with which an [Accept] listener refuses a connection:
// an HTTP status, 400 to 599, and a reason. Zero values mean 403 and "Rejected".
func Reject(status int, reason string) error {
	if status < 400 || status > 599 {
		status = 403
	}
	if reason == "" {
		reason = "Rejected"
	}
	return &StatusError{status, reason}
}

// A PanicError is what a handler that panicked has failed with.
type PanicError struct {
	Value any    // what was given to panic
	Stack []byte // the goroutine's stack, as debug.Stack formats it
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap returns the value that was given to panic if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
