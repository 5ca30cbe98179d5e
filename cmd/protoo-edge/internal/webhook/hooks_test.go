package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protoo-go/protoo/core"
)

// told is an attempt, as the receiver sees it.
type told struct {
	at       time.Duration // since the start
	id       string
	Type     string
	Instance string
	Dropped  uint64
	Data     struct {
		Username, UUID, Transport, Address, Reason string
		Code                                       int
		Seconds                                    float64
	}
}

// receiverStub records attempts and answers them one after the other; when there are no answers left, with 204.
type receiverStub struct {
	start   time.Time
	mu      sync.Mutex
	told    []told
	answers []func() (*http.Response, error)
}

func newStub(answers ...func() (*http.Response, error)) *receiverStub {
	return &receiverStub{start: time.Now(), answers: answers}
}

func (s *receiverStub) RoundTrip(req *http.Request) (*http.Response, error) {
	return roundTrip(func(req *http.Request, body []byte) (*http.Response, error) {
		a := told{at: time.Since(s.start), id: req.Header.Get(HeaderID)}
		if err := json.Unmarshal(body, &a); err != nil {
			return nil, err
		}
		s.mu.Lock()
		s.told = append(s.told, a)
		answer := func() (*http.Response, error) { return respond(204, "") }
		if len(s.answers) > 0 {
			answer, s.answers = s.answers[0], s.answers[1:]
		}
		s.mu.Unlock()
		return answer()
	}).RoundTrip(req)
}

func (s *receiverStub) all() []told {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.told)
}

func status(code int, header ...string) func() (*http.Response, error) {
	return func() (*http.Response, error) { return respond(code, "", header...) }
}

func options(t *testing.T, stub http.RoundTripper) Options {
	return Options{URLs: []string{"https://hooks.example.com/x?key=1"}, Events: EventNames, Signer: newSigner(t), Transport: stub}
}

func TestOnlineOffline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stub := newStub()
		h := New(options(t, stub))
		app := core.New(core.Options{GracePeriod: 2 * time.Second})
		h.Watch(app)
		s := newServer(t, app)
		alice := s.dial(t, "alice", "phone")
		bob := s.dial(t, "bob", "laptop")
		time.Sleep(90 * time.Second)
		_ = bob.Close(4000, "enough")
		alice.Drop()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		_ = app.Peer("bob", "laptop") // both are offline by now
		if lost := h.Close(t.Context()); lost != 0 {
			t.Errorf("%d are lost", lost)
		}
		var got []string
		for _, a := range stub.all() {
			if a.Instance == "" || a.Dropped != 0 || !strings.HasPrefix(a.id, "msg_") {
				t.Errorf("got %+v", a)
			}
			got = append(got, fmt.Sprint(a.Type, " ", a.Data.Username, "/", a.Data.UUID, " ", a.Data.Transport, " ", a.Data.Code, " ", a.Data.Reason, " ", a.Data.Seconds))
		}
		slices.Sort(got)
		want := []string{
			"peer.offline alice/phone  1006  92",
			"peer.offline bob/laptop  4000 enough 92",
			"peer.online alice/phone memory 0  0",
			"peer.online bob/laptop memory 0  0",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if got, want := h.Stats()[0], (Stats{URL: "https://hooks.example.com/x", Delivered: 4}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func TestEventsAreChosen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stub := newStub()
		o := options(t, stub)
		o.Events = []string{"offline"}
		h := New(o)
		app := core.New(core.Options{})
		h.Watch(app)
		newServer(t, app).dial(t, "alice", "phone")
		_ = app.Close(true)
		h.Close(t.Context())
		if got := stub.all(); len(got) != 1 || got[0].Type != Offline || got[0].Data.Code != core.CloseGoingAway {
			t.Errorf("got %+v", got)
		}
	})
}

