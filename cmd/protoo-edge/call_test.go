package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/protoo-go/protoo/core"
)

func TestCall(t *testing.T) {
	e := startEdge(t)
	e.connect(t, "bob", "laptop", answering(func(req *core.Request, _ core.Next) error {
		var answer []struct {
			Status int
			Reason string
			Data   any
		}
		if err := req.Bind(&answer); err != nil {
			return err
		}
		for _, a := range answer {
			if err := req.Reply(a.Status, a.Reason, a.Data); err != nil {
				return err
			}
		}
		return nil
	}))
	file := filepath.Join(t.TempDir(), "data.json")
	if err := os.WriteFile(file, []byte("{\n  \"from\": \"a file\"\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	for _, tt := range []struct {
		name  string
		args  []string // after the URL
		stdin string
		code  int
		out   []string
	}{
		{"no data", []string{"message", "/echo"}, "", 0, []string{"200 OK"}},
		{"data", []string{"message", "/echo", `{"a": 1}`}, "", 0, []string{`200 OK {"a":1}`}},
		{"data that looks like a flag", []string{"--", "message", "/echo", "-1"}, "", 0, []string{"200 OK -1"}},
		{"flags anywhere", []string{"message", "--json", "/echo", "1", "--timeout", "5s"}, "", 0, []string{`{"status":200,"reason":"OK","data":1}`}},
		{"a file", []string{"message", "/echo", "@" + file}, "", 0, []string{`200 OK {"from":"a file"}`}},
		{"standard input", []string{"message", "/echo", "-"}, `["stdin"]`, 0, []string{`200 OK ["stdin"]`}},
		{"provisional", []string{"message", "/users/bob", `[{"status":100,"reason":"wait"},{"status":180,"reason":"ring","data":"<b>"},{"status":202,"reason":"yes"}]`},
			"", 0, []string{"100 wait", `180 ring "<b>"`, "202 yes"}},
		{"provisional as JSON", []string{"--json", "message", "/users/bob", `[{"status":180,"reason":"<ring>","data":"<b>"},{"status":202,"reason":""}]`},
			"", 0, []string{`{"status":180,"reason":"<ring>","data":"<b>"}`, `{"status":202,"reason":""}`}},
		{"orders to the terminal", []string{"message", "/users/bob", `[{"status":200,"reason":"\u001b[2J\n","data":"\u009b"}]`},
			"", 0, []string{`200 \u001b[2J\u000a "\u009b"`}},
		{"3xx", []string{"message", "/users/bob", `[{"status":302,"reason":"moved"}]`}, "", 3, []string{"302 moved"}},
		{"4xx", []string{"message", "/users/nobody"}, "", 4, []string{"404 peer not found"}},
		{"5xx", []string{"message", "/users/bob", `[{"status":503,"reason":"busy"}]`}, "", 5, []string{"503 busy"}},
		{"6xx", []string{"message", "/users/bob", `[{"status":603,"reason":"no"}]`}, "", 6, []string{"603 no"}},
		{"no answer", []string{"message", "/users/bob", "[]", "--timeout", "10ms"}, "", 4, []string{"408 sending timeout"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := append([]string{"call", e.url}, tt.args...)
			if tt.args[0] == "--" {
				args = append([]string{"call", "--", e.url}, tt.args[1:]...)
			}
			got := runCommand(t, tt.stdin, args...)
			want := result{tt.code, strings.Join(tt.out, "\n") + "\n", ""}
			// Data null is data.
			got.stdout = strings.ReplaceAll(strings.ReplaceAll(got.stdout, " null", ""), `,"data":null`, "")
			if got != want {
				t.Errorf("got %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestCallFails(t *testing.T) {
	e := startEdge(t)
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"127.0.0.1:1 message /echo", 1, "connect to ws://127.0.0.1:1/protoo: dial tcp 127.0.0.1:1: connect: connection refused"},
		{e.addr + "/elsewhere message /echo", 1, "connect to ws://" + e.addr + "/elsewhere: 404 404 page not found"},
		{e.addr + " mess@ge /echo", 2, `call: "method" must be a string of 1 to 64 characters of A-Z a-z 0-9 _ . -`},
		{e.addr + " message echo", 2, `call: "path" must be a string of at most 2048 bytes that starts with "/" and has no control characters`},
	} {
		got := runCommand(t, "", append([]string{"call"}, strings.Fields(tt.args)...)...)
		if got != (result{tt.code, "", "protoo-edge: " + tt.want + "\n"}) {
			t.Errorf("call %s: got %+v, want %s", tt.args, got, tt.want)
		}
	}
	t.Run("interrupted", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		e.connect(t, "bob", "1", answering(func(req *core.Request, _ core.Next) error {
			cancel()
			return nil
		}))
		var stderr lockedBuffer
		code := run(ctx, []string{"call", e.url, "message", "/users/bob"}, nil, io.Discard, &stderr)
		if want := "protoo-edge: interrupted while waiting for the response\n"; code != exitFailure || stderr.String() != want {
			t.Errorf("got code %d and %q", code, stderr.String())
		}
	})
}

func TestCallIdentity(t *testing.T) {
	t.Setenv("USER", "carol")
	for _, tt := range []struct {
		s    callSettings
		url  string
		want string // %s stands for the random uuid
	}{
		{callSettings{}, "example.com:1", "ws://example.com:1/protoo?username=carol&uuid=call-"},
		{callSettings{Username: "alice", UUID: "1"}, "wss://example.com", "wss://example.com/protoo?username=alice&uuid=1"},
		{callSettings{}, "ws://example.com/?username=bob&uuid=2&token=x", "ws://example.com/?token=x&username=bob&uuid=2"},
		{callSettings{Username: "a&b", UUID: "1"}, "ws://example.com/?username=bob&uuid=2", "ws://example.com/?username=a%26b&uuid=1"},
	} {
		u, err := tt.s.target(tt.url)
		if err != nil {
			t.Fatal(err)
		}
		if got := u.String(); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%+v %s: got %s, want %s", tt.s, tt.url, got, tt.want)
		}
	}
	one, _ := (&callSettings{}).target("example.com")
	two, _ := (&callSettings{}).target("example.com")
	if one.String() == two.String() {
		t.Error("two devices have the same uuid")
	}
}
