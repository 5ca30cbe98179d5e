package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestDocument compares the routes with the document.
func TestDocument(t *testing.T) {
	if err := documented.Validate(context.Background()); err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for path, item := range documented.Paths.Map() {
		for method, o := range item.Operations() {
			want = append(want, method+" "+path+" "+o.OperationID)
			if o.RequestBody == nil != (method == http.MethodGet) {
				t.Errorf("%s %s: has a body or should have one", method, path)
			}
		}
	}
	for _, r := range routes {
		got = append(got, r.method+" "+r.path+" "+r.operation)
		if o := documented.Paths.Value(r.path).GetOperation(r.method); o == nil || o.Responses.Status(r.status) == nil {
			t.Errorf("%s: %d is not documented", r.operation, r.status)
		}
	}
	got = append(got, "GET "+document+" document")
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("there is %q, documented is %q", got, want)
	}
	f := newFixture(t, nil)
	if got := f.call(t, "GET", document, "", "Authorization", ""); got.status != 200 || got.body != string(openAPI) || got.header.Get("Content-Type") != "application/yaml" {
		t.Errorf("got %d %v", got.status, got.header)
	}
}

const aMessage = `{"username":"alice","method":"message","path":"/x"}`

// TestProblems has calls that fail before they do anything.
func TestProblems(t *testing.T) {
	f := newFixture(t, func(o *Options) {
		o.MaxBody = 1 << 10
		o.Keys = append(o.Keys, Key{Name: "reader", Hash: Hash("a-key-that-only-reads-0123456789"), Allow: []string{"peers"}})
	})
	for _, tt := range []struct {
		method, target, body string
		header               []string
		status               int
		code, detail         string
	}{
		{"GET", "/", "", nil, 404, "not-found", "there is nothing here; /v1/openapi.yaml says what there is"},
		{"POST", "/v1/send/", aMessage, nil, 404, "not-found", ""},
		{"POST", "/v1/../v1/send", aMessage, nil, 404, "not-found", ""},
		{"GET", "/v1/send", "", nil, 405, "method-not-allowed", "expected the method POST"},
		{"HEAD", "/v1/peers", "", nil, 405, "method-not-allowed", ""},
		{"POST", "/v1/openapi.yaml", "{}", nil, 405, "method-not-allowed", "expected the method GET"},
		{"POST", "/v1/send", aMessage, []string{"Authorization", ""}, 401, "unauthorized", "expected Authorization: Bearer and one of the keys of this server"},
		{"POST", "/v1/send", aMessage, []string{"Authorization", "Bearer " + testKey + "0"}, 401, "unauthorized", ""},
		{"POST", "/v1/send", aMessage, []string{"Authorization", "Bearer"}, 401, "unauthorized", ""},
		{"POST", "/v1/send", aMessage, []string{"Authorization", "Basic " + testKey}, 401, "unauthorized", ""},
		{"POST", "/v1/send", aMessage, []string{"Authorization", "Bearer a-key-that-only-reads-0123456789"}, 403, "forbidden", "the key reader does not allow send"},
		{"POST", "/v1/send", aMessage, []string{"Content-Type", "text/plain"}, 415, "unsupported-media-type", ""},
		{"POST", "/v1/send", aMessage, []string{"Content-Type", ""}, 415, "unsupported-media-type", ""},
		{"POST", "/v1/send", `{"data":"` + strings.Repeat("x", 1<<10) + `"}`, nil, 413, "too-large", ""},
		{"POST", "/v1/send", "", nil, 400, "bad-body", "the body is empty, expected a JSON object"},
		{"POST", "/v1/send", `{"username":"alice",}`, nil, 400, "bad-body", "the body is not JSON: invalid character '}' looking for beginning of object key string (at byte 21)"},
		{"POST", "/v1/send", aMessage + "{}", nil, 400, "bad-body", ""},
		{"POST", "/v1/send", "{\"username\":\"\xff\"}", nil, 400, "bad-body", "the body is not valid UTF-8"},
		{"POST", "/v1/send", `[]`, nil, 422, "invalid", "expected an object"},
		{"POST", "/v1/send", `{"usernme":"alice"}`, nil, 422, "invalid", "usernme: unknown; did you mean username?"},
		{"POST", "/v1/send", `{"Username":"alice"}`, nil, 422, "invalid", "Username: unknown; did you mean username?"},
		{"POST", "/v1/send", `{"` + strings.Repeat("x", 100) + `":1}`, nil, 422, "invalid", ""},
		{"POST", "/v1/send", `{"username":"alice","username":"bob"}`, nil, 422, "invalid", "username: given twice"},
		{"POST", "/v1/send", `{"username":7}`, nil, 422, "invalid", "username: expected a text of 1 to 256 bytes"},
		{"POST", "/v1/send", `{"username":""}`, nil, 422, "invalid", "username: expected a text of 1 to 256 bytes"},
		{"POST", "/v1/send", `{}`, nil, 422, "invalid", "username: missing"},
		{"POST", "/v1/send", `{"username":"alice","path":"/x"}`, nil, 422, "invalid", "method: missing"},
		{"POST", "/v1/send", `{"username":"alice","method":"message"}`, nil, 422, "invalid", "path: missing"},
		{"POST", "/v1/send", `{"username":"alice","method":"mess age","path":"/x"}`, nil, 422, "invalid", `"method" must be a string of 1 to 64 characters of A-Z a-z 0-9 _ . -`},
		{"POST", "/v1/send", `{"username":"alice","method":"message","path":"x"}`, nil, 422, "invalid", ""},
		{"POST", "/v1/send", `{"username":"alice","method":"message","path":"/x","data":` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + `}`, nil, 422, "invalid", ""},
		{"POST", "/v1/send", `{"username":"alice","method":"message","path":"/x","timeoutMs":0}`, nil, 422, "invalid", "timeoutMs: expected a whole number from 1 to 120000"},
		{"POST", "/v1/send", `{"username":"alice","method":"message","path":"/x","timeoutMs":1.5}`, nil, 422, "invalid", ""},
		{"POST", "/v1/send", `{"username":"alice","method":"message","path":"/x","answers":"some"}`, nil, 422, "invalid", "answers: expected first or all"},
		{"POST", "/v1/send", `{"username":"alice","method":"message","path":"/x","provisional":null}`, nil, 422, "invalid", "provisional: expected true or false"},
		{"POST", "/v1/send", aMessage, nil, 404, "not-online", "there is no such peer online"},
		{"POST", "/v1/broadcast", `{"method":"message","path":"/x"}`, nil, 422, "invalid", "to: expected either to or all: true"},
		{"POST", "/v1/broadcast", `{"method":"message","path":"/x","all":true,"to":[{"username":"alice"}]}`, nil, 422, "invalid", ""},
		{"POST", "/v1/broadcast", `{"method":"message","path":"/x","to":[]}`, nil, 422, "invalid", "to: expected a list of 1 to 1000 entries"},
		{"POST", "/v1/broadcast", `{"method":"message","path":"/x","to":[{"username":"alice"},{"uuid":"phone"}]}`, nil, 422, "invalid", "to[1].username: missing"},
		{"POST", "/v1/broadcast", `{"method":"message","path":"/x","to":[{"username":"alice","device":"phone"}]}`, nil, 422, "invalid", "to[0].device: unknown; expected username, uuid"},
		{"POST", "/v1/broadcast", `{"method":"message","path":"/x","to":["alice"]}`, nil, 422, "invalid", "to[0]: expected an object"},
		{"POST", "/v1/disconnect", `{}`, nil, 422, "invalid", "username: missing"},
		{"POST", "/v1/disconnect", `{"username":"alice","code":999}`, nil, 422, "invalid", "code: expected a whole number from 1000 to 4999"},
		{"POST", "/v1/disconnect", `{"username":"alice","code":1005}`, nil, 422, "invalid", "code: this close code may not be sent"},
		{"POST", "/v1/disconnect", `{"username":"alice","reason":"` + strings.Repeat("x", 124) + `"}`, nil, 422, "invalid", ""},
		{"POST", "/v1/revoke", `{}`, nil, 422, "invalid", "expected either tokenId, or username or uuid or both of these"},
		{"POST", "/v1/revoke", `{"tokenId":"7","username":"alice"}`, nil, 422, "invalid", ""},
		{"POST", "/v1/revoke", `{"username":"alice","expires":"tomorrow"}`, nil, 422, "invalid", "expires: expected a time such as 2030-01-31T12:00:00Z"},
		{"POST", "/v1/revoke", `{"username":"alice"}`, nil, 501, "unavailable", ""},
		{"POST", "/v1/reload", `{}`, nil, 501, "unavailable", ""},
		{"POST", "/v1/reload", `{"force":true}`, nil, 422, "invalid", "force: unknown; expected no keys"},
		{"POST", "/v1/drain", "", nil, 501, "unavailable", ""},
		{"GET", "/v1/peers?user=alice", "", nil, 422, "invalid", "user: unknown; expected username, uuid, limit or cursor"},
		{"GET", "/v1/peers?limit=1001", "", nil, 422, "invalid", "limit: expected a whole number from 0 to 1000"},
		{"GET", "/v1/peers?limit=1&limit=2", "", nil, 422, "invalid", "limit: given twice"},
		{"GET", "/v1/peers?cursor=x", "", nil, 422, "invalid", "cursor: expected what was called next in the page before"},
		{"GET", "/v1/peers?username=", "", nil, 422, "invalid", "username: expected a text of 1 to 256 bytes"},
	} {
		got := f.call(t, tt.method, tt.target, tt.body, tt.header...)
		var p problem
		decode(t, got.body, &p)
		if got.status != tt.status || p.Status != tt.status || p.Code != tt.code || tt.detail != "" && p.Detail != tt.detail {
			t.Errorf("%s %s %.60s: got %d %s, want %d %s %s", tt.method, tt.target, tt.body, got.status, got.body, tt.status, tt.code, tt.detail)
		}
		if got.header.Get("Content-Type") != "application/problem+json" || p.Title != http.StatusText(tt.status) || p.RequestID != got.header.Get("X-Request-Id") {
			t.Errorf("%s %s: got %v %s", tt.method, tt.target, got.header, got.body)
		}
	}
	for _, r := range f.records {
		if r.Err == nil || r.Status < 400 || strings.Contains(r.Err.Error(), testKey) {
			t.Errorf("recorded as %+v", r)
		}
	}
}