// TestRetries has each kind of failure once.
func TestRetries(t *testing.T) {
	for _, tt := range []struct {
		name     string
		answers  []func() (*http.Response, error)
		attempts int
		least    time.Duration // until the last attempt
		most     time.Duration
		want     Stats
	}{
		{"all is well", nil, 1, 0, 0, Stats{Delivered: 1}},
		{"an error of the server", []func() (*http.Response, error){status(500)}, 2, 500 * time.Millisecond, time.Second, Stats{Delivered: 1, Retried: 1}},
		{"a network that fails", []func() (*http.Response, error){func() (*http.Response, error) { return nil, errors.New("no route") }},
			2, 500 * time.Millisecond, time.Second, Stats{Delivered: 1, Retried: 1}},
		{"waits double", []func() (*http.Response, error){status(500), status(503), status(429), status(408)},
			5, 7500 * time.Millisecond, 15 * time.Second, Stats{Delivered: 1, Retried: 4}},
		{"the receiver asks for time", []func() (*http.Response, error){status(503, "Retry-After", "120")}, 2, 2 * time.Minute, 2 * time.Minute, Stats{Delivered: 1, Retried: 1}},
		{"the receiver asks for too much", []func() (*http.Response, error){status(429, "Retry-After", "86400")}, 2, maxPause, maxPause, Stats{Delivered: 1, Retried: 1}},
		{"a refusal is final", []func() (*http.Response, error){status(400)}, 1, 0, 0, Stats{Rejected: 1}},
		{"a redirection is a refusal", []func() (*http.Response, error){status(307, "Location", "https://elsewhere.example.com/")}, 1, 0, 0, Stats{Rejected: 1}},
		{"until there are enough", []func() (*http.Response, error){status(500), status(500), status(500), status(500), status(500), status(500), status(500), status(500)},
			8, 61 * time.Second, 2 * time.Minute, Stats{Retried: 7, Failed: 1}},
		{"an answer that is too long is one", []func() (*http.Response, error){func() (*http.Response, error) { return respond(200, strings.Repeat("x", 1<<20)) }},
			1, 0, 0, Stats{Delivered: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stub := newStub(tt.answers...)
				h := New(options(t, stub))
				h.send("alice", Online, time.Now(), nil)
				time.Sleep(time.Hour)
				synctest.Wait()
				got := stub.all()
				if len(got) != tt.attempts {
					t.Fatalf("%d attempts, want %d: %+v", len(got), tt.attempts, got)
				}
				if last := got[len(got)-1]; last.at < tt.least || last.at > tt.most || last.id != got[0].id {
					t.Errorf("the last attempt is %+v, want it from %v to %v and with the same id", last, tt.least, tt.most)
				}
				tt.want.URL = "https://hooks.example.com/x"
				if stats := h.Stats()[0]; stats != tt.want {
					t.Errorf("got %+v, want %+v", stats, tt.want)
				}
				h.Close(t.Context())
			})
		})
	}
}

// TestTimeout has a receiver that never answers.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempts := 0
		o := options(t, roundTrip(func(req *http.Request, _ []byte) (*http.Response, error) {
			attempts++
			<-req.Context().Done()
			return nil, req.Context().Err()
		}))
		o.Attempts, o.Timeout = 2, 3*time.Second
		var reports []string
		o.Lost = func(url string, n int, reason string) {
			reports = append(reports, fmt.Sprint(url, " ", n, " ", reason))
		}
		h := New(o)
		h.send("alice", Online, time.Now(), nil)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if want := []string{"https://hooks.example.com/x 1 context deadline exceeded"}; attempts != 2 || !slices.Equal(reports, want) {
			t.Errorf("%d attempts, reported as %q", attempts, reports)
		}
		h.Close(t.Context())
	})
}

// TestOrder fails the first attempt of every event: those of one user are told in order all the same, and nobody waits for another user.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		seen := make(map[string]bool)
		order := make(map[string][]float64)
		running, most := 0, 0
		o := options(t, roundTrip(func(req *http.Request, body []byte) (*http.Response, error) {
			var a told
			if err := json.Unmarshal(body, &a); err != nil {
				return nil, err
			}
			mu.Lock()
			running++
			most = max(most, running)
			again := seen[req.Header.Get(HeaderID)]
			seen[req.Header.Get(HeaderID)] = true
			if again {
				order[a.Data.Username] = append(order[a.Data.Username], a.Data.Seconds)
			}
			mu.Unlock()
			time.Sleep(100 * time.Millisecond)
			mu.Lock()
			running--
			mu.Unlock()
			if again {
				return respond(200, "")
			}
			return respond(502, "")
		}))
		h := New(o)
		const users, events = 20, 5
		for i := range events {
			for u := range users {
				h.send(fmt.Sprint("user", u), Offline, time.Now(), peerOffline{Username: fmt.Sprint("user", u), Seconds: float64(i)})
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if most != 4 {
			t.Errorf("%d calls at a time", most)
		}
		for u := range users {
			if got, want := order[fmt.Sprint("user", u)], []float64{0, 1, 2, 3, 4}; !slices.Equal(got, want) {
				t.Errorf("user %d: got %v, want %v", u, got, want)
			}
		}
		if stats := h.Stats()[0]; stats.Delivered != users*events || stats.Retried != users*events || stats.Queue != 0 {
			t.Errorf("got %+v", stats)
		}
		h.Close(t.Context())
	})
}

