package webhook

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protoo-go/protoo/core"
)

func readAll(r *http.Request) string {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func TestForward(t *testing.T) {
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, tt := range []struct {
		name   string
		status int
		body   string
		want   string
	}{
		{"an answer", 200, `{"status": 404, "reason": "no such order", "data": {"order": 7}}`, `{"status":404,"reason":"no such order","id":"a","data":{"order": 7}}`},
		{"an answer without reason and data", 200, `{"status": 202}`, `{"status":202,"reason":"","id":"a"}`},
		{"an answer with null", 200, `{"status": 200, "reason": null, "data": null}`, `{"status":200,"reason":"","id":"a","data":null}`},
		{"any other JSON", 201, "[1,\n2]", `{"status":200,"reason":"OK","id":"a","data":[1,2]}`},
		{"an object with a status of its own", 200, `{"status": "shipped"}`, `{"status":200,"reason":"OK","id":"a","data":{"status": "shipped"}}`},
		{"an object with more than an answer has", 200, `{"status": 3, "order": 7}`, `{"status":200,"reason":"OK","id":"a","data":{"status": 3, "order": 7}}`},
		{"a text that is text", 200, `"<b>ä"`, `{"status":200,"reason":"OK","id":"a","data":"<b>ä"}`},
		{"nothing", 204, "", `{"status":200,"reason":"OK","id":"a"}`},
		{"no JSON", 200, "<html>", `{"status":502,"reason":"the back end did not answer as it should","id":"a"}`},
		{"a provisional status", 200, `{"status": 100}`, `{"status":502,"reason":"the back end did not answer as it should","id":"a"}`},
		{"half a status", 200, `{"status": 200.5}`, `{"status":502,"reason":"the back end did not answer as it should","id":"a"}`},
		{"a reason that is none", 200, `{"status": 200, "reason": 7}`, `{"status":502,"reason":"the back end did not answer as it should","id":"a"}`},
		{"data that is nested too deep", 200, strings.Repeat("[", 100) + strings.Repeat("]", 100), `{"status":502,"reason":"the back end gave an answer that cannot be sent","id":"a"}`},
		{"too much", 200, `"` + strings.Repeat("x", 64<<10) + `"`, `{"status":502,"reason":"the back end did not answer as it should","id":"a"}`},
		{"a redirection", 302, "", `{"status":502,"reason":"the back end answered 302","id":"a"}`},
		{"an error", 500, `{"status": 200}`, `{"status":502,"reason":"the back end answered 500","id":"a"}`},
		{"it is busy", 429, "", `{"status":503,"reason":"the back end is busy","id":"a"}`},
		{"it has waited in vain", 504, "", `{"status":504,"reason":"the back end did not answer in time","id":"a"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var asked string
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked = readAll(r)
				if r.Header.Get(HeaderSignature) == "" || r.Header.Get(HeaderID) == "" || r.Header.Get("Traceparent") != trace {
					t.Errorf("got %v", r.Header)
				}
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			}))
			defer srv.Close()
			f := NewForwarder(ForwardOptions{URL: srv.URL, Signer: newSigner(t)})
			defer f.poster.close()
			app := core.New(core.Options{})
			app.Use("/orders", f.Handle)
			c := newServer(t, app).dial(t, "alice", "phone")
			got := request(t, c, `{"method":"message","path":"/orders/7","id":"a","data":{"x":"<"},"traceparent":"`+trace+`"}`)
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			const want = `{"method":"message","path":"/orders/7","id":"a","data":{"x":"<"},"sender":{"username":"alice","uuid":"phone"},` +
				`"connection":{"transport":"memory","address":`
			if !strings.HasPrefix(asked, want) {
				t.Errorf("the back end was asked %s, want %s...", asked, want)
			}
		})
	}
}

// TestForwardLimits has a back end that never answers.
func TestForwardLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended atomic.Int32
		var reports []string
		f := NewForwarder(ForwardOptions{
			URL: "https://back.example.com/?key=1", Signer: newSigner(t), Concurrency: 2,
			Failed: func(url string, _ int, reason string) { reports = append(reports, url+": "+reason) },
			Transport: roundTrip(func(req *http.Request, _ []byte) (*http.Response, error) {
				<-req.Context().Done()
				ended.Add(1)
				return nil, req.Context().Err()
			}),
		})
		app := core.New(core.Options{})
		app.Use("/", f.Handle)
		s := newServer(t, app)
		alice, bob := s.dial(t, "alice", "phone"), s.dial(t, "bob", "laptop")
		for _, id := range []string{"1", "2"} {
			if err := bob.Send([]byte(`{"method":"message","path":"/x","id":` + id + `}`)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if got := request(t, alice, `{"method":"message","path":"/x","id":1}`); got != `{"status":503,"reason":"too many requests are being forwarded","id":1}` {
			t.Errorf("got %s", got)
		}
		bob.Drop()
		synctest.Wait()
		if n := ended.Load(); n != 2 {
			t.Errorf("%d calls have ended with the peer", n)
		}
		start := time.Now()
		if got := request(t, alice, `{"method":"message","path":"/x","id":2}`); got != `{"status":504,"reason":"the back end did not answer in time","id":2}` || time.Since(start) != 5*time.Second {
			t.Errorf("got %s after %v", got, time.Since(start))
		}
		if want := (ForwardStats{URL: "https://back.example.com/", Refused: 1, Timeouts: 1, Canceled: 2}); f.Stats() != want {
			t.Errorf("got %+v, want %+v", f.Stats(), want)
		}
		if len(reports) != 1 || reports[0] != "https://back.example.com/: no answer in 5s" {
			t.Errorf("reported %q", reports)
		}
		_ = app.Close(true)
	})
}

// TestErrorsHaveNoURL looks for the query of a URL in what is reported about it.
func TestErrorsHaveNoURL(t *testing.T) {
	var report string
	f := NewForwarder(ForwardOptions{
		URL: "https://back.example.com/?key=hunter2", Signer: newSigner(t),
		Failed:    func(url string, _ int, reason string) { report = url + reason },
		Transport: roundTrip(func(*http.Request, []byte) (*http.Response, error) { return nil, errors.New("connection refused") }),
	})
	app := core.New(core.Options{})
	app.Use("/", f.Handle)
	got := request(t, newServer(t, app).dial(t, "alice", "phone"), `{"method":"message","path":"/x","id":1}`)
	if got != `{"status":502,"reason":"the back end cannot be reached","id":1}` || report != "https://back.example.com/connection refused" {
		t.Errorf("got %s, reported %q", got, report)
	}
}

func FuzzReadAnswer(f *testing.F) {
	for _, seed := range []string{"", "null", `{"status":200}`, `{"status":200,"reason":"x","data":[1]}`, `{"status":7e2}`, `{"status":-1}`, `{"STATUS":1}`, `[`, `{"status":200,"status":"x"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		status, reason, data, err := readAnswer(body)
		if err != nil {
			if status != 0 || reason != "" || data != nil {
				t.Errorf("got %d %q %s with %v", status, reason, data, err)
			}
			return
		}
		if status < 200 || status > 699 {
			t.Errorf("got the status %d", status)
		}
	})
}
