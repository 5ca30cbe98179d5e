package health

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// checks asks a state over HTTP and returns the status and the checks that have failed.
func checks(t *testing.T, s *State) (int, []string) {
	t.Helper()
	w := httptest.NewRecorder()
	s.ServeReady(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", nil))
	var body struct {
		Ready   bool
		Reasons []Reason
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	if body.Ready != (w.Code == http.StatusOK) {
		t.Errorf("status %d, but ready is %v", w.Code, body.Ready)
	}
	var failed []string
	for _, r := range body.Reasons {
		if r.Detail == "" {
			t.Errorf("%s has no detail", r.Check)
		}
		failed = append(failed, r.Check)
	}
	return w.Code, failed
}

func expect(t *testing.T, s *State, want ...string) {
	t.Helper()
	wanted := http.StatusOK
	if len(want) > 0 {
		wanted = http.StatusServiceUnavailable
	}
	if status, failed := checks(t, s); status != wanted || !slices.Equal(failed, want) {
		t.Errorf("got %d %q, want %d %q", status, failed, wanted, want)
	}
}

func TestReady(t *testing.T) {
	s := new(State)
	expect(t, s)
	s.LoseListener("addr", errors.New("closed"))
	expect(t, s, "listener addr")
	s.SetDraining()
	expect(t, s, "draining", "listener addr")
	s.Clear("listener addr")
	expect(t, s, "draining")
}

func TestLiveWhileDraining(t *testing.T) {
	s := new(State)
	s.SetDraining()
	w := httptest.NewRecorder()
	s.ServeLive(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/livez", nil))
	if w.Code != http.StatusOK || w.Body.String() != "{\"live\":true}\n" {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestDescriptors(t *testing.T) {
	for _, c := range []struct {
		open, limit uint64
		few         bool
	}{
		{10, 0, false}, // not known
		{0, 1024, false},
		{960, 1024, false},
		{961, 1024, true},
		{999_744, 1_000_000, false},
		{999_745, 1_000_000, true},
		{1_000_001, 1_000_000, true},
		{3, 4, false},
		{4, 4, false}, // a sixteenth of nothing
	} {
		if got := judge(c.open, c.limit); (got.Check != "") != c.few {
			t.Errorf("%d of %d: %q", c.open, c.limit, got.Detail)
		}
	}
}

func TestDescriptorsAreLookedAtOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls int
		open := uint64(1000)
		s := &State{Descriptors: func() (uint64, uint64) { calls++; return open, 1000 }}
		for range 5 {
			expect(t, s, "descriptors")
		}
		if calls != 1 {
			t.Errorf("%d looks in the same second", calls)
		}
		open = 0
		time.Sleep(time.Second)
		expect(t, s)
		if calls != 2 {
			t.Errorf("%d looks in two seconds", calls)
		}
	})
}

func TestStarvationLastsAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(State)
		s.Starve()
		expect(t, s, "descriptors")
		time.Sleep(time.Minute - time.Nanosecond)
		expect(t, s, "descriptors")
		time.Sleep(time.Nanosecond)
		expect(t, s)
	})
}

func TestCountDescriptors(t *testing.T) {
	before, limit := CountDescriptors()
	if limit == 0 {
		if runtime.GOOS == "linux" {
			t.Fatal("no limit is known")
		}
		return // the system has none
	}
	const more = 20
	for range more {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
	}
	if after, _ := CountDescriptors(); after < before+more {
		t.Errorf("%d descriptors, and %d after %d files were opened", before, after, more)
	}
}
