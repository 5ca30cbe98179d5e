package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/protoo-go/protoo/client"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/certificate/certtest"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/webhook"
	"github.com/protoo-go/protoo/core"
)

var forBackEnds = regexp.MustCompile(`for back ends: (https?://127\.0\.0\.1:\d+)/`)

// apiURL returns where the API of a server is.
func (e *edge) apiURL(t *testing.T) string {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		if found := forBackEnds.FindStringSubmatch(e.printed.String()); found != nil {
			return found[1]
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server has no API: %s", e.printed.String())
		}
	}
}

// post makes a call of the API.
func post(t *testing.T, c *http.Client, url, key, body string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	return do(t, c, req)
}

func do(t *testing.T, c *http.Client, req *http.Request) (status int, answer string) {
	t.Helper()
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// newHTTPClient returns a client whose connections end with the test.
func newHTTPClient(t *testing.T) *http.Client {
	t.Helper()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// section returns a chapter of docs/operations.md.
func section(t *testing.T, title string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(text), "\n## "+title+"\n")
	if !ok {
		t.Fatalf("docs/operations.md has no chapter %q", title)
	}
	chapter, _, _ := strings.Cut(after, "\n## ")
	return chapter
}

var fence = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")

// blocks returns the code of a chapter in these languages, each with the language before it.
func blocks(chapter string, languages ...string) [][2]string {
	var all [][2]string
	for _, m := range fence.FindAllStringSubmatch(chapter, -1) {
		if slices.Contains(languages, m[1]) {
			all = append(all, [2]string{m[1], m[2]})
		}
	}
	return all
}

// shellWords splits a line as a shell does, as far as the documentation needs it.
func shellWords(line string, variables map[string]string) []string {
	var (
		all   []string
		word  strings.Builder
		quote rune
		open  bool
	)
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			text := word.String()
			quote = 0
			if r == '"' {
				text = os.Expand(text, func(name string) string { return variables[name] })
			}
			word.Reset()
			word.WriteString(text)
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, open = r, true
		case r == ' ':
			if open {
				all = append(all, word.String())
				word.Reset()
				open = false
			}
		default:
			word.WriteRune(r)
			open = true
		}
	}
	if open {
		all = append(all, word.String())
	}
	return all
}

// curl returns the request that a command line makes.
func curl(t *testing.T, line, base string, variables map[string]string) *http.Request {
	t.Helper()
	args := shellWords(line, variables)
	method, body, url := "", "", ""
	header := http.Header{}
	for i := 1; i < len(args); i++ {
		value := func() string {
			i++
			return args[i]
		}
		switch args[i] {
		case "-s":
		case "-X":
			method = value()
		case "-d":
			body = value()
			if method == "" {
				method = http.MethodPost
			}
		case "-H":
			name, text, _ := strings.Cut(value(), ": ")
			header.Set(name, text)
		default:
			if url != "" || strings.HasPrefix(args[i], "-") {
				t.Fatalf("%s: this test knows nothing of %s", line, args[i])
			}
			url = strings.Replace(args[i], "http://127.0.0.1:7777", base, 1)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	return req
}

// The keys whose hashes stand in docs/operations.md.
var (
	opsKey  = secret("correct-horse-battery-staple")
	shopKey = secret("purple-monkey-dishwasher-sink")
)

// staysAway keeps a client that was disconnected from coming back while a test counts.
var staysAway = client.Backoff{Base: time.Hour, Max: time.Hour, Rand: func() float64 { return 0.9 }}

// TestDocumentedCalls makes the calls of docs/operations.md, with the configuration that stands there, and compares what comes.
func TestDocumentedCalls(t *testing.T) {
	chapter := section(t, "Server API")
	file := strings.Replace(blocks(chapter, "yaml")[0][1], "127.0.0.1:7777", "127.0.0.1:0", 1)
	e := startEdge(t, "--config", writeFile(t, t.TempDir(), "edge.yaml", file))
	base := e.apiURL(t)
	e.connect(t, "alice", "phone", answering(func(req *core.Request, _ core.Next) error {
		return req.Reply(200, "seen", map[string]string{"at": "home"})
	}))
	e.connect(t, "bob", "laptop", client.Options{Backoff: staysAway})

	type example struct{ line, want string }
	var examples, last []example
	all := blocks(chapter, "sh", "json")
	for i := 0; i < len(all); i += 2 {
		if i+1 == len(all) || all[i][0] != "sh" || all[i+1][0] != "json" {
			t.Fatalf("calls and answers do not alternate: %q", all[i:])
		}
		lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(all[i][1], "\\\n", "")), "\n")
		answers := strings.Split(strings.TrimSpace(all[i+1][1]), "\n")
		if len(lines) != len(answers) {
			t.Fatalf("%d calls, %d answers: %q", len(lines), len(answers), lines)
		}
		for i, line := range lines {
			if strings.Contains(line, "/v1/drain") {
				last = append(last, example{line, answers[i]})
			} else {
				examples = append(examples, example{line, answers[i]})
			}
		}
	}
	if len(examples) < 7 || len(last) != 1 {
		t.Fatalf("%d calls and %d that end the server", len(examples), len(last))
	}
	c := newHTTPClient(t)
	port := regexp.MustCompile(`"address":"127\.0\.0\.1:\d+"`)
	for _, x := range append(examples, last...) {
		_, got := do(t, c, curl(t, x.line, base, map[string]string{"KEY": opsKey}))
		got = port.ReplaceAllString(strings.TrimSpace(got), `"address":"127.0.0.1:50000"`)
		if got != x.want {
			t.Errorf("%s: got\n%s\nwant\n%s", x.line, got, x.want)
		}
	}
	e.waitForLog(t, `msg="shutting down"`) // or the test is what ends it
	log := e.stop().stderr
	for _, want := range []string{
		`level=INFO msg="server API" operation=send target=alice/phone key=ops `,
		`level=INFO msg="server API" operation=broadcast target="3 targets" key=ops `,
		`level=INFO msg="server API" operation=disconnect target=bob key=ops `,
		` status=422 call=order-7 `,
		`msg="shutting down" peers=1 gently=true`,
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %s:\n%s", want, log)
		}
	}
	if strings.Contains(log, "paid") {
		t.Errorf("the log has a body in it:\n%s", log)
	}
}