func TestRequestID(t *testing.T) {
	f := newFixture(t, nil)
	if got := f.call(t, "GET", "/v1/peers", "", "X-Request-Id", "order-7.a_B"); got.header.Get("X-Request-Id") != "order-7.a_B" {
		t.Errorf("got %v", got.header)
	}
	made := make(map[string]bool)
	for _, id := range []string{"", "with space", strings.Repeat("x", 65), "ä"} {
		got := f.call(t, "GET", "/v1/peers", "", "X-Request-Id", id).header.Get("X-Request-Id")
		if got == id || !validID.MatchString(got) || made[got] {
			t.Errorf("%q became %q", id, got)
		}
		made[got] = true
	}
	for _, r := range f.records {
		if r.Key != "tests" || r.Operation != "peers" || r.Changes || r.Status != 200 || r.ID == "" || r.Remote == "" {
			t.Errorf("recorded as %+v", r)
		}
	}
}

// TestKeysAreReplaced rotates a key: for a while both are good.
func TestKeysAreReplaced(t *testing.T) {
	f := newFixture(t, nil)
	next := "another-key-of-the-tests-0123"
	try := func(key string) int { return f.call(t, "GET", "/v1/peers", "", "Authorization", "bearer "+key).status }
	for _, step := range []struct {
		keys     []string
		old, new int
	}{
		{[]string{testKey}, 200, 401},
		{[]string{testKey, next}, 200, 200},
		{[]string{next}, 401, 200},
		{nil, 401, 401},
	} {
		var keys []Key
		for _, k := range step.keys {
			keys = append(keys, Key{Name: "k", Hash: Hash(k)})
		}
		f.SetKeys(keys)
		if old, got := try(testKey), try(next); old != step.old || got != step.new {
			t.Errorf("%d keys: got %d and %d", len(keys), old, got)
		}
	}
	want := []Calls{{"peers", 200, 4}, {"peers", 401, 4}}
	if got := f.Stats(); !slices.Equal(got.Calls, want) || got.Active != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestOperations(t *testing.T) {
	want := []string{"send", "broadcast", "peers", "disconnect", "revoke", "reload", "drain"}
	if got := Operations(); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
