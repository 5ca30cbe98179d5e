package main

import (
	"bufio"
	"io"
	"strings"
	"testing"

	"github.com/protoo-go/protoo/client"
	"github.com/protoo-go/protoo/core"
)

// typist talks to "call URL" through its standard streams.
type typist struct {
	t     *testing.T
	stdin *io.PipeWriter
	lines *bufio.Scanner
	ended chan result
}

func startTalking(t *testing.T, args ...string) *typist {
	stdin, in := io.Pipe()
	out, stdout := io.Pipe()
	y := &typist{t: t, stdin: in, lines: bufio.NewScanner(out), ended: make(chan result, 1)}
	go func() {
		var stderr lockedBuffer
		code := run(t.Context(), append([]string{"call"}, args...), stdin, stdout, &stderr)
		_ = stdout.Close()
		y.ended <- result{code: code, stderr: stderr.String()}
	}()
	return y
}

func (y *typist) types(line string) {
	y.t.Helper()
	if _, err := io.WriteString(y.stdin, line+"\n"); err != nil {
		y.t.Fatal(err)
	}
}

func (y *typist) reads(want ...string) {
	y.t.Helper()
	for _, w := range want {
		if !y.lines.Scan() {
			y.t.Fatalf("the output has ended, want %q", w)
		}
		if got := y.lines.Text(); got != w {
			y.t.Fatalf("got %q, want %q", got, w)
		}
	}
}

func (y *typist) ends(want result) {
	y.t.Helper()
	if y.lines.Scan() {
		y.t.Errorf("there is more: %q", y.lines.Text())
	}
	if got := <-y.ended; got != want {
		y.t.Errorf("it has ended with %+v, want %+v", got, want)
	}
}

func TestTalk(t *testing.T) {
	e := startEdge(t)
	bob := e.connect(t, "bob", "laptop", answering(func(req *core.Request, _ core.Next) error {
		if err := req.Reply(100, "reading"); err != nil {
			return err
		}
		return req.Reply(200, "read", req.Data())
	}))
	y := startTalking(t, e.url, "--username", "alice", "--uuid", "cli")
	y.reads("-- connected to ws://" + e.addr + " as alice/cli")

	y.types(`message /users/bob {"text": "hi"}`)
	y.reads("#1 100 reading", `#1 200 read {"text":"hi"}`)
	y.types("")
	y.types("   message    /echo   ")
	y.reads("#2 200 OK")

	answers := make(chan string, 3)
	bob.Send(core.NewRequest("message", "/users/alice", "psst")).OnResponse(func(res *core.Response) {
		answers <- res.Reason() + string(res.Data())
	})
	y.reads(`@1 message /users/alice from bob/laptop "psst"`)
	for _, tt := range []struct{ line, want string }{
		{"@2 200", "-- no request @2 waits for an answer"},
		{"@ 200", "-- no request @ waits for an answer"},
		{"@1", `-- "" is not a status; an answer looks like: @1 200 OK`},
		{"@1 OK", `-- "OK" is not a status; an answer looks like: @1 200 OK`},
		{"@1 700 no", "-- core: response status must be from 100 to 699, got 700"},
		{"foo", `-- missing path after "foo"; help says more`},
		{"message /echo hello", `-- call: DATA is not JSON: invalid character 'h' looking for beginning of value (text needs quotes: '"hello"')`},
		{"mess@ge /echo", `#3 400 "method" must be a string of 1 to 64 characters of A-Z a-z 0-9 _ . -`},
	} {
		y.types(tt.line)
		y.reads(tt.want)
	}
	y.types("@1 150 let me think")
	y.types(`@1 486 busy here {"until": [1, 2]}`)
	if first, second := <-answers, <-answers; first != "let me think" || second != `busy here{"until": [1, 2]}` {
		t.Errorf("bob got %q and %q", first, second)
	}
	y.types("@1 200 again")
	y.reads("-- no request @1 waits for an answer")

	y.types("help")
	y.reads(strings.Split(strings.TrimSuffix(talkHelp, "\n"), "\n")...)
	y.types("message /echo 4")
	y.types("quit")
	y.reads("#4 200 OK 4")
	y.ends(result{})
}

func TestTalkJSON(t *testing.T) {
	e := startEdge(t)
	bob := e.connect(t, "bob", "laptop", client.Options{})
	y := startTalking(t, e.url, "--username", "alice", "--uuid", "cli", "--json")
	y.types("message /echo 1")
	y.reads(`{"call":1,"status":200,"reason":"OK","data":1}`)
	bob.Send(core.NewRequest("message", "/users/alice", "<psst>"))
	y.reads(`{"request":1,"method":"message","path":"/users/alice","data":"<psst>","sender":{"username":"bob","uuid":"laptop"}}`)
	_ = y.stdin.Close()
	y.ends(result{})
}

// TestTalkEnds covers ends that are not the input's.
func TestTalkEnds(t *testing.T) {
	t.Run("replaced", func(t *testing.T) {
		e := startEdge(t)
		y := startTalking(t, e.url, "--username", "alice", "--uuid", "cli")
		y.reads("-- connected to ws://" + e.addr + " as alice/cli")
		y.types("message /echo")
		y.reads("#1 200 OK")
		e.connect(t, "alice", "cli", client.Options{})
		y.ends(result{code: exitFailure, stderr: "protoo-edge: connection closed: 3000 online elsewhere\n"})
	})
	t.Run("line too long", func(t *testing.T) {
		e := startEdge(t)
		y := startTalking(t, e.url, "--username", "alice", "--uuid", "cli")
		y.reads("-- connected to ws://" + e.addr + " as alice/cli")
		go func() { _, _ = io.Copy(y.stdin, strings.NewReader(strings.Repeat("x", maxData+1))) }()
		y.ends(result{code: exitFailure, stderr: "protoo-edge: read the input: bufio.Scanner: token too long\n"})
	})
	t.Run("server gone", func(t *testing.T) {
		e := startEdge(t)
		y := startTalking(t, e.url, "--username", "alice", "--uuid", "cli")
		y.reads("-- connected to ws://" + e.addr + " as alice/cli")
		e.stop()
		if !y.lines.Scan() || !strings.HasPrefix(y.lines.Text(), "-- connection closed: 1001 shutting down; next attempt in ") {
			t.Errorf("got %q", y.lines.Text())
		}
		go func() {
			for y.lines.Scan() { // more attempts may come
			}
		}()
		y.types("quit")
		if got := <-y.ended; got != (result{}) {
			t.Errorf("it has ended with %+v", got)
		}
	})
}

func TestSplitAnswer(t *testing.T) {
	for line, want := range map[string][2]string{
		"":                       {"", ""},
		"OK":                     {"OK", ""},
		"let me think":           {"let me think", ""},
		"OK {}":                  {"OK", "{}"},
		`OK {"a": [1, 2]}`:       {"OK", `{"a": [1, 2]}`},
		`{"a": 1}`:               {"", `{"a": 1}`},
		`see you  at  5`:         {"see you  at", "5"},
		`never "mind" {"a": "b`:  {`never "mind" {"a": "b`, ""},
		`said "see you" "later"`: {`said "see you"`, `"later"`},
	} {
		reason, data := splitAnswer(line)
		if reason != want[0] || string(data) != want[1] {
			t.Errorf("%q: got %q and %q, want %q", line, reason, data, want)
		}
	}
}