// TestAPIKeys refuses what a key does not allow, and replaces keys by a reload, which the API also asks for.
func TestAPIKeys(t *testing.T) {
	dir := t.TempDir()
	text := strings.Replace(blocks(section(t, "Server API"), "yaml")[0][1], "127.0.0.1:7777", "127.0.0.1:0", 1)
	file := writeFile(t, dir, "edge.yaml", text)
	e := startEdge(t, "--config", file)
	base, c := e.apiURL(t), newHTTPClient(t)
	newKey := secret("a-new-key-of-the-shop")
	if status, answer := post(t, c, base+"/v1/disconnect", shopKey, `{"username":"alice"}`); status != 403 || !strings.Contains(answer, "the key shop does not allow disconnect") {
		t.Errorf("got %d %s", status, answer)
	}
	if status, answer := post(t, c, base+"/v1/broadcast", shopKey, `{"all":true,"method":"message","path":"/x"}`); status != 200 {
		t.Errorf("got %d %s", status, answer)
	}
	for range 3 {
		if status, answer := post(t, c, base+"/v1/send", secret("no-key-of-ours-at-all"), `{}`); status != 401 {
			t.Errorf("got %d %s", status, answer)
		}
	}

	writeFile(t, dir, "edge.yaml", text+"grase: 5s\n")
	status, answer := post(t, c, base+"/v1/reload", opsKey, "")
	if status != 422 || !strings.Contains(answer, `"mistakes":["`+file+`:6:1: grase: unknown key; did you mean grace?"]`) {
		t.Errorf("got %d %s", status, answer)
	}
	writeFile(t, dir, "edge.yaml", strings.Replace(text, "name: shop, sha256: ", "name: shop, key: "+newKey+"} #", 1)+"grace: 5s\npage: false\n")
	status, answer = post(t, c, base+"/v1/reload", opsKey, "{}")
	const want = `{"applied":[{"key":"grace","from":"2s","to":"5s"},{"key":"api.keys","from":"","to":""}],"restart":[{"key":"page","from":"true","to":"false"}]}`
	if status != 200 || strings.TrimSpace(answer) != want {
		t.Errorf("got %d %s, want %s", status, answer, want)
	}
	for key, want := range map[string]int{shopKey: 401, newKey: 200, opsKey: 200} {
		if status, answer := post(t, c, base+"/v1/disconnect", key, `{"username":"alice"}`); status != want {
			t.Errorf("%s: got %d %s, want %d", key, status, answer, want)
		}
	}
	log := e.stop().stderr
	if n := strings.Count(log, "server API: calls without a good key"); n != 1 {
		t.Errorf("%d lines about calls without a key:\n%s", n, log)
	}
}

