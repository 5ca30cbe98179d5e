package client

import (
	"errors"
	"fmt"
	"time"

	"github.com/protoo-go/protoo/core"
)

// ErrReplaced says that another connection with the same identity has taken this one's
// place. It is what a [*CloseError] with code 3000 is, for errors.Is.
var ErrReplaced = errors.New("client: replaced by another connection with the same identity")

// A CloseError says how a connection has ended: core.CloseNoStatus if the server gave no code,
// core.CloseAbnormal if the connection broke.
type CloseError struct {
	Code   int
	Reason string
}

func (e *CloseError) Error() string {
	switch {
	case e.Code == core.CloseAbnormal:
		return "connection lost"
	case e.Reason == "":
		return fmt.Sprintf("connection closed: %d", e.Code)
	}
	return fmt.Sprintf("connection closed: %d %s", e.Code, e.Reason)
}

// Is makes a CloseError with code 3000 an [ErrReplaced].
func (e *CloseError) Is(target error) bool {
	return target == ErrReplaced && e.Code == core.CloseOnlineElsewhere
}

// An Error is a final response with a status of 300 or above. A handler that returns it
// answers its own request with the same status and reason.
type Error struct {
	Status int
	Reason string
	Data   core.JSON
	Local  bool // the response was made here, because the server gave none: see core.Transaction
}

// Error describes e as "404 peer not found".
func (e *Error) Error() string { return fmt.Sprintf("%d %s", e.Status, e.Reason) }

// Unwrap returns e as a [*core.StatusError].
func (e *Error) Unwrap() error { return &core.StatusError{Status: e.Status, Reason: e.Reason} }

// Close codes for what is otherwise a refused handshake, 401 and 403, where a transport cannot tell that to
// clients.
const (
	closeUnauthorized = 4401
	closeForbidden    = 4403
)

// final tells whether after err there is no sense in trying again.
func final(err error) bool {
	if closed, ok := errors.AsType[*CloseError](err); ok {
		switch closed.Code {
		case core.CloseNormal, core.ClosePolicy, core.CloseOnlineElsewhere, closeUnauthorized, closeForbidden:
			return true
		}
		return false
	}
	if refused, ok := errors.AsType[*core.StatusError](err); ok {
		const timeout, tooEarly, tooMany = 408, 425, 429
		s := refused.Status
		return s < 500 && s != timeout && s != tooEarly && s != tooMany
	}
	return errors.Is(err, core.ErrClosed)
}

// reconnectHint returns when the server wants the client back, if it has said so.
func reconnectHint(err error) (time.Duration, bool) {
	if closed, ok := errors.AsType[*CloseError](err); ok && overloaded(err) {
		return core.ParseReconnectHint(closed.Reason)
	}
	return 0, false
}

// overloaded tells whether the server has ended the connection because, for a while, it
// cannot have one.
func overloaded(err error) bool {
	closed, ok := errors.AsType[*CloseError](err)
	return ok && (closed.Code == core.CloseRestart || closed.Code == core.CloseTryAgainLater)
}
