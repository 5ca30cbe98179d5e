package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protoo-go/protoo/core"
)

func decode(t *testing.T, text string, v any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// after is a peer that waits before it answers.
func after(d time.Duration, fields string) func(map[string]any, func(string)) {
	return func(_ map[string]any, send func(string)) {
		time.Sleep(d)
		send(fields)
	}
}

func TestSend(t *testing.T) {
	const (
		yes  = `"status":200,"reason":"read","data":{"x":"<"}`
		no   = `"status":486,"reason":"busy"`
		hers = `"username":"alice","uuid":`
	)
	ringing := func(_ map[string]any, send func(string)) {
		for i := range 20 {
			send(fmt.Sprintf(`"status":180,"reason":"ringing","data":%d`, i))
		}
		send(yes)
	}
	var manyRings []string
	for i := range maxProvisional {
		manyRings = append(manyRings, fmt.Sprintf(`{"status":180,"reason":"ringing","data":%d}`, i))
	}
	type devices map[string]func(map[string]any, func(string))
	for _, tt := range []struct {
		name    string
		devices devices
		options string
		want    string
		takes   time.Duration
	}{
		{"one device", devices{"phone": says(yes)}, ``, `[{` + hers + `"phone","status":200,"reason":"read","data":{"x":"<"},"local":false}]`, 0},
		{"one of them", devices{"phone": says(yes), "tablet": says(no)}, `,"uuid":"tablet"`, `[{` + hers + `"tablet","status":486,"reason":"busy","local":false}]`, 0},
		{"null as data", devices{"phone": says(`"status":200,"data":null`)}, ``, `[{` + hers + `"phone","status":200,"reason":"","data":null,"local":false}]`, 0},
		{"without provisional responses", devices{"phone": ringing}, ``, `[{` + hers + `"phone","status":200,"reason":"read","data":{"x":"<"},"local":false}]`, 0},
		{"with provisional responses", devices{"phone": ringing}, `,"provisional":true`,
			`[{` + hers + `"phone","status":200,"reason":"read","data":{"x":"<"},"local":false,"provisional":[` + strings.Join(manyRings, ",") + `]}]`, 0},
		{"the first that accepts", devices{"phone": after(2*time.Second, yes), "tablet": says(no), "watch": after(3*time.Second, yes)}, ``,
			`[{` + hers + `"phone","status":200,"reason":"read","data":{"x":"<"},"local":false}]`, 2 * time.Second},
		{"none accepts", devices{"phone": after(2*time.Second, no), "tablet": after(time.Second, `"status":404,"reason":"what?"`), "watch": after(time.Hour, no)}, `,"timeoutMs":5000`,
			`[{` + hers + `"tablet","status":404,"reason":"what?","local":false}]`, 5 * time.Second},
		{"none answers", devices{"phone": nil}, `,"timeoutMs":1500`, `[{` + hers + `"phone","status":408,"reason":"sending timeout","local":true}]`, 1500 * time.Millisecond},
		{"the usual timeout", devices{"phone": nil}, ``, `[{` + hers + `"phone","status":408,"reason":"sending timeout","local":true}]`, 10 * time.Second},
		{"too much data", devices{"phone": says(`"status":200,"data":"` + strings.Repeat("x", maxData) + `"`)}, ``, `[{` + hers + `"phone","status":200,"reason":"","omitted":true,"local":false}]`, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, nil)
				for uuid, answer := range tt.devices {
					f.peer(t, "alice", uuid, answer)
				}
				f.peer(t, "bob", "phone", says(no))
				start := time.Now()
				got := f.call(t, "POST", "/v1/send", `{"username":"alice","method":"message","path":"/x"`+tt.options+`}`)
				if want := `{"responses":` + tt.want + "}\n"; got.status != 200 || got.body != want {
					t.Errorf("got %d %s, want %s", got.status, got.body, want)
				}
				if d := time.Since(start); d != tt.takes {
					t.Errorf("it took %v, want %v", d, tt.takes)
				}
				if r := f.records[0]; r.Operation != "send" || !r.Changes || r.Target[:5] != "alice" || r.Status != 200 {
					t.Errorf("recorded as %+v", r)
				}
				_ = f.app.Close(true)
				time.Sleep(2 * time.Hour) // for the peers that sleep
			})
		})
	}
}

