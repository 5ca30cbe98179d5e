// Package coretest checks that a transport does what package core, and the applications built
// on it, expect of one. A transport's tests run the whole suite:
//
//	func TestConformance(t *testing.T) {
//		coretest.TestTransport(t, func(t *testing.T, app *core.App, accept core.Accept) coretest.Dial {
//			transport := memory.New(app, accept, memory.Options{})
//			t.Cleanup(func() { transport.Close() })
//			return func(ctx context.Context, path string, query url.Values) (coretest.Client, error) {
//				conn, err := transport.Dial(ctx, core.ConnectRequest{Path: path, Query: query})
//				if err != nil {
//					return nil, err
//				}
//				return client{conn}, nil
//			}
//		})
//	}
//
//	// Every package that starts goroutines has one of these:
//	func TestMain(m *testing.M) { coretest.Main(m) }
//
// where client makes a [Client] of the transport's own. The suite takes some
// seconds, waits for events and not for time, and is meant to be run under the race detector.
package coretest

import (
	"context"
	"fmt"
	"net/url"
	"testing"

	"github.com/protoo-go/protoo/core"
)

// MaxMessage is the length in bytes of the longest message that a server must take with its
// standard options. A longer one closes the connection with 1009.
const MaxMessage = 64 << 10

// MaxUnread bounds the bytes that a server may have taken for a client that reads nothing, in its own
// queue, in the client's and on the way, before it says that the client is too slow.
const MaxUnread = 64 << 20

// Start makes a server that gives the connections that accept admits to app. It has the transport's standard
// options, accepts every path, and ends, with all it has started, by t.Cleanup.
type Start func(t *testing.T, app *core.App, accept core.Accept) Dial

// Dial connects a client to the server that Start has made. When the server refuses, the error is a
// [*core.StatusError] with the status and the reason. Dial gives up when ctx ends, which does
// not concern the connection once there is one.
type Dial func(ctx context.Context, path string, query url.Values) (Client, error)

// A Client is the other end of a connection. It has no protoo client library in it: what it sends
// and receives are the messages as they are. Receive is called by one goroutine at a time, the other
// methods by any.
type Client interface {
	// Send sends one message. It may wait for the server to read.
	Send(msg []byte) error
	// Receive returns the next message, and a [Closed] after the last. Its other errors are the
	// context's.
	Receive(ctx context.Context) ([]byte, error)
	// Close closes the connection with a code and a reason, after what was sent; with
	// core.CloseNoStatus it names neither. It need not wait.
	Close(code int, reason string) error
	// Drop ends the connection without closing it, as a network that fails does.
	Drop()
}

// Closed is the error of [Client.Receive] when the connection has ended: the code and
// the reason that the server gave, or core.CloseNoStatus, or core.CloseAbnormal.
type Closed struct {
	Code   int
	Reason string
}

// Error describes c as "closed: 1000 normal closure".
func (c Closed) Error() string { return fmt.Sprintf("closed: %d %s", c.Code, c.Reason) }

// TestTransport runs the suite, in subtests of t. Each of them makes servers of its own with
// start, and fails if a goroutine of this module is left when they have ended.
func TestTransport(t *testing.T, start Start) {
	for _, group := range []struct {
		name  string
		tests []test
	}{
		{"connect", connectTests},
		{"introduction", introductionTests},
		{"messages", messageTests},
		{"meter", meterTests},
		{"close", closeTests},
		{"reconnect", reconnectTests},
		{"handlers", handlerTests},
		{"slow", slowTests},
		{"load", loadTests},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, tt := range group.tests {
				t.Run(tt.name, func(t *testing.T) {
					before := goroutines()
					t.Cleanup(func() { checkLeaks(t, before) })
					tt.run(t, start)
				})
			}
		})
	}
}

type test struct {
	name string
	run  func(*testing.T, Start)
}