// TestQueueIsBounded loses events, and says so in the next one and at most once a minute.
func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func() (*http.Response, error) {
			time.Sleep(time.Second)
			return respond(204, "")
		}
		stub := newStub(slow, slow, slow)
		o := options(t, stub)
		o.Queue = 3
		var lost []int
		o.Lost = func(_ string, n int, _ string) { lost = append(lost, n) }
		h := New(o)
		for i := range 10 {
			h.send(fmt.Sprint("user", i), Online, time.Now(), nil)
		}
		synctest.Wait()
		if got := h.Stats()[0]; got.Queue != 3 || got.Dropped != 7 {
			t.Errorf("got %+v", got)
		}
		time.Sleep(time.Hour)
		h.send("alice", Online, time.Now(), nil)
		synctest.Wait()
		all := stub.all()
		if last := all[len(all)-1]; last.Dropped != 7 {
			t.Errorf("got %+v", last)
		}
		if !slices.Equal(lost, []int{1}) {
			t.Errorf("reported %v", lost)
		}
		h.Close(t.Context())
	})
}

// TestClose flushes what waits for another attempt, and gives up when there is no time.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stub := newStub(status(500), status(500), status(500))
		h := New(options(t, stub))
		h.send("alice", Online, time.Now(), nil)
		h.send("alice", Offline, time.Now(), nil)
		h.send("bob", Online, time.Now(), nil)
		synctest.Wait()
		if lost := h.Close(t.Context()); lost != 1 {
			t.Errorf("%d are lost, want the one that failed again", lost)
		}
		h.send("carol", Online, time.Now(), nil)
		if got := h.Stats()[0]; got.Delivered != 2 || got.Failed != 1 || got.Dropped != 1 || got.Queue != 0 {
			t.Errorf("got %+v", got)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		h := New(options(t, roundTrip(func(req *http.Request, _ []byte) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		})))
		for i := range 10 {
			h.send(fmt.Sprint("user", i), Online, time.Now(), nil)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if lost := h.Close(ctx); lost != 10 {
			t.Errorf("%d are lost", lost)
		}
		if got := h.Stats()[0]; got.Dropped != 10 || got.Queue != 0 {
			t.Errorf("got %+v", got)
		}
	})
}

// TestOverHTTP delivers to a real server, which checks the signature as a receiver does.
func TestOverHTTP(t *testing.T) {
	var mu sync.Mutex
	remotes := make(map[string]bool)
	bodies := make(chan string, 20)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := new(strings.Builder)
		if _, err := fmt.Fprint(body, readAll(r)); err != nil {
			t.Error(err)
		}
		signer := newSigner(t)
		var seconds int64
		if _, err := fmt.Sscan(r.Header.Get(HeaderTimestamp), &seconds); err != nil {
			t.Error(err)
		}
		expected := http.Header{}
		signer.Sign(expected, r.Header.Get(HeaderID), time.Unix(seconds, 0), []byte(body.String()))
		if expected.Get(HeaderSignature) != r.Header.Get(HeaderSignature) || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("got %v", r.Header)
		}
		mu.Lock()
		remotes[r.RemoteAddr] = true
		mu.Unlock()
		bodies <- body.String()
	}))
	defer srv.Close()
	h := New(Options{URLs: []string{srv.URL}, Events: EventNames, Signer: newSigner(t), Concurrency: 1})
	for range cap(bodies) {
		h.send("alice", Online, time.Now(), peerOnline{Username: "alice", UUID: "phone"})
	}
	if lost := h.Close(t.Context()); lost != 0 || len(bodies) != cap(bodies) {
		t.Errorf("%d are lost, %d have come", lost, len(bodies))
	}
	if len(remotes) != 1 {
		t.Errorf("%d connections", len(remotes))
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"":                              0,
		"0":                             0,
		"7":                             7 * time.Second,
		"-7":                            0,
		"1e3":                           0,
		"99999999999999":                0,
		"301":                           maxPause,
		"Wed, 02 Jan 2030 03:04:35 GMT": 30 * time.Second,
		"Wed, 02 Jan 2030 03:03:35 GMT": 0,
		"Wed, 02 Jan 2030 05:04:35 GMT": maxPause,
		"tomorrow":                      0,
	} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}