// TestSendIsWhatWasAsked looks at the request that the peer gets.
func TestSendIsWhatWasAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		var got map[string]any
		f.peer(t, "alice", "phone", func(req map[string]any, send func(string)) {
			got = req
			send(`"status":200`)
		})
		f.call(t, "POST", "/v1/send", "{\"username\":\"alice\",\"method\":\"notify\",\"path\":\"/orders/7\",\"data\":{\n\"state\":[\"paid\"]}}")
		if got["method"] != "notify" || got["path"] != "/orders/7" || fmt.Sprint(got["data"]) != "map[state:[paid]]" || got["sender"] != nil {
			t.Errorf("the peer got %v", got)
		}
		_ = f.app.Close(true)
	})
}

func TestSendToAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.peer(t, "alice", "phone", after(time.Second, `"status":200`))
		f.peer(t, "alice", "tablet", says(`"status":486`))
		f.peer(t, "alice", "watch", nil)
		leaves := f.peer(t, "alice", "old", nil)
		go func() {
			time.Sleep(time.Second)
			_ = leaves.Close(1000, "")
		}()
		got := f.call(t, "POST", "/v1/send", `{"username":"alice","method":"message","path":"/x","answers":"all","timeoutMs":3000}`)
		var all sent
		decode(t, got.body, &all)
		status := make(map[string]string)
		for _, r := range all.Responses {
			status[r.UUID] = fmt.Sprint(r.Status, r.Local)
		}
		if want := "map[old:410 true phone:200 false tablet:486 false watch:408 true]"; fmt.Sprint(status) != want {
			t.Errorf("got %v", status)
		}
		_ = f.app.Close(true)
	})
}

func TestTooManyDevices(t *testing.T) {
	f := newFixture(t, nil)
	for i := range maxDevices + 1 {
		f.peer(t, "alice", fmt.Sprint(i), nil)
	}
	if got := f.call(t, "POST", "/v1/send", aMessage); got.status != 422 || !strings.Contains(got.body, "the user has 65 devices, at most 64 are asked in one call") {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

// TestSendEnds ends calls that wait: with the server, with who called, and with the time that the server gives.
func TestSendEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(o *Options) {
			o.MaxWait, o.MaxCalls = 5*time.Second, 2
			o.Timeout = func(method string) time.Duration {
				if method == "brief" {
					return time.Second
				}
				return time.Hour
			}
		})
		f.peer(t, "alice", "phone", nil)
		for method, want := range map[string]time.Duration{"brief": time.Second, "message": 5 * time.Second} {
			start := time.Now()
			f.call(t, "POST", "/v1/send", `{"username":"alice","method":"`+method+`","path":"/x"}`)
			if d := time.Since(start); d != want {
				t.Errorf("%s: waited %v", method, d)
			}
		}

		gone, leave := context.WithCancel(t.Context())
		ended := make(chan result, 2)
		go func() { ended <- f.callWithout(gone, "POST", "/v1/send", aMessage) }()
		go func() { ended <- f.callWithout(t.Context(), "POST", "/v1/send", aMessage) }()
		synctest.Wait()
		if got := f.call(t, "GET", "/v1/peers", ""); got.status != 503 || !strings.Contains(got.body, `"code":"busy"`) || got.header.Get("Retry-After") != "1" {
			t.Errorf("got %d %s", got.status, got.body)
		}
		leave()
		if got := <-ended; got.body != "" {
			t.Errorf("who has gone got %s", got.body)
		}
		f.Drain()
		if got := f.call(t, "GET", "/v1/peers", ""); got.status != 200 {
			t.Errorf("got %d %s", got.status, got.body)
		}
		if got := f.call(t, "POST", "/v1/send", aMessage); got.status != 503 || !strings.Contains(got.body, `"code":"draining"`) {
			t.Errorf("got %d %s", got.status, got.body)
		}
		f.Close()
		if got := <-ended; got.status != 503 || !strings.Contains(got.body, `"code":"draining"`) {
			t.Errorf("got %d %s", got.status, got.body)
		}
		if got := f.call(t, "GET", "/v1/peers", ""); got.status != 503 {
			t.Errorf("got %d %s", got.status, got.body)
		}
		counts := make(map[int]uint64)
		for _, c := range f.Stats().Calls {
			if c.Operation == "send" {
				counts[c.Status] = c.Count
			}
		}
		if fmt.Sprint(counts) != "map[200:2 499:1 503:2]" {
			t.Errorf("counted %v", counts)
		}
		_ = f.app.Close(true)
	})
}

