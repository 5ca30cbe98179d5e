package identity

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/memory"
)

// A house is an application behind a gate.
type house struct {
	t         *testing.T
	app       *core.App
	gate      *Gate
	transport *memory.Transport
}

// byJWT are options that take tokens signed with secret.
func byJWT() Options {
	o := Options{Type: "jwt", Query: "token", MaxToken: 4096, Path: "/token", JWT: usual}
	o.JWT.Secret, o.JWT.Leeway = string(secret), 0
	o.FirstMessage.Timeout, o.FirstMessage.Max, o.FirstMessage.MaxPerAddress = 5*time.Second, 8, 2
	o.Revocations.Max, o.Revocations.Life = 100, 24*time.Hour
	return o
}

func build(t *testing.T, o Options) *house {
	t.Helper()
	app := core.New(core.Options{})
	gate, err := New(app, o)
	if err != nil {
		t.Fatal(err)
	}
	app.All("/token", gate.Handle)
	app.All("/echo", func(req *core.Request, _ core.Next) error { return req.Reply(200, "", req.Data()) })
	h := &house{t, app, gate, memory.New(app, gate.Guard(gate.Accept), memory.Options{})}
	app.Attach(h.transport)
	t.Cleanup(func() {
		_ = app.Close(true)
		gate.Close()
	})
	return h
}

// A visit is a connection to a house.
type visit struct {
	t *testing.T
	*memory.Conn
}

func (h *house) dial(r core.ConnectRequest) (*visit, error) {
	h.t.Helper()
	conn, err := h.transport.Dial(h.t.Context(), r)
	if err != nil {
		return nil, err
	}
	return &visit{h.t, conn}, nil
}

// query is a handshake with parameters, given as names and values.
func query(parameters ...string) core.ConnectRequest {
	q := make(map[string][]string)
	for i := 0; i < len(parameters); i += 2 {
		q[parameters[i]] = []string{parameters[i+1]}
	}
	return core.ConnectRequest{Query: q, RemoteAddr: "192.0.2.1:1234"}
}

func header(authorization string) core.ConnectRequest {
	r := query("uuid", "phone")
	r.Header = map[string][]string{"Authorization": {authorization}}
	return r
}

// enter connects somebody who is let in.
func (h *house) enter(token, uuid string) *visit {
	h.t.Helper()
	v, err := h.dial(query("token", token, "uuid", uuid))
	if err != nil {
		h.t.Fatal(err)
	}
	return v
}

// ask sends a request and returns what comes back, which is "status reason data", or the end of the connection.
func (v *visit) ask(method, path, data string) string {
	v.t.Helper()
	if err := v.Send([]byte(fmt.Sprintf(`{"method":%q,"path":%q,"id":"1","data":%s}`, method, path, data))); err != nil {
		v.t.Fatal(err)
	}
	return v.hear()
}

// hear returns the next message, or the end.
func (v *visit) hear() string {
	v.t.Helper()
	msg, err := v.Receive(context.Background())
	if err != nil {
		return err.Error()
	}
	return string(msg)
}

func (v *visit) wantEnd(code int, reason string) {
	v.t.Helper()
	if got, want := v.hear(), fmt.Sprintf("closed: %d %s", code, reason); got != want {
		v.t.Errorf("got %q, want %q", got, want)
	}
}

// refused returns the status and reason of a refusal.
func (h *house) refused(r core.ConnectRequest) string {
	h.t.Helper()
	v, err := h.dial(r)
	if err == nil {
		v.Drop()
		return "let in"
	}
	return err.Error()
}

func data(token string) string { return fmt.Sprintf(`{"token":%q}`, token) }

