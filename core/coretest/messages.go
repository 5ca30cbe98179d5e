package coretest

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/protoo-go/protoo/core"
)

var messageTests = []test{
	{"both directions", testBothDirections},
	{"order", testOrder},
	{"concurrent senders", testConcurrentSenders},
	{"sizes", testSizes},
	{"too big", testTooBig},
	{"bad", testBad},
}

func testBothDirections(t *testing.T, start Start) {
	s := newServer(t, start, core.Options{}, byQuery)
	c := s.connect("alice", "1")
	for i, data := range []string{`null`, `0`, `""`, `[1,2.50,"\ud800 \u0000"]`, `{"a":{"b":"日本 \"\\ \u2028"}}`} {
		res := c.call(message{Method: "anything", Path: "/echo", ID: strconv.Itoa(i), Data: json.RawMessage(data)})
		if res.Status != 200 || res.Reason != "ok" || string(res.Data) != data {
			t.Errorf("echo of %s: got %s", data, res.encode())
		}
	}

	tr := s.app.Peer("alice", "1").Send(core.NewRequest("question", "/a/b", map[string]int{"n": 1}))
	req := c.receive()
	if req.Method != "question" || req.Path != "/a/b" || string(req.Data) != `{"n":1}` || req.ID != tr.ID() {
		t.Errorf("the client got %s", req.encode())
	}
	c.send(message{Status: 100, Reason: "wait", ID: req.ID})
	c.send(message{Status: 299, Reason: "fine", ID: req.ID, Data: json.RawMessage(`[1]`)})
	s.final(tr, 299, "fine")
	if data := tr.Final().Data(); data != "[1]" {
		t.Errorf("the server got data %s", data)
	}
}

// testOrder sends requests both ways at the same time.
func testOrder(t *testing.T, start Start) {
	const total = 10_000
	s := newServer(t, start, core.Options{}, byQuery)
	handled := 0 // no lock: the requests of a peer are handled one after the other
	s.app.Message("/count", func(req *core.Request, _ core.Next) error {
		if got := string(req.Data()); got != strconv.Itoa(handled) {
			t.Errorf("the server got request %s, want %d", got, handled)
		}
		handled++
		return req.Reply(200, "ok", req.Data())
	})
	c := s.connect("alice", "1")

	toServer, toClient := make(slots, window), make(slots, window)
	var senders sync.WaitGroup
	t.Cleanup(senders.Wait)
	senders.Go(func() {
		for i := 0; i < total && toServer.take(s.ctx); i++ {
			c.send(request("/count", strconv.Itoa(i), i))
		}
	})
	var answers counter
	all := make(chan struct{})
	senders.Go(func() {
		peer := s.app.Peer("alice", "1")
		for i := 0; i < total && toClient.take(s.ctx); i++ {
			peer.Send(core.NewRequest("message", "/", i)).OnResponse(func(res *core.Response) {
				if n := answers.next(); n != i || res.Status() != 200 {
					t.Errorf("the server got response %d %s to request %d, want the one to %d", res.Status(), res.Reason(), i, n)
				}
				toClient.free()
				if i == total-1 {
					close(all)
				}
			})
		}
	})

	requests, responses := 0, 0
	for requests < total || responses < total {
		m := c.receive()
		if m.Status != 0 {
			if m.Status != 200 || m.number() != responses || m.ID != strconv.Itoa(responses) {
				t.Fatalf("the client got response %s, want the one to %d", m.encode(), responses)
			}
			responses++
			toServer.free()
			continue
		}
		if m.number() != requests {
			t.Fatalf("the client got request %s, want %d", m.encode(), requests)
		}
		requests++
		c.answer(m)
	}
	s.wait("the last response", all)
}

