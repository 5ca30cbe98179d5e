package core

import (
	"strings"
	"testing"
)

// FuzzLink lets a stranger send any messages, one a line, to an application that answers some and waits
// for an answer itself.
func FuzzLink(f *testing.F) {
	f.Add([]byte(ask("/echo", "1", "[1]") + "\n" + answer(200, "ok", "question") + "\nbad\n" + ask("/later", "2", "")))
	f.Add([]byte(answer(100, "", "question") + "\n" + answer(700, "", "question") + "\n" + ask("/nobody", "3", "")))
	f.Add([]byte(`{"method":"x","path":"/echo","id":7,"data":"\ud800"}` + strings.Repeat("\n{}", 20)))
	f.Fuzz(func(t *testing.T, input []byte) {
		app := New(Options{MaxRequests: 4})
		app.All("/echo", func(req *Request, _ Next) error { return req.Reply(200, "ok", req.Data()) })
		app.All("/later", func(*Request, Next) error { return nil })
		bad := 0
		app.OnBadMessage(func(*Peer, error) { bad++ })
		c := dial(t, app, "alice", "1")
		question := NewRequest("message", "/", nil)
		if err := question.SetID("question"); err != nil {
			t.Fatal(err)
		}
		tr := c.peer().Send(question)
		finals := 0
		tr.OnResponse(func(res *Response) {
			if !res.IsProvisional() {
				finals++
			}
		})
		c.take()
		for line := range strings.SplitSeq(string(input), "\n") {
			before := bad
			flow := c.receive(line)
			sent := c.take()
			if flow == Pause || len(sent) > 1 {
				t.Fatalf("%q: flow %v, sent %q", line, flow, sent)
			}
			in, err := parse(line)
			if (err != nil) != (bad > before) {
				t.Fatalf("%q: error %v, but %d bad messages were reported", line, err, bad-before)
			}
			for _, text := range sent {
				out, err := parse(text)
				if err != nil || out.status < 200 || in.id != "" && out.id != in.id {
					t.Fatalf("%q was answered with %q (%v)", line, text, err)
				}
			}
		}
		if finals > 1 || (tr.Final() != nil) != (finals == 1) {
			t.Errorf("the transaction got %d final responses, its last is %+v", finals, tr.Final())
		}
		if tooMany := bad >= 16; tooMany != (len(c.closes) > 0) {
			t.Errorf("%d bad messages, closed with %q", bad, c.closes)
		}
		if n := c.peer().inProgress; n < 0 || n > 4 {
			t.Errorf("%d requests are in progress", n)
		}
	})
}