func TestBroadcast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		got := make(chan string, 10)
		for _, name := range []string{"alice/phone", "alice/tablet", "bob/laptop", "carol/phone"} {
			username, uuid, _ := strings.Cut(name, "/")
			f.peer(t, username, uuid, func(req map[string]any, send func(string)) {
				got <- name + fmt.Sprint(req["path"], req["data"])
				send(`"status":404`)
			})
		}
		res := f.call(t, "POST", "/v1/broadcast", `{"method":"message","path":"/x","data":7,"to":[{"username":"alice"},{"username":"bob","uuid":"laptop"},{"username":"bob","uuid":"x"},{"username":"dave"}]}`)
		synctest.Wait()
		if res.status != 200 || res.body != "{\"sent\":3,\"absent\":2}\n" || len(got) != 3 || f.records[0].Target != "4 targets" {
			t.Errorf("got %d %s, and %d got it", res.status, res.body, len(got))
		}
		res = f.call(t, "POST", "/v1/broadcast", `{"method":"message","path":"/x","all":true}`)
		synctest.Wait()
		if res.status != 200 || res.body != "{\"sent\":4,\"absent\":0}\n" || len(got) != 7 || f.records[1].Target != "all" {
			t.Errorf("got %d %s, and %d got it", res.status, res.body, len(got)-3)
		}
		_ = f.app.Close(true)
	})
}

func TestOfflineMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.peer(t, "alice", "phone", nil)
		go func() {
			time.Sleep(time.Second)
			_ = f.app.Peer("alice", "phone").Close(core.CloseRestart, "")
		}()
		if got := f.call(t, "POST", "/v1/send", aMessage); got.body != `{"responses":[{"username":"alice","uuid":"phone","status":410,"reason":"peer offline","local":true}]}`+"\n" {
			t.Errorf("got %d %s", got.status, got.body)
		}
		_ = f.app.Close(true)
	})
}

// deadlines is a connection's deadlines.
type deadlines struct {
	*httptest.ResponseRecorder
	read, write time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.read = t
	return nil
}

func (d *deadlines) SetWriteDeadline(t time.Time) error {
	d.write = t
	return nil
}

// TestDeadlines waits for a peer for longer than the HTTP server allows calls to take.
func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.peer(t, "alice", "phone", nil)
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/send", strings.NewReader(`{"username":"alice","method":"message","path":"/x","timeoutMs":60000}`))
		r.Header.Set("Authorization", "Bearer "+testKey)
		r.Header.Set("Content-Type", "application/json")
		w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
		f.ServeHTTP(w, r)
		if now := time.Now(); w.Code != 200 || !w.read.After(now) || !w.write.After(now) {
			t.Errorf("got %d, at %v with the deadlines %v and %v", w.Code, now, w.read, w.write)
		}
		_ = f.app.Close(true)
	})
}
