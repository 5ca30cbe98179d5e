package identity

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// A fakeWeb answers HTTP requests without a network.
type fakeWeb struct {
	mu     sync.Mutex
	answer func(*http.Request) (*http.Response, error)
	asked  int
}

func (w *fakeWeb) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.asked++
	answer := w.answer
	w.mu.Unlock()
	return answer(r)
}

func (w *fakeWeb) set(answer func(*http.Request) (*http.Response, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = answer
}

func (w *fakeWeb) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked
}

func page(status int, text []byte) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(text)), Request: r}, nil
	}
}

// slowly answers after a while.
func slowly(d time.Duration, answer func(*http.Request) (*http.Response, error)) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		select {
		case <-time.After(d):
			return answer(r)
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
}

func newRemoteVerifier(t *testing.T, web *fakeWeb) (*verifier, *reports) {
	t.Helper()
	r := new(reports)
	o := usual
	o.URL, o.Refresh = "https://id.example/keys", 15*time.Minute
	v, err := newVerifier(o, nil, web, r.add)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.close)
	return v, r
}

// reports is what an operator is told.
type reports struct {
	mu   sync.Mutex
	list []string
}

func (r *reports) add(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, err.Error())
}

func (r *reports) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.list
	r.list = nil
	return list
}

func TestRemoteKeys(t *testing.T) {
	old, next := jwks(t, map[string]crypto.Signer{"a": p256Key}), jwks(t, map[string]crypto.Signer{"b": rsaKey})
	synctest.Test(t, func(t *testing.T) {
		web := &fakeWeb{answer: slowly(3*time.Second, page(200, old))}
		v, reports := newRemoteVerifier(t, web)
		a := sign(t, jose.ES256, p256Key, "a", claims(map[string]any{"exp": int64(9999999999)}))
		b := sign(t, jose.RS256, rsaKey, "b", claims(map[string]any{"exp": int64(9999999999)}))

		began := time.Now()
		if _, got := decide(t, v, a); got != OK || time.Since(began) != 3*time.Second {
			t.Errorf("the first token waits for the keys: got %v after %v", got, time.Since(began))
		}
		began = time.Now()
		if _, got := decide(t, v, a); got != OK || time.Since(began) != 0 || web.count() != 1 {
			t.Errorf("the keys are kept: got %v after %v and %d fetches", got, time.Since(began), web.count())
		}

		// Rotation: a token with a new key fetches them, and unless that was a moment ago.
		web.set(slowly(time.Second, page(200, next)))
		if _, got := decide(t, v, b); got != UnknownKey || web.count() != 1 {
			t.Errorf("too early: got %v and %d fetches", got, web.count())
		}
		time.Sleep(fetchPause)
		var wait sync.WaitGroup
		for range 50 { // one fetch for all of them
			wait.Go(func() {
				if _, got := decide(t, v, b); got != OK {
					t.Errorf("the new key: got %v", got)
				}
			})
		}
		wait.Wait()
		if web.count() != 2 {
			t.Errorf("%d fetches, want 2", web.count())
		}
		if _, got := decide(t, v, a); got != UnknownKey || web.count() != 2 {
			t.Errorf("the old key: got %v and %d fetches", got, web.count())
		}

		// A set that cannot be fetched any more leaves the keys that there are.
		web.set(page(500, nil))
		time.Sleep(time.Hour)
		if _, got := decide(t, v, b); got != OK {
			t.Errorf("after failures: got %v", got)
		}
		if list := reports.take(); len(list) < 4 || !strings.Contains(list[0], "got status 500") {
			t.Errorf("reported %q", list)
		}

		// And by itself.
		web.set(page(200, old))
		time.Sleep(time.Hour)
		before := web.count()
		if _, got := decide(t, v, a); got != OK || web.count() != before {
			t.Errorf("after the failures: got %v", got)
		}
		time.Sleep(time.Hour)
		if n := web.count() - before; n != 4 {
			t.Errorf("%d fetches in an hour, want 4", n)
		}
	})
}

