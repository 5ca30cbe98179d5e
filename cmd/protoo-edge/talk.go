package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/protoo-go/protoo/client"
	"github.com/protoo-go/protoo/core"
)

const talkHelp = `METHOD PATH [DATA]            send a request: message /users/bob "Hi Bob!"
@N STATUS [REASON] [DATA]     answer the request that came as @N: @1 200 seen
help                          this
quit                          the end, as are Ctrl-C and Ctrl-D
Responses come as "#N STATUS REASON DATA", where #1 is the first request that was sent.
DATA is JSON, or @FILE to read it from a file.
`

// conversation is a client whose requests are typed, and whose incoming requests are answered, by a person.
type conversation struct {
	out     printer
	timeout time.Duration
	client  *client.Client
	calls   sync.WaitGroup // those that have not got their final response

	sent int // of the goroutine that reads the input

	mu       sync.Mutex
	received int
	requests map[int]*core.Request // those that have not got their final response
}

// talk holds a conversation until the input ends.
func talk(ctx context.Context, target *url.URL, s *callSettings, std streams) error {
	console := newConsole(std)
	v := &conversation{
		out:      printer{w: console, json: s.JSON},
		timeout:  s.Timeout,
		requests: make(map[int]*core.Request),
	}
	var err error
	v.client, err = client.Dial(ctx, target.String(), client.Options{
		CertificateHashes: s.Hashes,
		Routes:            func(app *core.App) { app.All("*", v.receive) },
		OnRetry: func(err error, wait time.Duration) {
			v.out.note("%v; next attempt in %v", err, wait.Round(time.Millisecond))
		},
		OnConnect: func(context.Context, *client.Client) { v.connected(target) },
	})
	if err != nil {
		return err
	}
	defer hangUp(v.client)
	end, err := console.begin()
	if err != nil {
		return err
	}
	defer end()

	input := make(chan error, 1)
	go func() { input <- v.read(console) }()
	select {
	case err = <-input:
	case <-v.client.Done():
		return v.client.Err()
	case <-ctx.Done():
		return nil
	}
	if err != nil || console.interactive {
		return err
	}
	return v.finish(ctx)
}

func (v *conversation) connected(target *url.URL) {
	q := target.Query()
	v.out.note("connected to %s://%s as %s/%s", target.Scheme, target.Host, q.Get("username"), q.Get("uuid"))
}

// finish waits for the responses that have not come yet.
func (v *conversation) finish(ctx context.Context) error {
	answered := make(chan struct{})
	go func() {
		v.calls.Wait()
		close(answered)
	}()
	select {
	case <-answered:
		return nil
	case <-v.client.Done():
		return v.client.Err()
	case <-ctx.Done():
		return nil
	}
}

// read executes the lines of the input until it ends.
func (v *conversation) read(c *console) error {
	for {
		line, err := c.readLine()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read the input: %w", err)
		}
		switch line = strings.TrimSpace(line); {
		case line == "quit":
			return nil
		case line == "help":
			fmt.Fprint(c, talkHelp)
			continue
		case line == "":
			continue
		case strings.HasPrefix(line, "@"):
			err = v.answer(line[1:])
		default:
			err = v.send(line)
		}
		if err != nil {
			v.out.note("%v", err)
		}
	}
}

func (v *conversation) send(line string) error {
	method, rest, _ := strings.Cut(line, " ")
	path, arg, _ := strings.Cut(strings.TrimSpace(rest), " ")
	if path == "" {
		return fmt.Errorf("missing path after %q; help says more", method)
	}
	data := core.JSON("")
	if arg = strings.TrimSpace(arg); arg != "" {
		var err error
		if data, err = readData(arg, strings.NewReader("")); err != nil {
			return err
		}
	}
	req := core.NewRequest(method, path, data)
	req.SetTimeout(v.timeout)
	v.sent++
	n := v.sent
	v.calls.Add(1)
	v.client.Send(req).OnResponse(func(res *core.Response) {
		v.out.response(n, res)
		if !res.IsProvisional() {
			v.calls.Done()
		}
	})
	return nil
}

// receive is the handler of all incoming requests.
func (v *conversation) receive(req *core.Request, _ core.Next) error {
	v.mu.Lock()
	v.received++
	n := v.received
	v.requests[n] = req
	v.mu.Unlock()
	v.out.request(n, req)
	return nil
}

// answer replies to the request whose number begins the line.
func (v *conversation) answer(line string) error {
	number, rest, _ := strings.Cut(line, " ")
	n, _ := strconv.Atoi(number)
	v.mu.Lock()
	req := v.requests[n]
	v.mu.Unlock()
	if req == nil {
		return fmt.Errorf("no request @%s waits for an answer", number)
	}
	code, rest, _ := strings.Cut(strings.TrimSpace(rest), " ")
	status, err := strconv.Atoi(code)
	if err != nil {
		return fmt.Errorf("%q is not a status; an answer looks like: @%d 200 OK", code, n)
	}
	reason, data := splitAnswer(strings.TrimSpace(rest))
	if err := req.Reply(status, reason, data); err != nil {
		return err
	}
	if req.Ended() {
		v.mu.Lock()
		delete(v.requests, n)
		v.mu.Unlock()
	}
	return nil
}

// splitAnswer parts a reason from the data behind it: the longest end of the line that
// begins a word and is JSON.
func splitAnswer(line string) (reason string, data core.JSON) {
	for i := range len(line) {
		if (i == 0 || line[i-1] == ' ') && json.Valid([]byte(line[i:])) {
			return strings.TrimSpace(line[:i]), core.JSON(strings.TrimSpace(line[i:]))
		}
	}
	return line, ""
}
