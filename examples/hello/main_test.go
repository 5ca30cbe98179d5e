package main

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/protoo-go/protoo/client"
	"github.com/protoo-go/protoo/core"
)

func TestHello(t *testing.T) {
	handler := newHandler()
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		if err := handler.Close(); err != nil {
			t.Error(err)
		}
		server.Close()
	})
	url := "ws" + strings.TrimPrefix(server.URL, "http")
	dial := func(query string, o client.Options) *client.Client {
		t.Helper()
		c, err := client.Dial(t.Context(), url+query, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close(0, "") })
		return c
	}
	alice := dial("/?username=alice&uuid=phone", client.Options{})
	dial("/?username=bob&uuid=laptop", client.Options{Routes: func(app *core.App) {
		app.Message("/users/bob", func(req *core.Request, _ core.Next) error {
			return req.Reply(200, "seen", []core.JSON{req.Sender(), req.Data()})
		})
	}})

	tests := []struct{ path, want string }{
		{"/hello", `200 OK "Hello, alice!"`},
		{"/users/bob", `200 seen [{"username":"alice","uuid":"phone"},"hi"]`},
		{"/users/carol", `404 peer not found `},
	}
	for _, tt := range tests {
		res, err := alice.Send(core.NewRequest("message", tt.path, "hi")).Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprintf("%d %s %s", res.Status(), res.Reason(), res.Data())
		if got != tt.want {
			t.Errorf("message to %s: %s, want %s", tt.path, got, tt.want)
		}
	}

	var refused *core.StatusError
	_, err := client.Dial(t.Context(), url+"/?username=mallory", client.Options{})
	if !errors.As(err, &refused) || refused.Status != 400 {
		t.Errorf("without a uuid: %v, want to be refused with 400", err)
	}
}
