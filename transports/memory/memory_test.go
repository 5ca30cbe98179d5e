package memory_test

import (
	"context"
	"errors"
	"net/url"
	"testing"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/core/coretest"
	"github.com/protoo-go/protoo/transports/memory"
)

func TestMain(m *testing.M) { coretest.Main(m) }

func TestConformance(t *testing.T) {
	coretest.TestTransport(t, func(t *testing.T, app *core.App, accept core.Accept) coretest.Dial {
		transport := memory.New(app, accept, memory.Options{})
		t.Cleanup(func() { _ = transport.Close() })
		return func(ctx context.Context, path string, query url.Values) (coretest.Client, error) {
			conn, err := transport.Dial(ctx, core.ConnectRequest{Path: path, Query: query})
			if err != nil {
				return nil, err
			}
			return client{conn}, nil
		}
	})
}

type client struct{ *memory.Conn }

func (c client) Receive(ctx context.Context) ([]byte, error) {
	msg, err := c.Conn.Receive(ctx)
	if end, ok := errors.AsType[*memory.CloseError](err); ok {
		err = coretest.Closed{Code: end.Code, Reason: end.Reason}
	}
	return msg, err
}