// A stranger cannot have us fetch all the time.
func TestUnknownKeysAreBounded(t *testing.T) {
	text := jwks(t, map[string]crypto.Signer{"a": p256Key})
	synctest.Test(t, func(t *testing.T) {
		web := &fakeWeb{answer: page(200, text)}
		v, _ := newRemoteVerifier(t, web)
		for i := range 600 {
			odd := sign(t, jose.ES256, p256Key, fmt.Sprint("odd", i), claims(nil))
			if _, got := decide(t, v, odd); got != UnknownKey {
				t.Fatalf("got %v", got)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n := web.count(); n > 8 {
			t.Errorf("%d fetches in a minute", n)
		}
	})
}

func TestRemoteFailures(t *testing.T) {
	good := jwks(t, map[string]crypto.Signer{"a": p256Key})
	for _, tt := range []struct {
		name   string
		answer func(*http.Request) (*http.Response, error)
		report string
	}{
		{"no network", func(*http.Request) (*http.Response, error) { return nil, errors.New("no route") }, "no route"},
		{"status", page(404, good), "got status 404"},
		{"not JSON", page(200, []byte("<html>")), "neither a JWK nor a JWKS"},
		{"too big", page(200, bytes.Repeat([]byte(" "), maxKeyBytes+1)), "more than 1048576 bytes"},
		{"too many", page(200, []byte(`{"keys":[`+strings.Repeat("{},", maxKeys)+"{}]}")), "more than 64 keys"},
		{"a secret", page(200, jwk(t, jose.JSONWebKey{Key: secret})), "only secrets"},
		{"a private key", page(200, jwk(t, jose.JSONWebKey{Key: p256Key})), "a private key"},
		{"never answers", slowly(time.Hour, page(200, good)), "deadline exceeded"},
		{"unsafe redirect", redirect("http://id.example/keys"), "not safe"},
		{"redirect to this machine", redirect("http://127.0.0.1/keys"), "not safe"},
		{"redirects without an end", redirect("https://id.example/keys"), "too many redirects"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				web := &fakeWeb{answer: tt.answer}
				v, reports := newRemoteVerifier(t, web)
				if _, got := decide(t, v, sign(t, jose.ES256, p256Key, "a", claims(nil))); got != Unavailable {
					t.Errorf("got %v, want unavailable", got)
				}
				synctest.Wait()
				if list := reports.take(); len(list) != 1 || !strings.Contains(list[0], tt.report) {
					t.Errorf("reported %q, want %q", list, tt.report)
				}
				web.set(page(200, good))
				time.Sleep(fetchPause + fetchTimeout)
				if _, got := decide(t, v, sign(t, jose.ES256, p256Key, "a", claims(nil))); got != OK {
					t.Errorf("later: got %v", got)
				}
			})
		})
	}
}

func redirect(to string) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 302, Header: http.Header{"Location": {to}}, Body: http.NoBody, Request: r}, nil
	}
}

// A client that goes away does not take the fetch with it.
func TestFetchOutlivesWhoAsked(t *testing.T) {
	text := jwks(t, map[string]crypto.Signer{"a": p256Key})
	synctest.Test(t, func(t *testing.T) {
		web := &fakeWeb{answer: slowly(2*time.Second, page(200, text))}
		v, _ := newRemoteVerifier(t, web)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		signed := sign(t, jose.ES256, p256Key, "a", claims(nil))
		if _, err := v.decide(ctx, &attempt{token: signed}); !errors.Is(err, unavailable) {
			t.Errorf("got %v", err)
		}
		if _, got := decide(t, v, signed); got != OK || web.count() != 1 {
			t.Errorf("got %v after %d fetches", got, web.count())
		}
	})
}

func TestValidURL(t *testing.T) {
	for url, want := range map[string]bool{
		"https://id.example/keys": true, "http://127.0.0.1:8080/": true, "http://localhost/x?y=z": true, "http://[::1]/": true,
		"http://id.example/": false, "https://": false, "": false, "id.example": false, "ftp://127.0.0.1/": false, "https://u:p@id.example/": false,
		"http://127.0.0.1.example/": false, "https://id.example/#x": false,
	} {
		if got := ValidURL(url); got != want {
			t.Errorf("ValidURL(%q) is %v", url, got)
		}
	}
}
