package identity

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protoo-go/protoo/core"
)

const hookSecret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

func byHook(web *fakeWeb, r *reports) Options {
	o := byJWT()
	o.Type, o.Transport, o.Report = "http", web, r.add
	o.HTTP = Hook{URL: "https://id.example/who?key=k3y", Secret: hookSecret, Timeout: 3 * time.Second, Concurrency: 2, Failures: 3, Pause: 5 * time.Second}
	return o
}

func TestHook(t *testing.T) {
	alice := `{"username":"alice","uuid":"tablet","data":{"role":"admin","n":1},"tokenId":"t1"}`
	for _, tt := range []struct {
		name   string
		answer func(*http.Request) (*http.Response, error)
		want   string // "" for alice/tablet
		report string
	}{
		{"yes", page(200, []byte(alice)), "", ""},
		{"without a uuid", page(200, []byte(`{"username":"alice"}`)), "", ""},
		{"no", page(401, []byte(`{"reason":"who are\nyou?"}`)), "401 who are you?", ""},
		{"no, in another way", page(403, []byte(`<html>`)), "403 Rejected", ""},
		{"a long reason", page(402, []byte(`{"reason":"`+strings.Repeat("ä", 100)+`"}`)), "402 " + strings.Repeat("ä", 61), ""},
		{"expired", page(200, []byte(`{"username":"alice","expires":1}`)), "401 token expired", ""},
		{"error", page(500, []byte(alice)), "503 nobody can be let in at the moment", "identity.http: got status 500, expected 200 or 4xx"},
		{"another 2xx", page(204, nil), "503 nobody can be let in at the moment", "identity.http: got status 204, expected 200 or 4xx"},
		{"redirect", redirect("https://evil.example/"), "503 nobody can be let in at the moment", "identity.http: got status 302, expected 200 or 4xx"},
		{"not JSON", page(200, []byte("yes")), "503 nobody can be let in at the moment", "identity.http: an answer that is not the JSON object expected"},
		{"nobody", page(200, []byte("{}")), "503 nobody can be let in at the moment", "identity.http: the answer's username is not a name"},
		{"too much", page(200, bytes.Repeat([]byte(" "), maxAnswer+1)), "503 nobody can be let in at the moment", "identity.http: an answer of more than 65536 bytes"},
		{"no network", func(*http.Request) (*http.Response, error) { return nil, errors.New("no route") }, "503 nobody can be let in at the moment", "identity.http: no route"},
		{"too slow", slowly(time.Minute, page(200, []byte(alice))), "503 nobody can be let in at the moment", "identity.http: context deadline exceeded"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				web, r := &fakeWeb{answer: tt.answer}, new(reports)
				h := build(t, byHook(web, r))
				v, err := h.dial(query("token", "s3cret", "uuid", "tablet"))
				got := ""
				if err != nil {
					got = err.Error()
				} else {
					v.ask("message", "/echo", "1")
					if h.app.Peer("alice", "tablet") == nil {
						t.Error("alice/tablet is not online")
					}
				}
				if got != tt.want {
					t.Errorf("got %q, want %q", got, tt.want)
				}
				if list := strings.Join(r.take(), "\n"); list != tt.report || strings.Contains(list, "s3cret") || strings.Contains(list, "k3y") {
					t.Errorf("reported %q, want %q", list, tt.report)
				}
			})
		})
	}
}

// What the back end is asked, with what signature.
func TestHookQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []map[string]any
		web := &fakeWeb{answer: func(r *http.Request) (*http.Response, error) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(hookSecret, "whsec_"))
			mac := hmac.New(sha256.New, key)
			fmt.Fprintf(mac, "%s.%s.%s", r.Header.Get("Webhook-Id"), r.Header.Get("Webhook-Timestamp"), body)
			if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); r.Header.Get("Webhook-Signature") != want {
				t.Errorf("the signature is %q, want %q", r.Header.Get("Webhook-Signature"), want)
			}
			if r.Method != "POST" || r.Header.Get("Content-Type") != "application/json" {
				t.Errorf("got %s with %v", r.Method, r.Header)
			}
			var q map[string]any
			if err := json.Unmarshal(body, &q); err != nil {
				return nil, err
			}
			asked = append(asked, q)
			return page(200, fmt.Appendf(nil, `{"username":"alice","uuid":"phone","expires":%d}`, time.Now().Add(time.Minute).Unix()))(r)
		}}
		h := build(t, byHook(web, new(reports)))
		began := time.Now()
		v, err := h.dial(core.ConnectRequest{
			Path: "/protoo", Query: map[string][]string{"token": {"s3cret"}, "x": {"1", "2"}}, Header: map[string][]string{"Cookie": {"a=b"}},
			Origin: "https://example.com", RemoteAddr: "192.0.2.1:1234", Secure: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		if got := v.ask("authenticate", "/token", data("fresh")); !strings.Contains(got, "200") {
			t.Errorf("got %s", got)
		}
		v.wantEnd(4401, "token expired")
		if d := time.Since(began); d != 90*time.Second {
			t.Errorf("closed after %v", d)
		}
		want := []map[string]any{
			{
				"token": "s3cret", "transport": "memory", "path": "/protoo", "query": map[string]any{"token": []any{"s3cret"}, "x": []any{"1", "2"}},
				"header": map[string]any{"Cookie": []any{"a=b"}}, "origin": "https://example.com", "remoteAddr": "192.0.2.1:1234", "secure": true,
			},
			{"token": "fresh", "username": "alice", "uuid": "phone", "refresh": true},
		}
		if !reflect.DeepEqual(asked, want) {
			t.Errorf("asked\n%v\nwant\n%v", asked, want)
		}
	})
}

func TestHookBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web, r := &fakeWeb{answer: page(500, nil)}, new(reports)
		h := build(t, byHook(web, r))
		try := func() string { return h.refused(query("token", "x", "uuid", "phone")) }
		for range 10 {
			if got := try(); got != "503 nobody can be let in at the moment" {
				t.Errorf("got %s", got)
			}
		}
		if n := web.count(); n != 3 {
			t.Errorf("%d calls, want 3", n)
		}
		if list := r.take(); len(list) != 4 {
			t.Errorf("reported %q", list)
		}
		web.set(page(401, nil)) // a refusal is an answer
		if got := try(); got != "503 nobody can be let in at the moment" {
			t.Errorf("while it rests: got %s", got)
		}
		time.Sleep(6 * time.Second)
		for range 5 {
			if got := try(); got != "401 Rejected" {
				t.Errorf("afterwards: got %s", got)
			}
		}
	})
}

func TestHookConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		web := &fakeWeb{answer: func(r *http.Request) (*http.Response, error) {
			n := now.Add(1)
			defer now.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			return slowly(time.Second, page(200, []byte(`{"username":"alice"}`)))(r)
		}}
		h := build(t, byHook(web, new(reports)))
		var in, out atomic.Int32
		var wait sync.WaitGroup
		for i := range 10 {
			wait.Go(func() {
				_, err := h.gate.Accept(&core.ConnectRequest{Context: t.Context(), Query: query("token", "x", "uuid", fmt.Sprint(i)).Query})
				if err == nil {
					in.Add(1)
				} else {
					out.Add(1)
				}
			})
		}
		wait.Wait()
		// Two at a time for three seconds, less what waits too long at the end of them.
		if most.Load() != 2 || in.Load() < 4 || in.Load() > 6 || in.Load()+out.Load() != 10 {
			t.Errorf("%d at a time, %d let in, %d not", most.Load(), in.Load(), out.Load())
		}
	})
}
