// Package load drives a server that answers protoo requests, and measures what comes of it. Every message that
// comes back is checked, byte for byte.
package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/protoo-go/protoo/bench/internal/machine"
)

// A Server is what load is put on.
type Server interface {
	// Dial connects a peer. It may be called by several goroutines.
	Dial(ctx context.Context, username, uuid string) (Conn, error)
	// Dialect is how the server wants its requests.
	Dialect() Dialect
	// CPU returns what the server has used so far.
	CPU() (machine.Reading, error)
	// Resident returns the server's resident memory in bytes, after it had the time to give back what it does not need.
	Resident(ctx context.Context) (uint64, error)
}

// A Conn is one peer's connection. Send, and Receive, may be called by one goroutine each at a time.
type Conn interface {
	Send(msg []byte) error
	// Receive returns the next message, which is valid until the next call.
	Receive() ([]byte, error)
	Close() error
	Traffic() Traffic
}

// Traffic counts bytes on the wire, as far down as the program can see: what TCP carries, or UDP.
type Traffic struct {
	Sent     int64 `json:"toServer_bytes"`
	Received int64 `json:"toClients_bytes"`
}

// Kind is what peers do.
type Kind string

const (
	// Closed has each peer send a request as soon as the answer to an earlier one has come. Its latencies are
	// what a patient client sees; they leave out what a stall would have done to requests that were not sent meanwhile.
	Closed Kind = "closed"
	// Open sends requests at a fixed rate, whatever becomes of them. Its latencies count from when a request
	// should have been sent, so a stall is seen by all that it delays.
	Open Kind = "open"
	// Relay is Closed with requests that go to another peer, which answers them.
	Relay Kind = "relay"
	// Fanout has one peer send requests to all devices of a user, the next when all have got the last. It counts deliveries.
	Fanout Kind = "fanout"
	// Storm has peers connect, have one request answered, and leave, as fast as that goes. It counts connections.
	Storm Kind = "storm"
	// Idle connects peers that then do nothing, and looks at the server's memory.
	Idle Kind = "idle"
)

// A Job is one measurement.
type Job struct {
	Kind     Kind          `json:"kind"`
	Peers    int           `json:"peers"`         // devices for Fanout, connections at a time for Storm
	InFlight int           `json:"inFlight"`      // per peer; for Closed and Relay
	Payload  int           `json:"payload_bytes"` // bytes of text in a request, at least 10
	Rate     float64       `json:"rate_per_s"`    // requests per second, of all peers together; for Open
	Warmup   time.Duration `json:"warmup_ns"`
	Duration time.Duration `json:"duration_ns"` // without the warm-up; not for Idle
}

// A Measurement is what a job found.
type Measurement struct {
	Elapsed  time.Duration `json:"elapsed_ns"`
	Requests int64         `json:"requests"` // answered in that time; deliveries for Fanout, connections for Storm
	Sent     int64         `json:"sent"`     // by Open in that time
	Lost     int64         `json:"lost"`     // of these, without an answer long after
	// Busy counts requests that Open did not send because the peer's earlier ones waited for their answers.
	Busy int64 `json:"busy"`

	Latency *Histogram `json:"latency_ns,omitempty"` // for Open, what was lost has taken Never
	Service *Histogram `json:"service_ns,omitempty"` // for Open: from when it was really sent, so not corrected
	Lag     *Histogram `json:"lag_ns,omitempty"`     // for Open: how late it was sent

	Server    machine.CPU `json:"server"`
	Generator Generator   `json:"generator"`
	Traffic   Traffic     `json:"traffic"`
	Memory    []Memory    `json:"memory,omitempty"` // for Idle
}

// Generator says what the load itself has cost, and suffered.
type Generator struct {
	CPU        machine.CPU   `json:"cpu"`
	RunDelay   time.Duration `json:"runDelay_ns"`   // of all threads together: ready, but without a processor
	Busy       time.Duration `json:"busy_ns"`       // what all programs together used of the processors that the generator may use, by ticks
	Scheduling time.Duration `json:"scheduling_ns"` // goroutines that were ready have waited up to this long, 99 of 100
}

// Memory is the resident memory of a server that has so many idle peers.
type Memory struct {
	Peers    int    `json:"peers"`
	Resident uint64 `json:"resident_bytes"`
}

// Run does a job. A wrong answer, or a connection that breaks, is an error.
func Run(ctx context.Context, s Server, job Job) (*Measurement, error) {
	behave, ok := map[Kind]func(*run) error{
		Closed: (*run).closed,
		Open:   (*run).open,
		Relay:  (*run).relay,
		Fanout: (*run).fanout,
		Storm:  (*run).storm,
		Idle:   (*run).idle,
	}[job.Kind]
	if !ok {
		return nil, fmt.Errorf("unknown kind of load %q", job.Kind)
	}
	if job.Peers < 1 || job.Payload < digits {
		return nil, fmt.Errorf("load with %d peers and %d bytes, expected at least 1 and %d", job.Peers, job.Payload, digits)
	}
	return do(ctx, s, job, behave)
}

func do(ctx context.Context, s Server, job Job, behave func(*run) error) (*Measurement, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := newRun(ctx, cancel, s, job)
	err := behave(r)
	cancel(errDone)
	r.leave()
	if cause := context.Cause(ctx); !errors.Is(cause, errDone) {
		return nil, cause
	}
	if err != nil {
		return nil, err
	}
	return r.measurement, nil
}

var errDone = errors.New("done")
