package identity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"
)

const (
	fetchTimeout = 10 * time.Second
	// fetchPause is the least time between two fetches that tokens with unknown keys ask for, and between two that have failed.
	fetchPause = 10 * time.Second
	maxHops    = 3
)

// A remote is a set of keys at a URL (RFC 7517). It is fetched anew now and then, and when a token names a key that is not
// among them. When that fails, the keys that there were stay good.
type remote struct {
	url      string
	interval time.Duration
	client   *http.Client
	report   func(error)
	cancel   context.CancelFunc
	ctx      context.Context
	stopped  sync.WaitGroup

	mu      sync.Mutex
	keys    []key         // nil until they have been fetched
	began   time.Time     // when the last fetch did
	current chan struct{} // closed when the fetch that is going on has ended; nil if none is
	err     error         // of the last fetch
}

// newRemote returns a set that fetches itself until it is closed.
func newRemote(address string, interval time.Duration, transport http.RoundTripper, report func(error)) *remote {
	r := &remote{url: address, interval: interval, report: report}
	r.client = &http.Client{Transport: transport, Timeout: fetchTimeout, CheckRedirect: checkRedirect}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	first := r.begin() // so that the first token waits
	r.stopped.Go(func() {
		r.fetchInto(first)
		r.run()
	})
	return r
}

// checkRedirect follows where we would have gone by ourselves.
func checkRedirect(next *http.Request, via []*http.Request) error {
	switch {
	case len(via) > maxHops:
		return errors.New("too many redirects")
	case next.URL.Scheme != "https" && next.URL.Scheme != via[0].URL.Scheme, !ValidURL(next.URL.String()):
		return errors.New("redirect to a URL that is not safe")
	}
	return nil
}

func (r *remote) close() {
	r.mu.Lock()
	r.cancel()
	r.mu.Unlock()
	r.stopped.Wait()
	r.client.CloseIdleConnections()
}

func (r *remote) run() {
	for {
		wait := r.interval
		if r.failed() != nil {
			wait = min(wait, fetchPause)
		}
		select {
		case <-time.After(wait):
			r.refresh()
		case <-r.ctx.Done():
			return
		}
	}
}

func (r *remote) failed() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// refresh fetches the keys, or waits for a fetch that is going on.
func (r *remote) refresh() {
	r.mu.Lock()
	if current := r.current; current != nil {
		r.mu.Unlock()
		<-current
		return
	}
	done := r.begin()
	r.mu.Unlock()
	r.fetchInto(done)
}

// begin says that a fetch is going on. The lock is held.
func (r *remote) begin() (done chan struct{}) {
	done = make(chan struct{})
	r.current, r.began = done, time.Now()
	return done
}

func (r *remote) fetchInto(done chan struct{}) {
	keys, err := r.fetch()
	r.mu.Lock()
	if err == nil {
		r.keys = keys
	}
	r.err, r.current = err, nil
	close(done)
	r.mu.Unlock()
	if err != nil && r.ctx.Err() == nil {
		r.report(fmt.Errorf("keys of tokens not fetched: %w", err))
	}
}

func (r *remote) fetch() ([]key, error) {
	request, err := http.NewRequestWithContext(r.ctx, http.MethodGet, r.url, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	response, err := r.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: got status %d", r.url, response.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxKeyBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", r.url, err)
	case len(text) > maxKeyBytes:
		return nil, fmt.Errorf("%s: more than %d bytes", r.url, maxKeyBytes)
	}
	keys, err := parseJWKS(text)
	if err == nil {
		keys, err = public(keys)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.url, err)
	}
	return keys, nil
}

// public leaves secrets out, which nobody publishes.
func public(keys []key) ([]key, error) {
	var found []key
	for _, k := range keys {
		if _, secret := k.public.([]byte); !secret {
			found = append(found, k)
		}
	}
	if found == nil {
		return nil, errors.New("only secrets, expected public keys")
	}
	return found, nil
}

// known returns the keys, and waits for them if none have been fetched yet.
func (r *remote) known(ctx context.Context) ([]key, error) {
	r.mu.Lock()
	keys, current := r.keys, r.current
	r.mu.Unlock()
	if keys != nil {
		return keys, nil
	}
	return r.await(ctx, current)
}

// unknown is called for a token whose key is not among the keys. It fetches them again, unless that was done a moment ago, and returns
// what there is then.
func (r *remote) unknown(ctx context.Context) ([]key, error) {
	r.mu.Lock()
	current := r.current
	if current == nil && time.Since(r.began) >= fetchPause && r.ctx.Err() == nil {
		current = r.begin()
		// It does not end with the token's connection: others wait as well.
		r.stopped.Go(func() { r.fetchInto(current) })
	}
	r.mu.Unlock()
	return r.await(ctx, current)
}

func (r *remote) await(ctx context.Context, current chan struct{}) ([]key, error) {
	if current != nil {
		select {
		case <-current:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.keys == nil {
		return nil, errors.Join(errNoKeys, r.err)
	}
	return r.keys, nil
}

var errNoKeys = errors.New("the keys of tokens have not been fetched yet")

// ValidURL tells whether secrets may be sent to a URL, or keys be believed that are there: with TLS, or on this machine.
func ValidURL(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname())
}