// testConcurrentSenders has many goroutines send to one peer: the requests of each keep their
// order, and none is mixed with another.
func testConcurrentSenders(t *testing.T, start Start) {
	const (
		senders = 16
		each    = 200
	)
	type payload struct {
		Sender, Number int
		Text           string
	}
	text := func(sender, number int) string {
		return strings.Repeat(string(rune('a'+sender)), (number*37)%2000)
	}
	s := newServer(t, start, core.Options{}, byQuery)
	c := s.connect("alice", "1")
	peer := s.app.Peer("alice", "1")
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	for sender := range senders {
		running.Go(func() {
			pending := make(slots, 8)
			for number := 0; number < each && pending.take(s.ctx); number++ {
				req := core.NewRequest("message", "/", payload{sender, number, text(sender, number)})
				peer.Send(req).OnResponse(func(res *core.Response) {
					if res.Status() != 200 {
						t.Errorf("request %d of sender %d: %d %s", number, sender, res.Status(), res.Reason())
					}
					pending.free()
				})
			}
		})
	}
	var next [senders]int
	for range senders * each {
		m := c.receive()
		var p payload
		if err := json.Unmarshal(m.Data, &p); err != nil || m.Method != "message" {
			t.Fatalf("the client got %.300s", m.encode())
		}
		if p.Number != next[p.Sender] || p.Text != text(p.Sender, p.Number) {
			t.Fatalf("the client got %.300s, want request %d of sender %d", m.encode(), next[p.Sender], p.Sender)
		}
		next[p.Sender]++
		c.answer(m)
	}
	c.echo("the end")
}

// padded returns a request to /echo that is n bytes long.
func padded(t *testing.T, n int) message {
	m := request("/echo", "padded", "")
	short := n - len(m.encode())
	if short < 0 {
		t.Fatalf("no request is %d bytes long", n)
	}
	m.Data = json.RawMessage(`"` + strings.Repeat("x", short) + `"`)
	return m
}

// testSizes tries lengths around those at which the usual framings change their form.
func testSizes(t *testing.T, start Start) {
	s := newServer(t, start, core.Options{}, byQuery)
	c := s.connect("alice", "1")
	for _, size := range []int{125, 126, 127, 128, 4095, 4096, 4097, 16383, 16384, 16385, 65535, MaxMessage} {
		req := padded(t, size)
		for range 3 {
			if res := c.call(req); string(res.Data) != string(req.Data) {
				t.Fatalf("%d bytes: got %.100s", size, res.encode())
			}
		}
	}
}

func testTooBig(t *testing.T, start Start) {
	for _, size := range []int{MaxMessage + 1, 1 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			s := newServer(t, start, core.Options{}, byQuery)
			c := s.connect("alice", "1")
			go func() { _ = c.Send(padded(t, size).encode()) }() // fails if the server closes before it has read all
			if end := c.closed(); end.Code != core.CloseTooBig {
				t.Errorf("got %v, want code %d", end, core.CloseTooBig)
			}
			s.until("offline", func(got []string) bool { return len(got) > 0 && got[len(got)-1] == "offline alice/1" })
			s.connect("alice", "1")
		})
	}
}

func testBad(t *testing.T, start Start) {
	s := newServer(t, start, core.Options{}, byQuery)
	s.app.OnBadMessage(func(p *core.Peer, err error) {
		s.journal.add("bad from %v", p)
		if err == nil {
			t.Error("OnBadMessage without an error")
		}
	})
	c := s.connect("alice", "1")
	bad := []struct{ text, id string }{
		{``, ""},
		{`hello`, ""},
		{`[]`, ""},
		{`{"method":"message","path":"/echo","id":"unfinished`, ""},
		{`{"method":"message","path":"/echo","id":{}}`, ""},
		{`{"method":"message","path":"/echo"}`, ""},
		{`{"method":"message","id":"no path"}`, "no path"},
		{`{"method":"message","path":"echo","id":"no slash"}`, "no slash"},
		{`{"method":"","path":"/echo","id":"no method"}`, "no method"},
		{`{"status":99,"reason":"","id":"a response"}`, ""},
		{`{"id":"nothing"}`, "nothing"},
	}
	const most = 16 // the default of core.Options
	want := []string{"online alice/1"}
	for i := range most - 1 {
		b := bad[i%len(bad)]
		if err := c.Send([]byte(b.text)); err != nil {
			t.Fatal(err)
		}
		want = append(want, "bad from alice/1")
		if b.id == "" {
			continue
		}
		if res := c.receive(); res.Status != 400 || res.ID != b.id || res.Reason == "" {
			t.Errorf("in answer to %s: got %s", b.text, res.encode())
		}
	}
	c.echo("still here")
	c.send(message{Status: 200, Reason: "an answer to nothing", ID: "1"})
	c.echo("still here")
	s.await(want...)

	if err := c.Send([]byte("one more")); err != nil {
		t.Fatal(err)
	}
	c.wantClosed(core.CloseInvalidData, "too many bad messages")
	s.until("the last bad message", func(got []string) bool { return len(got) > most })
	if stats := s.app.Stats(); stats.BadMessages != most || stats.StrayResponses != 1 {
		t.Errorf("got %+v, want %d bad messages and 1 stray response", stats, most)
	}
}
