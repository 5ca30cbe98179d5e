package metrics

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/protoo-go/protoo/core"
)

// scrape returns what Prometheus would get.
func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler(slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func want(t *testing.T, m *Metrics, lines ...string) {
	t.Helper()
	text := "\n" + scrape(t, m)
	for _, line := range lines {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("lacks %s", line)
		}
	}
	if t.Failed() {
		for line := range strings.SplitSeq(text, "\n") {
			if strings.HasPrefix(line, "protoo_") {
				t.Log(line)
			}
		}
	}
}

func TestRequests(t *testing.T) {
	m := New()
	observe := m.Core().Request
	observe("/users/:name", 200, 20*time.Microsecond)
	observe("/users/:name", 200, 25*time.Microsecond)
	observe("/users/:name", 299, 26*time.Microsecond)
	observe("/users/:name", 404, 3*time.Millisecond)
	observe("/users/:name", 699, time.Hour)
	observe("", 404, 0)
	want(t, m,
		`protoo_requests_total{route="/users/:name",status="200"} 2`,
		`protoo_requests_total{route="/users/:name",status="2xx"} 1`,
		`protoo_requests_total{route="/users/:name",status="404"} 1`,
		`protoo_requests_total{route="/users/:name",status="6xx"} 1`,
		`protoo_requests_total{route="none",status="404"} 1`,
		`protoo_request_duration_seconds_bucket{route="/users/:name",le="2.5e-05"} 2`,
		`protoo_request_duration_seconds_bucket{route="/users/:name",le="0.0001"} 3`,
		`protoo_request_duration_seconds_bucket{route="/users/:name",le="0.0025"} 3`,
		`protoo_request_duration_seconds_bucket{route="/users/:name",le="120"} 4`,
		`protoo_request_duration_seconds_bucket{route="/users/:name",le="+Inf"} 5`,
		`protoo_request_duration_seconds_sum{route="/users/:name"} 3600.003071`,
		`protoo_request_duration_seconds_count{route="/users/:name"} 5`,
	)
}

// TestStatuses counts every status there is once.
func TestStatuses(t *testing.T) {
	m := New()
	for status := range 1000 {
		m.Core().Request("/", status, 0)
	}
	total := uint64(0)
	for name, n := range m.routes.all()[0].statuses() {
		total += n
		if got := len(name); got != 3 {
			t.Errorf("a status is called %q", name)
		}
		if !strings.HasSuffix(name, "xx") && n != 1 {
			t.Errorf("%d requests had the status %s", n, name)
		}
	}
	if total != 500 {
		t.Errorf("%d statuses were counted", total)
	}
}

func TestRoutesAreBounded(t *testing.T) {
	m := New()
	for i := range 3 * maxRoutes {
		m.Core().Request(fmt.Sprintf("/%d", i), 200, 0)
	}
	m.Core().Request("/0", 200, 0)
	m.Core().Request("/\xff", 200, 0)
	if n := len(m.routes.all()); n != maxRoutes+1 {
		t.Errorf("%d routes are told apart", n)
	}
	want(t, m, `protoo_requests_total{route="/0",status="200"} 2`, fmt.Sprintf(`protoo_requests_total{route="other",status="200"} %d`, 2*maxRoutes+1))
}

func TestRoutesThatAreNoText(t *testing.T) {
	m := New()
	m.Core().Request("/\xff", 200, 0)
	want(t, m, `protoo_requests_total{route="/`+"\ufffd"+`",status="200"} 1`)
}

// TestConcurrentRequests counts from many goroutines while somebody looks.
func TestConcurrentRequests(t *testing.T) {
	m := New()
	var all sync.WaitGroup
	const goroutines, each = 8, 2000
	for g := range goroutines {
		all.Go(func() {
			for i := range each {
				m.Core().Request([]string{"/a", "/b", fmt.Sprint("/", g)}[i%3], 200, time.Duration(i)*time.Microsecond)
			}
		})
	}
	for range 5 {
		scrape(t, m)
	}
	all.Wait()
	total := uint64(0)
	for _, r := range m.routes.all() {
		total += r.snapshot().count
	}
	if total != goroutines*each {
		t.Errorf("%d of %d requests were counted", total, goroutines*each)
	}
}