func TestHandshake(t *testing.T) {
	good := token(t, nil)
	users := Options{Type: "static", Query: "key", MaxToken: 4096}
	users.Static.Users = []string{"alice:correct horse", "bob:battery staple"}
	basic := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, tt := range []struct {
		name string
		o    Options
		r    core.ConnectRequest
		want string
	}{
		{"query", byJWT(), query("token", good, "uuid", "phone"), ""},
		{"bearer", byJWT(), header("Bearer " + good), ""},
		{"bearer in another case", byJWT(), header("bearer  " + good), ""},
		{"no token", byJWT(), query("uuid", "phone"), "401 missing token"},
		{"basic", byJWT(), header(basic("alice:" + good)), "401 missing token"},
		{"no uuid", byJWT(), query("token", good), "400 missing uuid: connect with ?uuid=DEVICE"},
		{"long uuid", byJWT(), query("token", good, "uuid", strings.Repeat("x", 257)), "400 uuid has 257 bytes, at most 256 are allowed"},
		{"uuid that is not UTF-8", byJWT(), query("token", good, "uuid", "\xff"), "400 uuid is not valid UTF-8"},
		{"another parameter", byJWT(), query("key", good, "uuid", "phone"), "401 missing token"},
		{"long token", byJWT(), query("token", strings.Repeat("x", 4097), "uuid", "phone"), "401 the token has more than 4096 bytes"},
		{"bad token", byJWT(), query("token", good+"x", "uuid", "phone"), "401 the token has a bad signature"},
		{"header before query", byJWT(), core.ConnectRequest{
			Query: map[string][]string{"token": {good}, "uuid": {"phone"}}, Header: map[string][]string{"Authorization": {"Bearer x"}},
		}, "401 the token is malformed"},
		{"no token from the query", func() Options { o := byJWT(); o.Query = ""; return o }(), query("token", good, "", good, "uuid", "phone"), "401 missing token"},

		{"static token", users, query("key", "correct horse", "uuid", "phone"), ""},
		{"static bearer", users, header("Bearer correct horse"), ""},
		{"static basic", users, header(basic("alice:correct horse")), ""},
		{"another's password", users, header(basic("alice:battery staple")), "401 no such user, or another secret"},
		{"unknown user", users, header(basic("eve:correct horse")), "401 no such user, or another secret"},
		{"wrong secret", users, query("key", "correct horsf", "uuid", "phone"), "401 no such user, or another secret"},
		{"no secret", users, query("uuid", "phone"), "401 missing token"},
		{"broken basic", users, header("Basic !"), "401 missing token"},
		{"empty basic", users, header(basic(":")), "401 missing token"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := build(t, tt.o)
			v, err := h.dial(tt.r)
			got := ""
			if err != nil {
				got = err.Error()
			} else {
				v.ask("message", "/echo", "1")
				if h.app.Peer("alice", "phone") == nil {
					t.Error("alice is not online")
				}
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			stats, sum := h.gate.Stats(), uint64(0)
			stats.Outcomes(func(_ string, n uint64) { sum += n })
			if sum != 1 || (stats.Decisions[OK] == 1) != (tt.want == "") {
				t.Errorf("counted %v", stats.Decisions)
			}
		})
	}
}

func TestOptionErrors(t *testing.T) {
	for key, o := range map[string]Options{
		"jwt.keys":     {Type: "jwt", JWT: JWT{Keys: "/none"}},
		"jwt.secret":   {Type: "jwt", JWT: JWT{Secret: "short"}},
		"static.users": {Type: "static", Static: struct{ Users []string }{[]string{"alice:correct horse", "alice:battery staple"}}},
		"http.secret":  {Type: "http", HTTP: Hook{URL: "https://id.example/", Secret: "short"}},
	} {
		_, err := New(core.New(core.Options{}), o)
		if wrong, ok := errors.AsType[*OptionError](err); !ok || wrong.Key != key {
			t.Errorf("%s: got %v", key, err)
		}
	}
	for _, users := range [][]string{{"alice:short"}, {"alice"}, {":correct horse"}, {"alice:the same secret", "bob:the same secret"}} {
		if _, err := newRoll(users); err == nil {
			t.Errorf("%q was taken", users)
		}
	}
}

func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t, byJWT())
		in := func(d time.Duration) map[string]any { return map[string]any{"exp": time.Now().Add(d).Unix()} }
		began := time.Now()
		long := h.enter(token(t, in(time.Hour)), "long")
		short := h.enter(token(t, in(time.Minute)), "short")
		long.ask("message", "/echo", "1")
		short.wantEnd(4401, "token expired")
		if d := time.Since(began); d != time.Minute {
			t.Errorf("closed after %v", d)
		}
		long.wantEnd(4401, "token expired")
		if d := time.Since(began); d != time.Hour {
			t.Errorf("closed after %v", d)
		}
		synctest.Wait()
		if s := h.gate.Stats(); s.Ended != 2 || s.Tracked != 0 {
			t.Errorf("got %+v", s)
		}
	})
}

func TestRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := byJWT()
		o.JWT.Data = "data"
		h := build(t, o)
		until := func(d time.Duration, more map[string]any) string {
			c := map[string]any{"exp": time.Now().Add(d).Unix()}
			maps.Copy(c, more)
			return token(t, c)
		}
		began := time.Now()
		v := h.enter(until(time.Minute, nil), "phone")
		time.Sleep(50 * time.Second)
		for _, tt := range []struct{ data, want string }{
			{data("nonsense"), `{"status":401,"reason":"the token is malformed","id":"1"}`},
			{data(until(-time.Minute, nil)), `{"status":401,"reason":"token expired","id":"1"}`},
			{data(until(time.Hour, map[string]any{"sub": "bob"})), `{"status":403,"reason":"the token is of another user or device","id":"1"}`},
			{`{"token":""}`, `{"status":400,"reason":"data must be {\"token\":\"...\"}","id":"1"}`},
			{`"x"`, `{"status":400,"reason":"data must be {\"token\":\"...\"}","id":"1"}`},
			{`{"token":"` + until(time.Hour, nil) + `","uuid":"tablet"}`, `{"status":403,"reason":"the token is of another user or device","id":"1"}`},
			{data(until(30*time.Second, map[string]any{"data": map[string]any{"role": "admin"}})), `{"status":200,"reason":"OK","id":"1","data":{"username":"alice","uuid":"phone"}}`},
		} {
			if got := v.ask("authenticate", "/token", tt.data); got != tt.want {
				t.Errorf("%.60s: got %s, want %s", tt.data, got, tt.want)
			}
		}
		if got := v.ask("message", "/token", "1"); !strings.Contains(got, "404") {
			t.Errorf("another method: got %s", got)
		}
		p := h.app.Peer("alice", "phone")
		if p == nil || p.Data().Get("role") != "admin" {
			t.Errorf("the peer is %v", p)
		}
		v.wantEnd(4401, "token expired")
		if d := time.Since(began); d != 80*time.Second {
			t.Errorf("closed after %v, want 80s", d)
		}
		if s := h.gate.Stats(); s.Refreshed != 1 {
			t.Errorf("got %+v", s)
		}
	})
}

// The token of the newest connection counts.
func TestTakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t, byJWT())
		began := time.Now()
		old := h.enter(token(t, nil), "phone")
		old.ask("message", "/echo", "1")
		v := h.enter(token(t, map[string]any{"exp": began.Add(time.Minute).Unix()}), "phone")
		old.wantEnd(3000, "online elsewhere")
		v.wantEnd(4401, "token expired")
		if d := time.Since(began); d != time.Minute {
			t.Errorf("closed after %v", d)
		}
	})
}

