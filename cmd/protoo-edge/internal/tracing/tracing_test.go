package tracing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/core/coretest"
)

func TestMain(m *testing.M) { coretest.Main(m) }

// collector keeps the spans that it is sent.
type collector struct {
	mu     sync.Mutex
	status int
	spans  []map[string]any
	tokens []string // Authorization headers
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tokens = append(c.tokens, r.Header.Get("Authorization"))
	if c.status != 0 {
		http.Error(w, "overloaded", c.status)
		return
	}
	var body struct {
		ResourceSpans []struct {
			Resource   any
			ScopeSpans []struct{ Spans []map[string]any }
		}
	}
	text, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(text, &body)
	}
	if err != nil || r.Header.Get("Content-Type") != "application/json" {
		http.Error(w, fmt.Sprint(err), http.StatusBadRequest)
		return
	}
	for _, resource := range body.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			c.spans = append(c.spans, scope.Spans...)
		}
	}
	fmt.Fprint(w, "{}")
}

// describe writes a span on a line, with what does not change from one run to the next.
func describe(s map[string]any) string {
	var b strings.Builder
	fmt.Fprint(&b, s["name"])
	var attributes []string
	for _, a := range s["attributes"].([]any) {
		a := a.(map[string]any)
		for _, v := range a["value"].(map[string]any) {
			attributes = append(attributes, fmt.Sprintf("%v=%v", a["key"], v))
		}
	}
	slices.Sort(attributes)
	fmt.Fprint(&b, " ", attributes)
	if events, ok := s["events"].([]any); ok {
		fmt.Fprint(&b, " events=", len(events))
	}
	if status := s["status"].(map[string]any); len(status) > 0 {
		fmt.Fprint(&b, " ", status["code"])
	}
	return b.String()
}

// conn is a connection whose other end keeps what it is sent.
type conn struct {
	mu   sync.Mutex
	sent []string
}

func (c *conn) Send(msg []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, string(msg))
	return nil
}
func (c *conn) Close(int, string) error { return nil }
func (c *conn) Resume()                 {}
func (c *conn) String() string          { return "ws/192.0.2.1:1234" }

func (c *conn) last() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent[len(c.sent)-1]
}

func connect(t *testing.T, app *core.App, username string) (*core.Link, *conn) {
	t.Helper()
	c := new(conn)
	l, err := app.Connect(core.Identity{Username: username, UUID: "phone"}, c)
	if err != nil {
		t.Fatal(err)
	}
	return l, c
}

const (
	sampled   = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
)

// direct is a network that consists of one handler.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w.Result(), nil
}

func TestSpans(t *testing.T) { synctest.Test(t, testSpans) }

func testSpans(t *testing.T) {
	to := new(collector)
	tracer := New(Options{Endpoint: "http://collector", Headers: map[string]string{"Authorization": "Bearer s"}, Percent: 100, Service: "edge", Version: "1"})
	tracer.out.client.Transport = direct{to}
	app := core.New(core.Options{})
	app.Use("/", tracer.Handle)
	app.Message("/echo", func(req *core.Request, _ core.Next) error { return req.Reply(200, "OK") })
	app.Message("/fails", func(*core.Request, core.Next) error { return errors.New("broken") })
	app.Message("/slow", func(req *core.Request, _ core.Next) error {
		for range 2 * maxEvents {
			_ = req.Reply(100, "trying")
		}
		return req.Reply(200, "OK")
	})
	app.Message("/never", func(*core.Request, core.Next) error { return nil })
	app.Message("/users/:name", func(req *core.Request, _ core.Next) error {
		core.Forward(req, app.Peer(req.Param("name"), "phone"))
		return nil
	})
	alice, _ := connect(t, app, "alice")
	bob, toBob := connect(t, app, "bob")
	loop := core.NewLoop(func() {})
	ask := func(path, trace string) {
		if trace != "" {
			trace = `,"traceparent":"` + trace + `"`
		}
		alice.Receive(loop, []byte(`{"method":"message","path":"`+path+`","id":"1"`+trace+`}`))
	}
	ask("/echo", "")
	ask("/echo", unsampled)
	ask("/fails", "")
	ask("/slow", "")
	ask("/nowhere", "")
	ask("/users/bob", sampled)
	forwarded := toBob.last()
	bob.Receive(loop, []byte(`{"status":200,"id":"1"}`))
	ask("/users/bob", unsampled)
	if last := toBob.last(); !strings.Contains(last, unsampled) {
		t.Errorf("a request that is not traced is forwarded as %s", last)
	}
	bob.Receive(loop, []byte(`{"status":200,"id":"1"}`))
	ask("/never", "")
	_ = alice.Peer().Close(0, "")
	synctest.Wait()
	tracer.Close(t.Context())

	const common = "protoo.transport=ws rpc.method=message rpc.system=protoo]"
	var got []string
	for _, s := range to.spans {
		got = append(got, describe(s))
	}
	slices.Sort(got)
	if want := []string{
		"message /echo [protoo.route=/echo protoo.status=200 " + common,
		"message /fails [protoo.route=/fails protoo.status=500 " + common + " 2",
		"message /slow [protoo.route=/slow protoo.status=200 " + common + " events=32",
		"message /users/:name [protoo.route=/users/:name protoo.status=200 " + common,
		"message [protoo.status=404 " + common,
		"message [" + common + " 2",
	}; !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	ids := regexp.MustCompile(`^[0-9a-f]{32} [0-9a-f]{16}$`)
	for _, s := range to.spans {
		if id := fmt.Sprint(s["traceId"], " ", s["spanId"]); !ids.MatchString(id) {
			t.Errorf("a span is %s", id)
		}
		if s["name"] != "message /users/:name" {
			continue
		}
		if s["traceId"] != sampled[3:35] || s["parentSpanId"] != sampled[36:52] {
			t.Errorf("a span of %v is a child of %v", s["traceId"], s["parentSpanId"])
		}
		if child := fmt.Sprintf(`"traceparent":"00-%v-%v-01"`, s["traceId"], s["spanId"]); !strings.Contains(forwarded, child) {
			t.Errorf("forwarded as %s, want %s", forwarded, child)
		}
	}
	if sent, lost := tracer.Stats(); sent != 6 || lost != 0 {
		t.Errorf("%d spans were sent and %d lost", sent, lost)
	}
	if len(to.tokens) == 0 || to.tokens[0] != "Bearer s" {
		t.Errorf("the collector got the tokens %q", to.tokens)
	}
}