func TestObserveAllocs(t *testing.T) {
	m := New()
	observe := m.Core().Request
	observe("/users/:name", 200, 0)
	if n := testing.AllocsPerRun(1000, func() { observe("/users/:name", 200, time.Millisecond) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestTransport(t *testing.T) {
	m := New()
	o := m.Transport()
	for range 3 {
		o.Opened("ws")
	}
	o.Opened("wt")
	o.Refused("wss", 403)
	o.Refused("wss", 418)
	o.Refused("wss", 799)
	o.Refused("wss", 0)
	o.Closed("ws", 1000, false)
	o.Closed("wt", 4429, true)
	o.Closed("ws", 4711, false)
	o.RTT("ws", 20*time.Millisecond)
	o.RTT("carrier pigeon", time.Hour)
	o.LoopDelay(70 * time.Microsecond)
	want(t, m,
		`protoo_connections{transport="ws"} 1`,
		`protoo_connections{transport="wss"} 0`,
		`protoo_connections{transport="wt"} 0`,
		`protoo_handshakes_total{outcome="accepted",transport="ws"} 3`,
		`protoo_handshakes_total{outcome="403",transport="wss"} 1`,
		`protoo_handshakes_total{outcome="418",transport="wss"} 1`,
		`protoo_handshakes_total{outcome="other",transport="wss"} 1`,
		`protoo_handshakes_total{outcome="aborted",transport="wss"} 1`,
		`protoo_closes_total{code="1000",side="client"} 1`,
		`protoo_closes_total{code="4429",side="server"} 1`,
		`protoo_closes_total{code="other",side="client"} 1`,
		`protoo_round_trip_seconds_bucket{transport="ws",le="0.025"} 1`,
		`protoo_round_trip_seconds_count{transport="wss"} 0`,
		`protoo_loop_delay_seconds_bucket{le="0.0001"} 1`,
	)
}

// TestCodesAreBounded closes with all codes there are.
func TestCodesAreBounded(t *testing.T) {
	m := New()
	for code := range 65536 {
		m.Transport().Closed("ws", code, false)
	}
	n := 0
	for range m.closes.all() {
		n++
	}
	if n > 25 {
		t.Errorf("%d codes are told apart", n)
	}
}

// nowhere is a connection that sends nothing.
type nowhere struct{ err error }

func (n *nowhere) Send([]byte) error     { return n.err }
func (*nowhere) Close(int, string) error { return nil }
func (*nowhere) Resume()                 {}
func (*nowhere) String() string          { return "nowhere" }

func TestTransactions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New()
		app := core.New(core.Options{Observe: m.Core()})
		conn := new(nowhere)
		link, err := app.Connect(core.Identity{Username: "alice", UUID: "1"}, conn)
		if err != nil {
			t.Fatal(err)
		}
		peer, loop := link.Peer(), core.NewLoop(func() {})
		send := func(id string) *core.Transaction {
			req := core.NewRequest("message", "/", nil)
			if err := req.SetID(id); err != nil {
				t.Fatal(err)
			}
			return peer.Send(req)
		}
		for i, status := range []int{200, 202, 404, 503} {
			send(fmt.Sprint(i))
			time.Sleep(time.Second)
			link.Receive(loop, fmt.Appendf(nil, `{"status":%d,"id":"%d"}`, status, i))
		}
		send("canceled").Cancel()
		send("timeout")
		time.Sleep(time.Minute)
		synctest.Wait()
		peer.Send(core.NewRequest("message", "no path", nil))
		conn.err = core.ErrSlow
		send("slow")
		_ = peer.Close(0, "")
		send("offline")
		want(t, m,
			`protoo_transactions_total{outcome="accepted"} 2`,
			`protoo_transactions_total{outcome="rejected"} 2`,
			`protoo_transactions_total{outcome="timeout"} 1`,
			`protoo_transactions_total{outcome="offline"} 1`,
			`protoo_transactions_total{outcome="canceled"} 1`,
			`protoo_transactions_total{outcome="slow"} 1`,
			`protoo_transactions_total{outcome="invalid"} 1`,
			`protoo_transaction_duration_seconds_count 4`,
			`protoo_transaction_duration_seconds_sum 4`,
		)
	})
}

func TestRegister(t *testing.T) {
	m := New()
	m.Register(func(b *Batch) {
		b.Counter("protoo_seen_total", "What was seen.", 3, "kind", "a")
		b.Counter("protoo_seen_total", "What was seen.", 4, "kind", "b")
		b.Bool("protoo_good", "Whether it is good.", true)
		b.Gauge("protoo_broken", "What cannot be collected.", 1, "kind", "\xff")
	})
	// What is broken is left out, the rest is there.
	want(t, m, `protoo_seen_total{kind="a"} 3`, `protoo_seen_total{kind="b"} 4`, `protoo_good 1`)
}

// TestNames has Prometheus' own linter look at what there is.
func TestNames(t *testing.T) {
	m := New()
	m.Core().Request("/", 200, 0)
	m.Transport().Closed("ws", 1000, true)
	problems, err := promlint.New(strings.NewReader(scrape(t, m))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func BenchmarkObserve(b *testing.B) {
	m := New()
	observe := m.Core().Request
	b.Run("alone", func(b *testing.B) {
		for b.Loop() {
			observe("/users/:name", 200, 20*time.Microsecond)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				observe("/users/:name", 200, 20*time.Microsecond)
			}
		})
	})
}

// BenchmarkRequest answers requests that were read sixteen at a time, with and without metrics.
func BenchmarkRequest(b *testing.B) {
	for name, o := range map[string]core.Options{"plain": {}, "counted": {Observe: New().Core()}} {
		b.Run(name, func(b *testing.B) {
			app := core.New(o)
			app.Use("/echo", func(req *core.Request, _ core.Next) error { return req.Reply(200, "OK", req.Data()) })
			link, err := app.Connect(core.Identity{Username: "alice", UUID: "1"}, new(nowhere))
			if err != nil {
				b.Fatal(err)
			}
			loop := core.NewLoop(func() {})
			msg := []byte(`{"method":"message","path":"/echo","id":"1","data":{"text":"` + strings.Repeat("x", 128) + `"}}`)
			for i := 0; b.Loop(); i++ {
				if i%16 == 0 {
					loop.Read()
				}
				link.Receive(loop, msg)
			}
		})
	}
}
