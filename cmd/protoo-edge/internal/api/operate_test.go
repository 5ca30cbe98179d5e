package api

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/protoo-go/protoo/transports/memory"
)

// callWithout makes a call that is not compared with the document: without an answer there is nothing to compare.
func (f *fixture) callWithout(ctx context.Context, method, target, body string) result {
	r := httptest.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+testKey)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return result{w.Code, w.Header(), w.Body.String()}
}

func TestDisconnect(t *testing.T) {
	f := newFixture(t, nil)
	for _, tt := range []struct {
		body, want, closed string
	}{
		{`{"username":"alice"}`, `{"disconnected":2}`, "closed: 1000 "},
		{`{"username":"alice","uuid":"phone","code":4000,"reason":"enough"}`, `{"disconnected":1}`, "closed: 4000 enough"},
		{`{"username":"alice","uuid":"phone","code":1012}`, `{"disconnected":1}`, "closed: 1012 "},
		{`{"username":"nobody"}`, `{"disconnected":0}`, ""},
	} {
		phone, tablet := f.peer(t, "alice", "phone", nil), f.peer(t, "alice", "tablet", nil)
		got := f.call(t, "POST", "/v1/disconnect", tt.body)
		if got.status != 200 || strings.TrimSpace(got.body) != tt.want {
			t.Errorf("%s: got %d %s", tt.body, got.status, got.body)
		}
		if tt.closed != "" {
			_, err := phone.Receive(t.Context())
			if closed, ok := errors.AsType[*memory.CloseError](err); !ok || fmt.Sprintf("closed: %d %s", closed.Code, closed.Reason) != tt.closed {
				t.Errorf("%s: the peer saw %v", tt.body, err)
			}
		}
		for _, c := range []*memory.Conn{phone, tablet} {
			_ = c.Close(1000, "")
		}
	}
}

func TestRevoke(t *testing.T) {
	var got []Revocation
	fail := error(nil)
	f := newFixture(t, func(o *Options) {
		o.Revoke = func(r Revocation) (int, error) {
			got = append(got, r)
			return len(got), fail
		}
	})
	for i, tt := range []struct {
		body, target string
		want         Revocation
	}{
		{`{"tokenId":"7f"}`, "token 7f", Revocation{TokenID: "7f"}},
		{`{"username":"alice"}`, "alice", Revocation{Username: "alice"}},
		{`{"username":"alice","uuid":"phone","expires":"2030-01-31T12:00:00+01:00"}`, "alice/phone",
			Revocation{Username: "alice", UUID: "phone", Expires: time.Date(2030, 1, 31, 11, 0, 0, 0, time.UTC)}},
		{`{"uuid":"phone"}`, "/phone", Revocation{UUID: "phone"}},
	} {
		res := f.call(t, "POST", "/v1/revoke", tt.body)
		if want := fmt.Sprintf("{\"disconnected\":%d}\n", i+1); res.status != 200 || res.body != want || f.records[i].Target != tt.target {
			t.Errorf("%s: got %d %s, recorded %+v", tt.body, res.status, res.body, f.records[i])
		}
		last := got[len(got)-1]
		if !last.Expires.Equal(tt.want.Expires) {
			t.Errorf("%s: expires %v", tt.body, last.Expires)
		}
		last.Expires, tt.want.Expires = time.Time{}, time.Time{}
		if last != tt.want {
			t.Errorf("%s: revoked %+v", tt.body, last)
		}
	}
	for status, err := range map[int]error{
		422: &InvalidError{Detail: "no such thing"},
		503: fmt.Errorf("too many revocations: %w", ErrBusy),
		501: ErrUnavailable,
		500: errors.New("secret trouble"),
	} {
		fail = err
		res := f.call(t, "POST", "/v1/revoke", `{"username":"alice"}`)
		if res.status != status || strings.Contains(res.body, "secret") {
			t.Errorf("%v: got %d %s", err, res.status, res.body)
		}
		if r := f.records[len(f.records)-1]; !errors.Is(r.Err, err) || r.Status != status {
			t.Errorf("%v: recorded %+v", err, r)
		}
	}
}

func TestReload(t *testing.T) {
	var (
		reloaded *Reloaded
		fail     error
	)
	f := newFixture(t, func(o *Options) {
		o.Reload = func(context.Context) (*Reloaded, error) { return reloaded, fail }
	})
	reloaded = &Reloaded{Applied: []Change{{"grace", "2s", "5s"}}, Restart: []Change{}}
	if got := f.call(t, "POST", "/v1/reload", ""); got.status != 200 || got.body != `{"applied":[{"key":"grace","from":"2s","to":"5s"}],"restart":[]}`+"\n" {
		t.Errorf("got %d %s", got.status, got.body)
	}
	reloaded, fail = nil, &InvalidError{Detail: "the configuration has mistakes", Mistakes: []string{"edge.yaml:1:1: grase: unknown key"}}
	if got := f.call(t, "POST", "/v1/reload", "{}"); got.status != 422 || !strings.Contains(got.body, `"mistakes":["edge.yaml:1:1: grase: unknown key"]`) {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

func TestDrain(t *testing.T) {
	drains := 0
	var f *fixture
	f = newFixture(t, func(o *Options) {
		o.Drain = func() error {
			drains++
			f.Server.Drain()
			return nil
		}
	})
	f.peer(t, "alice", "phone", nil)
	for range 2 {
		if got := f.call(t, "POST", "/v1/drain", ""); got.status != 202 || got.body != `{"draining":true,"peers":1}`+"\n" {
			t.Errorf("got %d %s", got.status, got.body)
		}
	}
	if got := f.call(t, "POST", "/v1/broadcast", `{"method":"message","path":"/x","all":true}`); got.status != 503 || drains != 2 {
		t.Errorf("got %d %s after %d drains", got.status, got.body, drains)
	}
}

// FuzzCalls sends whatever there can be as a body: the answer is always one of the documented ones.
func FuzzCalls(f *testing.F) {
	for _, seed := range []string{
		aMessage, `{}`, `[]`, `null`, `{"username":"alice","uuid":"phone","code":1000,"reason":"x"}`, `{"all":true,"method":"message","path":"/x","data":{"a":[1]}}`,
		`{"to":[{"username":"a"},{"username":"b","uuid":"c"}],"method":"m","path":"/"}`, `{"tokenId":"x","expires":"2030-01-31T12:00:00Z"}`, `{"timeoutMs":1e3}`, `{"username":"\ud800"}`,
	} {
		for i := range routes {
			f.Add(uint8(i), []byte(seed)) //nolint:gosec // there are few
		}
	}
	fx := newFixture(f, nil)
	fx.o.Audit = nil
	fx.o.Revoke = func(Revocation) (int, error) { return 0, nil }
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		r := routes[int(which)%len(routes)]
		if r.method != "POST" {
			return
		}
		got := fx.callWithout(t.Context(), r.method, r.path, string(body))
		switch got.status {
		case 200, 400, 404, 413, 415, 422, 501:
		default:
			t.Errorf("%s %q: got %d %s", r.path, body, got.status, got.body)
		}
	})
}
