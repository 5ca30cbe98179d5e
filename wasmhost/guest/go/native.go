//go:build !wasip1

package guest

import (
	"fmt"
	"time"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/wasmhost/kv"
)

// What core has.
type (
	// Request is core's request.
	Request = core.Request
	// Response is core's response.
	Response = core.Response
	// Next is what a handler calls to pass a request on.
	Next = core.Next
	// Handler is core's handler.
	Handler = core.Handler
	// Accept decides about connections.
	Accept = core.Accept
	// ConnectRequest is somebody who wants to connect.
	ConnectRequest = core.ConnectRequest
	// Identity says who a connection belongs to.
	Identity = core.Identity
	// Peer is a client that is online.
	Peer = core.Peer
	// App is where peers are found.
	App = core.App
	// Transaction is a request that was sent to a peer.
	Transaction = core.Transaction
	// JSON is the text of a JSON value.
	JSON = core.JSON
	// StatusError is an error that the peer may see.
	StatusError = core.StatusError
)

// SkipRoute and SkipRouter are for Next.
var (
	SkipRoute  = core.SkipRoute
	SkipRouter = core.SkipRouter
)

// Error returns the error with which a handler rejects a request.
func Error(status int, reason string) error { return core.Error(status, reason) }

// Reject returns the error with which a listener refuses a connection.
func Reject(status int, reason string) error { return core.Reject(status, reason) }

// NewRequest makes a request to be sent to a peer.
func NewRequest(method, path string, data any) *Request { return core.NewRequest(method, path, data) }

// Serve makes the module available to its host. Outside of WebAssembly there is none, and a program
// mounts the handlers itself.
func Serve(Module) {}

// OnLog is where Log goes outside of WebAssembly, nowhere if it is nil. It is to be set before anything is logged.
var OnLog func(level LogLevel, text string)

// Log writes a line to the log of the server.
func Log(level LogLevel, format string, args ...any) {
	if OnLog != nil {
		OnLog(level, fmt.Sprintf(format, args...))
	}
}

var store = kv.New(kv.Options{})

// Get returns a value of the store that the module's instances share, and whether there is one. Outside of
// WebAssembly the program has one such store.
func Get(key string) ([]byte, bool) { return store.Get(nil, []byte(key)) }

// CompareAndSwap stores a value if the present one is old, and tells whether it did. A nil old stands for
// a key that does not exist, a nil value deletes the key. It expires after ttl, zero means never.
func CompareAndSwap(key string, old, value []byte, ttl time.Duration) (bool, error) {
	return store.CompareAndSwap([]byte(key), old, value, ttl)
}

// Add adds to the number that is stored at key, and returns the sum. A key that Add makes expires after ttl.
func Add(key string, delta int64, ttl time.Duration) (int64, error) {
	return store.Add([]byte(key), delta, ttl)
}
