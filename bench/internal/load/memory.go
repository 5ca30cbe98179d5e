package load

import (
	"context"
	"net/url"
	"runtime"
	"sync/atomic"

	"github.com/protoo-go/protoo/bench/internal/machine"
	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/memory"
)

// InProcess is a server in the same process, without a network. What it costs is told together with the load.
type InProcess struct{ Transport *memory.Transport }

func (s InProcess) Dial(ctx context.Context, username, uuid string) (Conn, error) {
	conn, err := s.Transport.Dial(ctx, core.ConnectRequest{Query: url.Values{"username": {username}, "uuid": {uuid}}})
	if err != nil {
		return nil, err
	}
	return &memoryConn{conn: conn}, nil
}

func (InProcess) Dialect() Dialect { return Protoo }

func (InProcess) CPU() (machine.Reading, error) { return machine.CPUOfSelf() }

func (InProcess) Resident(context.Context) (uint64, error) { return machine.ResidentSelf() }

type memoryConn struct {
	conn           *memory.Conn
	sent, received atomic.Int64
	messages       int // that Receive was called for
}

func (c *memoryConn) Send(msg []byte) error {
	c.sent.Add(int64(len(msg)))
	return c.conn.Send(msg)
}

func (c *memoryConn) Receive() ([]byte, error) {
	// Without a network, two goroutines that wake each other keep the processor for a time slice of 10 ms, and of a thousand peers most would
	// wait for seconds. Now and then is enough, and costs little.
	const turn = 16
	if c.messages++; c.messages%turn == 0 {
		runtime.Gosched()
	}
	msg, err := c.conn.Receive(context.Background()) // Close ends it
	c.received.Add(int64(len(msg)))
	return msg, err
}

func (c *memoryConn) Close() error { return c.conn.Close(core.CloseNormal, "") }

func (c *memoryConn) Traffic() Traffic {
	return Traffic{Sent: c.sent.Load(), Received: c.received.Load()}
}
