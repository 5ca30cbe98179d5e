package client_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/protoo-go/protoo/client"
	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/websocket"
)

// TestWebSocketBrokenEarly has a connection break before the client reads from it.
func TestWebSocketBrokenEarly(t *testing.T) {
	app := newWebSocketApp()
	_, url := startWebSocket(t, app, httptest.NewServer)
	dialed := 0
	c, err := client.Dial(t.Context(), "ws"+url, client.Options{
		Backoff: client.Backoff{Base: time.Millisecond},
		Dial: func(ctx context.Context, url string) (client.Conn, error) {
			conn, err := websocket.Dial(ctx, url, websocket.DialOptions{})
			if dialed++; dialed != 2 || err != nil {
				return conn, err
			}
			for app.Peer("alice", "1").Conn() == nil {
				time.Sleep(time.Millisecond)
			}
			_ = app.Peer("alice", "1").Conn().Close(core.CloseRestart, "")
			for !errors.Is(conn.Send([]byte("x")), core.ErrClosed) {
				time.Sleep(time.Millisecond)
			}
			return conn, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := request(t, c, "/echo", 1); err != nil {
		t.Fatal(err)
	}
	_ = app.Peer("alice", "1").Conn().Close(core.CloseRestart, "")
	for app.Peer("alice", "1").Conn() != nil {
		time.Sleep(time.Millisecond)
	}
	if _, err := request(t, c, "/echo", 2, client.Timeout(30*time.Second)); err != nil {
		t.Error(err)
	}
	_ = c.Close(0, "")
	waitForEnd(t, c)
}
