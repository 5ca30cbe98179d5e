package guest

import (
	"errors"
	"fmt"
)

// SkipRoute and SkipRouter are for Next.
var (
	SkipRoute  = errors.New("core: skip route")
	SkipRouter = errors.New("core: skip router")
)

var (
	errReplied   = errors.New("core: request already has its final response")
	errNextTwice = errors.New("core: next called twice")
)

// A StatusError is an error that the peer may see.
type StatusError struct {
	Status int
	Reason string
}

// Error describes e as "404 peer not found".
func (e *StatusError) Error() string { return fmt.Sprintf("%d %s", e.Status, e.Reason) }

// Error returns the error with which a handler rejects a request.
func Error(status int, reason string) error {
	if status < 300 || status > 699 {
		status = 500
	}
	return &StatusError{status, reason}
}

// Reject returns the error with which a listener refuses a connection.
func Reject(status int, reason string) error {
	if status < 400 || status > 599 {
		status = 403
	}
	if reason == "" {
		reason = "Rejected"
	}
	return &StatusError{status, reason}
}