func TestFirstMessage(t *testing.T) {
	o := byJWT()
	o.FirstMessage.Enabled = true
	synctest.Test(t, func(t *testing.T) {
		h := build(t, o)
		stranger := func(remote string) (*visit, error) {
			return h.dial(core.ConnectRequest{RemoteAddr: remote, Query: map[string][]string{"uuid": {"phone"}}})
		}
		must := func(v *visit, err error) *visit {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		began := time.Now()

		v := must(stranger("192.0.2.1:1"))
		if got := v.ask("authenticate", "/token", data(token(t, map[string]any{"exp": began.Add(time.Minute).Unix()}))); got != `{"status":200,"reason":"OK","id":"1","data":{"username":"alice","uuid":"phone"}}` {
			t.Errorf("got %s", got)
		}
		if got := v.ask("message", "/echo", `"x"`); !strings.Contains(got, `"data":"x"`) {
			t.Errorf("got %s", got)
		}
		defer v.wantEnd(4401, "token expired")

		v = must(stranger("192.0.2.1:2"))
		if got := v.ask("authenticate", "/token", fmt.Sprintf(`{"token":%q,"uuid":"tablet"}`, token(t, nil))); !strings.Contains(got, `"uuid":"tablet"`) {
			t.Errorf("the uuid of the request: got %s", got)
		}

		for _, tt := range []struct{ method, path, data, answer, end string }{
			{"authenticate", "/token", data("x"), `{"status":401,"reason":"the token is malformed","id":"1"}`, "closed: 4401 the token is malformed"},
			{"message", "/token", data(token(t, nil)), `{"status":401,"reason":"the first request has to be authenticate at /token","id":"1"}`, "closed: 4401 the first request has to be authenticate at /token"},
			{"authenticate", "/x", data(token(t, nil)), `{"status":401,"reason":"the first request has to be authenticate at /token","id":"1"}`, "closed: 4401 the first request has to be authenticate at /token"},
			{"authenticate", "/token", data(strings.Repeat("x", 5000)), `{"status":401,"reason":"the token has more than 4096 bytes","id":"1"}`, "closed: 4401 the token has more than 4096 bytes"},
		} {
			v := must(stranger("192.0.2.1:3"))
			if got := v.ask(tt.method, tt.path, tt.data); got != tt.answer {
				t.Errorf("got %s, want %s", got, tt.answer)
			}
			if got := v.hear(); got != tt.end {
				t.Errorf("got %s, want %s", got, tt.end)
			}
		}

		// One address may have two at a time, all together eight.
		synctest.Wait()
		var waiting []*visit
		for i := range 12 {
			v, err := stranger(fmt.Sprintf("192.0.2.%d:1", 10+i/3))
			want := ""
			switch {
			case i%3 == 2 && i < 11:
				want = "429 too many connections from your address that have not authenticated"
			case i == 11:
				want = "503 too many connections that have not authenticated"
			}
			if got := fmt.Sprint(err); got != want && (want != "" || err != nil) {
				t.Errorf("connection %d: got %v, want %s", i, err, want)
			}
			if err == nil {
				waiting = append(waiting, v)
			}
		}
		if _, err := h.dial(query("token", token(t, nil), "uuid", "with a token")); err != nil {
			t.Errorf("somebody with a token: %v", err)
		}
		if n := h.gate.Stats().Unidentified; n != 8 || len(waiting) != 8 {
			t.Errorf("%d are unidentified, %d wait", n, len(waiting))
		}
		waiting[0].Drop()
		for _, v := range waiting[1:] {
			v.wantEnd(4408, "the first request took too long")
		}
		synctest.Wait()
		if s := h.gate.Stats(); s.Unidentified != 0 || s.Decisions[Silent] != 8 || s.Decisions[Crowded] != 4 {
			t.Errorf("got %+v", s)
		}
	})
}

func TestLobbySweeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLobby()
		first, err := l.enter("192.0.2.1:1", 1, 1, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.enter("192.0.2.2:1", 1, 1, time.Minute); err == nil {
			t.Error("a second was let in")
		}
		time.Sleep(time.Minute + 1)
		second, err := l.enter("192.0.2.2:1", 1, 1, time.Minute)
		if err != nil {
			t.Error("a place that was never left is kept for ever")
		}
		first.leave()
		if l.len() != 1 {
			t.Error("who had been swept has left for another")
		}
		second.leave()
		second.leave()
		if l.len() != 0 || len(l.from) != 0 {
			t.Errorf("%d are left over, from %v", l.len(), l.from)
		}
	})
}

func TestNetwork(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:80": "192.0.2.1/32", "[2001:db8:1:2:3::4]:80": "2001:db8:1:2::/64", "[::ffff:192.0.2.1]:80": "192.0.2.1/32",
		"[fe80::1%eth0]:1": "fe80::/64", "192.0.2.1": "192.0.2.1/32", "memory": "invalid Prefix",
	} {
		if got := network(remote).String(); got != want {
			t.Errorf("network(%q) is %s, want %s", remote, got, want)
		}
	}
}

func TestReload(t *testing.T) {
	h := build(t, byJWT())
	v := h.enter(token(t, nil), "phone")
	other := byJWT()
	other.JWT.Secret = strings.Repeat("x", 32)
	apply, err := h.gate.Reload(other)
	if err != nil {
		t.Fatal(err)
	}
	h.enter(token(t, nil), "before").Drop()
	apply()
	if got := h.refused(query("token", token(t, nil), "uuid", "after")); got != "401 the token has a bad signature" {
		t.Errorf("a token of the old secret: %s", got)
	}
	if got := v.ask("message", "/echo", "1"); !strings.Contains(got, "200") {
		t.Errorf("who was in: %s", got)
	}
	other.JWT.Secret = "short"
	if _, err := h.gate.Reload(other); err == nil {
		t.Error("a short secret was taken")
	}
	other.Type = "static"
	if apply, err := h.gate.Reload(other); err != nil {
		t.Error(err)
	} else {
		apply()
	}
	if got := h.refused(query("token", token(t, nil), "uuid", "after")); got != "401 the token has a bad signature" {
		t.Errorf("after a change of the type, which needs a restart: %s", got)
	}
}
