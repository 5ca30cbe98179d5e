package core

import (
	"context"
	"fmt"
	"unicode/utf8"
)

// A Conn is one connection, as a transport implements it. Reading is the
// transport's own business: it gives what it reads to [Link.Receive].
//
// Every method may be called by any goroutine, returns without waiting for the network, and must
// not call the connection's [Link] before it returns.
type Conn interface {
	// Send queues one message. It does not keep msg. ErrSlow means that the queue is
	// full and nothing was queued, ErrClosed that the connection is closed or closing.
	Send(msg []byte) error
	// Close sends what is queued, then ends the connection with a code and a reason.
	// Every call after the first does nothing.
	Close(code int, reason string) error
	// Resume goes on reading after Receive has answered Pause. It may come before
	// that answer has reached the transport.
	Resume()
	// String names the transport and the remote address, for logs: "wss/192.0.2.1:5678".
	String() string
}

// A ConnectRequest is somebody who wants to connect. It is the same for every transport.
type ConnectRequest struct {
	Context    context.Context     // ends when the client gives up
	Transport  string              // "ws", "wss", "wt", "memory"
	Path       string              // of the URL
	Query      map[string][]string // of the URL
	Header     map[string][]string // HTTP header fields, keys in canonical form
	Origin     string              // the Origin header field, empty if there is none
	RemoteAddr string              // "host:port"
	Secure     bool                // the transport is encrypted
	Raw        any                 // the transport's own request, such as *http.Request
}

// QueryValue returns the first value of a query parameter, or "".
func (r *ConnectRequest) QueryValue(name string) string { return first(r.Query[name]) }

// HeaderValue returns the first value of a header field, or "". The name must be in
// canonical form: "User-Agent".
func (r *ConnectRequest) HeaderValue(name string) string { return first(r.Header[name]) }

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// An Identity says who a connection belongs to.
type Identity struct {
	Username string         // the account, 1 to 256 bytes of UTF-8
	UUID     string         // the device, 1 to 256 bytes of UTF-8
	Data     map[string]any // initial values of Peer.Data
	Meter    Meter          // bounds the connection; nil for none

	// Connected, if it is not nil, is called when the connection has become the peer's: after the online listeners have been, if
	// the peer is new, and also when it takes over from another connection or replaces a lost one.
	Connected func(*Peer)

	// Introduction, if it is not nil, lets the connection's first request say who the peer is. Of the other fields only
	// Meter counts then.
	Introduction *Introduction
}

// Abandon tells the meter and the introduction, if there are any, that the connection has not come about. A transport calls it when
// it has been given an identity and does not go on to [App.Connect].
func (id Identity) Abandon() {
	closed(id.Meter)
	if id.Introduction != nil {
		id.Introduction.ended()
	}
}

const maxIdentity = 256

func (id Identity) check() error {
	if id.Introduction != nil {
		return nil
	}
	for _, f := range [...]struct{ name, value string }{{"username", id.Username}, {"uuid", id.UUID}} {
		switch {
		case f.value == "":
			return fmt.Errorf("core: %s is empty", f.name)
		case len(f.value) > maxIdentity:
			return fmt.Errorf("core: %s has %d bytes, at most %d are allowed", f.name, len(f.value), maxIdentity)
		case !utf8.ValidString(f.value):
			return fmt.Errorf("core: %s is not valid UTF-8", f.name)
		}
	}
	return nil
}

// Accept decides about a connection: it returns who the peer is, or an error made by
// [Reject]. Any other error refuses the connection with status 500 and keeps its
// text from the client. It may block; the client waits.
type Accept func(*ConnectRequest) (Identity, error)

// Close codes, with the meaning that RFC 6455, section 7.4 gives them on every transport.
const (
	CloseNormal          = 1000
	CloseGoingAway       = 1001
	CloseProtocolError   = 1002
	CloseUnsupported     = 1003
	CloseNoStatus        = 1005 // never sent: the other side gave no code
	CloseAbnormal        = 1006 // never sent: the connection was lost
	CloseInvalidData     = 1007
	ClosePolicy          = 1008
	CloseTooBig          = 1009
	CloseInternalError   = 1011
	CloseRestart         = 1012
	CloseTryAgainLater   = 1013
	CloseOnlineElsewhere = 3000
)

// ValidCloseCode tells whether a code may be sent: those that RFC 6455 and its registry
// define, but for 1004 to 1006, and 3000 to 4999, which are the applications' own.
func ValidCloseCode(code int) bool {
	switch {
	case code >= 3000 && code <= 4999:
		return true
	case code < 1000 || code > 1014:
		return false
	default:
		return code != 1004 && code != CloseNoStatus && code != CloseAbnormal
	}
}