func TestAPIOverTLS(t *testing.T) {
	dir := t.TempDir()
	authority := certtest.NewAuthority(t)
	authority.Write(t, dir, certtest.Validity{})
	t.Setenv("PROTOO_API_KEY", opsKey)
	e := startEdge(t, "--api-addr", "127.0.0.1:0", "--api-tls-cert", filepath.Join(dir, "cert.pem"), "--api-tls-key", filepath.Join(dir, "key.pem"))
	base, c := e.apiURL(t), newHTTPClient(t)
	transport := c.Transport.(*http.Transport)
	transport.TLSClientConfig.RootCAs = authority.Pool()
	if !strings.HasPrefix(base, "https://") {
		t.Fatalf("the API is at %s", base)
	}
	if status, answer := post(t, c, base+"/v1/disconnect", opsKey, `{"username":"alice"}`); status != 200 {
		t.Errorf("got %d %s", status, answer)
	}
	if got := runCommand(t, "", "check", "--api-addr", "127.0.0.1:0", "--api-tls-cert", filepath.Join(dir, "none.pem"), "--api-tls-key", filepath.Join(dir, "key.pem")); got.code != 1 || !strings.Contains(got.stdout, "none.pem: no such file") {
		t.Errorf("got %+v", got)
	}
}

// TestAPIRevoke keeps a user out.
func TestAPIRevoke(t *testing.T) {
	t.Setenv("PROTOO_API_KEY", opsKey)
	password := secret("alices-password-in-this-test")
	t.Setenv("PROTOO_IDENTITY_STATIC_USERS", "alice:"+password)
	e := startEdge(t, "--api-addr", "127.0.0.1:0", "--identity-type", "static")
	base, c := e.apiURL(t), newHTTPClient(t)
	lost := make(chan error, 1)
	o := client.Options{
		Header:       http.Header{"Authorization": {"Bearer " + password}},
		OnDisconnect: func(_ *client.Client, err error) { lost <- err },
	}
	dial := func() error {
		alice, err := client.Dial(t.Context(), e.url+"/protoo?uuid=phone", o)
		if err != nil {
			return err
		}
		_, err = alice.Request(t.Context(), "message", "/echo", nil) // the handshake ends before the peer is online
		return err
	}
	if err := dial(); err != nil {
		t.Fatal(err)
	}
	if status, answer := post(t, c, base+"/v1/revoke", opsKey, `{"username":"alice"}`); status != 200 || strings.TrimSpace(answer) != `{"disconnected":1}` {
		t.Errorf("got %d %s", status, answer)
	}
	if closed, ok := errors.AsType[*client.CloseError](<-lost); !ok || closed.Code != 4403 {
		t.Errorf("the client got %v", closed)
	}
	if refused, ok := errors.AsType[*core.StatusError](dial()); !ok || refused.Status != 403 {
		t.Errorf("the client can come back: %v", refused)
	}
	if status, answer := post(t, c, base+"/v1/revoke", opsKey, `{"username":"alice"}`); status != 200 || strings.TrimSpace(answer) != `{"disconnected":0}` {
		t.Errorf("got %d %s", status, answer)
	}
}

// TestAPIDrain ends a server while a call waits for a peer that never answers: it gets an answer all the same.
func TestAPIDrain(t *testing.T) {
	t.Setenv("PROTOO_API_KEY", opsKey)
	e := startEdge(t, "--api-addr", "127.0.0.1:0", "--drain-request-timeout", "0s", "--drain-window", "0s")
	base, c := e.apiURL(t), newHTTPClient(t)
	asked := make(chan struct{})
	e.connect(t, "alice", "phone", answering(func(*core.Request, core.Next) error {
		close(asked)
		return nil
	}))
	answered := make(chan string, 1)
	go func() {
		answer := "no answer"
		defer func() { answered <- answer }()
		status, body := post(t, c, base+"/v1/send", opsKey, `{"username":"alice","method":"message","path":"/x","timeoutMs":100000}`)
		answer = fmt.Sprint(status, " ", body)
	}()
	select {
	case <-asked:
	case got := <-answered:
		t.Fatalf("got %s", got)
	}
	if status, answer := post(t, c, base+"/v1/drain", opsKey, ""); status != 202 || strings.TrimSpace(answer) != `{"draining":true,"peers":1}` {
		t.Errorf("got %d %s", status, answer)
	}
	got := <-answered
	if !strings.HasPrefix(got, "200 ") || !strings.Contains(got, `"local":true`) {
		if !strings.HasPrefix(got, "503 ") || !strings.Contains(got, `"draining"`) {
			t.Errorf("got %s", got)
		}
	}
}

