package api

import (
	"errors"
	"net/http"
)

// A problem is why a call has failed, as RFC 9457 writes it.
type problem struct {
	Title     string   `json:"title"` // of the HTTP status
	Status    int      `json:"status"`
	Code      string   `json:"code"` // for programs
	Detail    string   `json:"detail"`
	Path      string   `json:"path,omitempty"`     // of what is wrong in the body
	Mistakes  []string `json:"mistakes,omitempty"` // in a configuration
	RequestID string   `json:"requestId"`
}

func (p *problem) Error() string { return p.Detail }

// fail returns a problem.
func fail(status int, code, detail string) error {
	return &problem{Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

// Errors that an [Options] function can return.
var (
	// ErrUnavailable says that this server cannot do what was asked.
	ErrUnavailable = errors.New("api: not available")
	// ErrBusy says that it cannot do it now.
	ErrBusy = errors.New("api: busy")
)

// An InvalidError says what is wrong with what was asked: it becomes a 422 with this text.
type InvalidError struct {
	Detail   string
	Mistakes []string // one by one, if there are several
}

func (e *InvalidError) Error() string { return e.Detail }

// asProblem returns what to answer with.
func asProblem(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	p := &problem{Status: http.StatusInternalServerError, Code: "internal", Detail: err.Error()}
	if m, ok := errors.AsType[*mistake](err); ok {
		p.Status, p.Code, p.Path = http.StatusUnprocessableEntity, "invalid", m.path
	} else if e, ok := errors.AsType[*InvalidError](err); ok {
		p.Status, p.Code, p.Mistakes = http.StatusUnprocessableEntity, "invalid", e.Mistakes
	} else if _, ok := errors.AsType[errBody](err); ok {
		p.Status, p.Code = http.StatusBadRequest, "bad-body"
	} else if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		p.Status, p.Code = http.StatusRequestEntityTooLarge, "too-large"
	} else if errors.Is(err, ErrUnavailable) {
		p.Status, p.Code = http.StatusNotImplemented, "unavailable"
	} else if errors.Is(err, ErrBusy) {
		p.Status, p.Code = http.StatusServiceUnavailable, "busy"
	} else {
		p.Detail = "something went wrong, and the log of the server says what"
	}
	p.Title = http.StatusText(p.Status)
	return p
}