func TestNothingIsTraced(t *testing.T) {
	tracer := New(Options{Endpoint: "http://127.0.0.1:1/", Percent: 0})
	app := core.New(core.Options{})
	app.Use("/", tracer.Handle, func(req *core.Request, _ core.Next) error {
		if req.TraceParent() != "" {
			t.Errorf("the request is part of %s", req.TraceParent())
		}
		return req.Reply(200, "OK")
	})
	alice, c := connect(t, app, "alice")
	alice.Receive(core.NewLoop(func() {}), []byte(`{"method":"message","path":"/","id":1}`))
	if got := c.last(); !strings.HasPrefix(got, `{"status":200`) {
		t.Errorf("got %s", got)
	}
	tracer.Close(t.Context())
	if sent, lost := tracer.Stats(); sent != 0 || lost != 0 {
		t.Errorf("%d spans were sent and %d lost", sent, lost)
	}
}

func TestPeersAreToldOfWhenAsked(t *testing.T) {
	to := new(collector)
	server := httptest.NewServer(to)
	defer server.Close()
	tracer := New(Options{Endpoint: server.URL, Percent: 100, Peers: true})
	app := core.New(core.Options{})
	app.Use("/", tracer.Handle, func(req *core.Request, _ core.Next) error { return req.Reply(200, "OK") })
	alice, _ := connect(t, app, "alice")
	alice.Receive(core.NewLoop(func() {}), []byte(`{"method":"message","path":"/","id":1}`))
	tracer.Close(t.Context())
	if len(to.spans) != 1 || !strings.Contains(describe(to.spans[0]), "enduser.id=alice protoo.peer.uuid=phone") {
		t.Errorf("got %v", to.spans)
	}
}

// TestBrokenCollector has one that refuses, and then one that is not there.
func TestBrokenCollector(t *testing.T) {
	to := &collector{status: http.StatusServiceUnavailable}
	server := httptest.NewServer(to)
	var mu sync.Mutex
	var reports []string
	report := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		reports = append(reports, err.Error())
	}
	for range 2 {
		tracer := New(Options{Endpoint: server.URL, Percent: 100, Report: report})
		for range 3 {
			tracer.out.add(&span{})
		}
		tracer.Close(t.Context())
		tracer.out.add(&span{})
		if sent, lost := tracer.Stats(); sent != 0 || lost != 4 {
			t.Errorf("%d spans were sent and %d lost", sent, lost)
		}
		server.Close()
	}
	if len(reports) != 2 || !strings.Contains(reports[0], `503 Service Unavailable: "overloaded`) || !strings.Contains(reports[1], "does not answer") {
		t.Errorf("reported %q", reports)
	}
}

// TestHangingCollector has one that takes connections and says nothing: whoever makes spans does not wait, and closing ends in time.
func TestHangingCollector(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	tracer := New(Options{Endpoint: "http://" + l.Addr().String(), Percent: 100})
	for range 2*maxWaiting + maxBatch {
		tracer.out.add(&span{})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	tracer.Close(ctx)
	if sent, lost := tracer.Stats(); sent != 0 || lost != 2*maxWaiting+maxBatch {
		t.Errorf("%d spans were sent and %d lost", sent, lost)
	}
}

// TestReportsAreRare makes batches fail for an hour.
func TestReportsAreRare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reports := 0
		tracer := New(Options{Endpoint: "http://[", Report: func(error) { reports++ }}) // fails without a network
		for range 3600 {
			tracer.out.add(&span{})
			time.Sleep(time.Second)
		}
		synctest.Wait()
		tracer.Close(t.Context())
		if reports < 50 || reports > 61 {
			t.Errorf("%d reports", reports)
		}
		if _, lost := tracer.Stats(); lost != 3600 {
			t.Errorf("%d spans are lost", lost)
		}
	})
}
