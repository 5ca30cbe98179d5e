package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/core/coretest"
	"github.com/protoo-go/protoo/transports/memory"
)

func TestMain(m *testing.M) { coretest.Main(m) }

const testKey = "key-of-the-tests-0123456789"

// documented is the OpenAPI document, by which everything that the tests send and get is checked.
var documented = func() *openapi3.T {
	doc, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		panic(err)
	}
	return doc
}()

var router = func() routers.Router {
	r, err := legacy.NewRouter(documented)
	if err != nil {
		panic(err)
	}
	return r
}()

// fixture is a server of the API, with the peers that it reaches.
type fixture struct {
	*Server
	app     *core.App
	net     *memory.Transport
	records []*Record
}

func newFixture(t testing.TB, change func(*Options)) *fixture {
	t.Helper()
	app := core.New(core.Options{})
	f := &fixture{app: app, net: memory.New(app, func(r *core.ConnectRequest) (core.Identity, error) {
		return core.Identity{Username: r.QueryValue("username"), UUID: r.QueryValue("uuid")}, nil
	}, memory.Options{MaxMessage: 2 * maxData, QueueSize: 4 * maxData})}
	app.Attach(f.net)
	o := Options{
		App:   app,
		Keys:  []Key{{Name: "tests", Hash: Hash(testKey)}},
		Audit: func(r *Record) { f.records = append(f.records, r) },
	}
	if change != nil {
		change(&o)
	}
	f.Server = New(o)
	t.Cleanup(func() {
		f.Close()
		_ = app.Close(true)
	})
	return f
}

// peer connects a client that answers requests, each with a goroutine of its own; nil does not answer.
func (f *fixture) peer(t *testing.T, username, uuid string, answer func(req map[string]any, send func(string))) *memory.Conn {
	t.Helper()
	c, err := f.net.Dial(t.Context(), core.ConnectRequest{Query: map[string][]string{"username": {username}, "uuid": {uuid}}})
	if err != nil {
		t.Fatal(err)
	}
	if answer != nil {
		go func() {
			for {
				text, err := c.Receive(context.Background())
				if err != nil {
					return
				}
				var req map[string]any
				if err := json.Unmarshal(text, &req); err != nil {
					t.Error(err)
				}
				id, _ := json.Marshal(req["id"])
				go answer(req, func(fields string) { _ = c.Send([]byte(`{` + fields + `,"id":` + string(id) + `}`)) })
			}
		}()
	}
	return c
}

// says makes a peer that answers with these fields.
func says(fields string) func(map[string]any, func(string)) {
	return func(_ map[string]any, send func(string)) { send(fields) }
}

// result is the answer to a call.
type result struct {
	status int
	header http.Header
	body   string
}

// call makes a call, and compares it with the document.
func (f *fixture) call(t *testing.T, method, target, body string, header ...string) result {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+testKey)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		if header[i+1] == "" {
			r.Header.Del(header[i])
			continue
		}
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	got := result{w.Code, w.Header(), w.Body.String()}
	compliant(t, r, body, got)
	return got
}

// compliant compares a call with the document: a request that was taken has to be valid, and the answer always has to be.
func compliant(t *testing.T, r *http.Request, body string, got result) {
	t.Helper()
	route, params, err := router.FindRoute(r)
	if err != nil {
		if got.status != http.StatusNotFound && got.status != http.StatusMethodNotAllowed {
			t.Errorf("%s %s is not documented, and was answered with %d", r.Method, r.URL, got.status)
		}
		return
	}
	in := &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	}
	r.Body = io.NopCloser(strings.NewReader(body))
	err = openapi3filter.ValidateRequest(context.Background(), in)
	if err != nil && got.status < 300 {
		t.Errorf("%s %s %s was taken, and the document does not allow it: %v", r.Method, r.URL, body, err)
	}
	if err == nil && got.status == http.StatusBadRequest && json.Valid([]byte(body)) { // it does not look behind the first value
		t.Errorf("%s %s %s was refused, and the document allows it: %s", r.Method, r.URL, body, got.body)
	}
	out := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: got.status, Header: got.header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	if route.Path == document { // a type that the validator does not read
		return
	}
	out.SetBodyBytes([]byte(got.body))
	if err := openapi3filter.ValidateResponse(context.Background(), out); err != nil {
		t.Errorf("%s %s was answered with what is not documented, %d %s: %v", r.Method, r.URL, got.status, got.body, err)
	}
	if !json.Valid([]byte(got.body)) || !bytes.HasSuffix([]byte(got.body), []byte("\n")) {
		t.Errorf("got %q", got.body)
	}
}