// TestWebhooks has a back end that is told of peers, and answers requests, as docs/operations.md says.
func TestWebhooks(t *testing.T) {
	signer, err := webhook.NewSigner([]string{secret(regexp.MustCompile(`whsec_\w+`).FindString(section(t, "Web hooks")))})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var events []string
	bobIsGone := make(chan struct{})
	backEnd := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		var seconds int64
		_, _ = fmt.Sscan(r.Header.Get(webhook.HeaderTimestamp), &seconds)
		want := http.Header{}
		signer.Sign(want, r.Header.Get(webhook.HeaderID), time.Unix(seconds, 0), body)
		if want.Get(webhook.HeaderSignature) != r.Header.Get(webhook.HeaderSignature) {
			t.Errorf("%s: the signature is %q", r.URL, r.Header.Get(webhook.HeaderSignature))
		}
		var fields map[string]any
		if err := json.Unmarshal(body, &fields); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path == "/requests" {
			fmt.Fprintf(w, `{"status":404,"reason":"no order %v","data":%s}`, fields["path"], body)
			return
		}
		data, _ := fields["data"].(map[string]any)
		events = append(events, fmt.Sprint(fields["type"], " ", data["username"], " ", data["code"]))
		if fields["type"] == webhook.Offline && data["username"] == "bob" {
			close(bobIsGone)
		}
	}))
	defer backEnd.Close()
	file := strings.ReplaceAll(blocks(section(t, "Web hooks"), "yaml")[0][1], "https://shop.example.com", backEnd.URL)
	e := startEdge(t, "--grace", "0s", "--config", writeFile(t, t.TempDir(), "edge.yaml", file+"  - {use: echo}\n"))
	alice := e.connect(t, "alice", "phone", client.Options{})
	res, err := alice.Send(core.NewRequest("message", "/orders/7", map[string]string{"state": "?"})).Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var asked struct {
		Method, Path, ID string
		Data, Sender     any
		Connection       struct{ Transport, Address string }
	}
	if err := res.Bind(&asked); err != nil || res.Status() != 404 || res.Reason() != "no order /orders/7" {
		t.Errorf("got %d %s %s: %v", res.Status(), res.Reason(), res.Data(), err)
	}
	if asked.Method != "message" || asked.ID == "" || fmt.Sprint(asked.Data, asked.Sender) != "map[state:?] map[username:alice uuid:phone]" || asked.Connection.Transport != "ws" {
		t.Errorf("the back end was asked %+v", asked)
	}
	bob := e.connect(t, "bob", "laptop", client.Options{})
	_ = bob.Close(4000, "")
	select {
	case <-bobIsGone:
	case <-time.After(time.Minute):
		t.Fatal("the back end has not been told that bob is gone")
	}
	log := e.stop().stderr // what is left is told at the end
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(events)
	want := []string{"peer.offline alice 1001", "peer.offline bob 4000", "peer.online alice <nil>", "peer.online bob <nil>"}
	if !slices.Equal(events, want) {
		t.Errorf("got %q, want %q\n%s", events, want, log)
	}
}

// TestDocumentedWebhooks compares the fields of the examples with those that there are.
func TestDocumentedWebhooks(t *testing.T) {
	var lines []string
	for _, b := range blocks(section(t, "Web hooks"), "json") {
		lines = append(lines, strings.Split(strings.TrimSpace(b[1]), "\n")...)
	}
	if len(lines) != 4 {
		t.Fatalf("%d examples", len(lines))
	}
	told := make(chan string, 2)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		told <- string(body)
	}))
	defer receiver.Close()
	t.Setenv("PROTOO_WEBHOOKS_SECRETS", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	e := startEdge(t, "--webhooks-urls", receiver.URL)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	e.connect(t, "alice", "phone", client.Options{})
	go e.stop()
	for _, line := range lines[:2] {
		select {
		case got := <-told:
			if shape(t, got) != shape(t, line) {
				t.Errorf("there is %s, documented is %s", got, line)
			}
		case <-ctx.Done():
			t.Fatal("nothing was told")
		}
	}
}

// shape returns the keys of an object and of those in it.
func shape(t *testing.T, text string) string {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal([]byte(text), &fields); err != nil {
		t.Fatal(err)
	}
	var walk func(fields map[string]any) map[string]any
	walk = func(fields map[string]any) map[string]any {
		keys := make(map[string]any)
		for key, value := range fields {
			keys[key] = ""
			if below, ok := value.(map[string]any); ok {
				keys[key] = walk(below)
			}
		}
		return keys
	}
	return fmt.Sprint(walk(fields))
}
