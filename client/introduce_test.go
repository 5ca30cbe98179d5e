package client_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protoo-go/protoo/client"
	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/memory"
)

// newDoor returns a server that believes a token in the first request if it begins with "good".
func newDoor(t *testing.T) (*server, *[]string) {
	s := newServer(t, core.Options{GracePeriod: time.Minute})
	tokens := new([]string)
	s.transport = memory.New(s.app, func(*core.ConnectRequest) (core.Identity, error) {
		return core.Identity{Introduction: &core.Introduction{Accept: func(req *core.Request) (core.Identity, error) {
			var data struct{ Token string }
			if err := req.Bind(&data); err != nil || req.Method() != "authenticate" || req.Path() != "/token" {
				return core.Identity{}, core.Reject(400, "not an introduction: "+req.Method()+" "+req.Path())
			}
			*tokens = append(*tokens, data.Token)
			if !strings.HasPrefix(data.Token, "good") {
				return core.Identity{}, core.Reject(401, "bad token")
			}
			return core.Identity{Username: "alice", UUID: "1"}, nil
		}}}, nil
	}, memory.Options{})
	s.app.Attach(s.transport)
	return s, tokens
}

// introducing returns options with one token after the other.
func introducing(tokens ...string) client.Options {
	n := 0
	return client.Options{Introduce: func(context.Context) (*core.Request, error) {
		token := tokens[min(n, len(tokens)-1)]
		n++
		if token == "" {
			return nil, errors.New("no token today")
		}
		return core.NewRequest("authenticate", "/token", map[string]string{"token": token}), nil
	}}
}

func TestIntroduce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, tokens := newDoor(t)
		c := s.connect(t, introducing("good 1", "", "good 2", "good 3"))
		if _, err := c.Request(t.Context(), "message", "/echo", 1); err != nil {
			t.Fatal(err)
		}
		// A connection is lost: whatever waits comes behind the introduction.
		conn := s.app.Peer("alice", "1").Conn()
		_ = conn.Close(core.CloseRestart, "")
		synctest.Wait()
		if _, err := c.Request(t.Context(), "message", "/echo", 2); err != nil {
			t.Fatal(err)
		}
		// The token expires.
		time.Sleep(10 * time.Second)
		_ = s.app.Peer("alice", "1").Close(4401, "token expired")
		synctest.Wait()
		if _, err := c.Request(t.Context(), "message", "/echo", 3); err != nil {
			t.Fatal(err)
		}
		if want := []string{"good 1", "good 2", "good 3"}; !slices.Equal(*tokens, want) {
			t.Errorf("got tokens %q, want %q", *tokens, want)
		}
		if n := s.app.Stats().StrayResponses + c.App().Stats().StrayResponses; n != 0 {
			t.Errorf("%d stray responses", n)
		}
	})
}

func TestIntroduceFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newDoor(t)
		o := introducing("bad")
		o.Dial = s.dial
		c, err := client.Dial(t.Context(), "memory:", o)
		if err == nil {
			<-c.Done()
			err = c.Err()
		}
		if got := fmt.Sprint(err); got != "connection closed: 4401 bad token" {
			t.Errorf("got %s", got)
		}
		o = introducing("")
		o.Dial = s.dial
		if _, err := client.Dial(t.Context(), "memory:", o); err == nil || err.Error() != "connect to memory:: no token today" {
			t.Errorf("got %v", err)
		}
	})
}
