package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/throttle"
	"github.com/protoo-go/protoo/core"
)

// ForwardOptions say who answers requests, and what that may take. Zero numbers are the defaults that are named.
type ForwardOptions struct {
	URL    string
	Signer *Signer

	Timeout     time.Duration // of a call; default 5 s
	Concurrency int           // calls at a time; default 64
	MaxAnswer   int           // bytes; default 64 KiB

	// Failed is called when calls have failed, at most once a minute: how many since the last call, and why the last one
	// has. It may be nil.
	Failed func(url string, calls int, reason string)

	// Transport makes the calls. Default is net/http's, with connections of its own.
	Transport http.RoundTripper
}

// A Forwarder answers requests with what another server says. Any goroutine may use it.
type Forwarder struct {
	o        ForwardOptions
	poster   *poster
	slots    chan struct{}
	failures throttle.Throttle

	answered, refused, failed, timeouts, canceled atomic.Uint64
}

// NewForwarder returns a forwarder to this URL.
func NewForwarder(o ForwardOptions) *Forwarder {
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Concurrency == 0 {
		o.Concurrency = 64
	}
	if o.MaxAnswer == 0 {
		o.MaxAnswer = 64 << 10
	}
	return &Forwarder{
		o:      o,
		poster: newPoster(o.URL, o.Signer, o.Concurrency, o.Transport),
		slots:  make(chan struct{}, o.Concurrency),
	}
}

// call is what the other server is asked.
type call struct {
	Method     string          `json:"method"`
	Path       string          `json:"path"` // the whole one
	ID         string          `json:"id"`
	Data       json.RawMessage `json:"data,omitempty"`
	Sender     json.RawMessage `json:"sender,omitempty"`
	Connection *connection     `json:"connection,omitempty"`
}

type connection struct {
	Transport string `json:"transport"`
	Address   string `json:"address"`
}

// Handle takes a request over, and answers it when the other server has answered. The peer's next requests do not wait for
// that, so that one slow answer does not hold up the others: their order may change.
func (f *Forwarder) Handle(req *core.Request, _ core.Next) error {
	select {
	case f.slots <- struct{}{}:
	default:
		f.refused.Add(1)
		return core.Error(http.StatusServiceUnavailable, "too many requests are being forwarded")
	}
	c := call{
		Method: req.Method(),
		Path:   req.OriginalPath(),
		ID:     req.ID(),
		Data:   json.RawMessage(req.Data()),
		Sender: json.RawMessage(req.Sender()),
	}
	if conn := req.Peer().Conn(); conn != nil {
		transport, address, _ := strings.Cut(conn.String(), "/")
		c.Connection = &connection{transport, address}
	}
	go func() {
		defer func() { <-f.slots }()
		status, reason, data := f.ask(req.Context(), &c, req.TraceParent())
		err := req.Reply(status, reason, data)
		if err == nil || errors.Is(err, core.ErrReplied) || errors.Is(err, core.ErrOffline) || errors.Is(err, core.ErrSlow) {
			return
		}
		f.problem(err)
		_ = req.Reply(http.StatusBadGateway, "the back end gave an answer that cannot be sent") // of which the same is true
	}()
	return nil
}

// ask calls the other server and returns what to answer with.
func (f *Forwarder) ask(peer context.Context, c *call, trace string) (status int, reason string, data json.RawMessage) {
	var body bytes.Buffer
	e := json.NewEncoder(&body)
	e.SetEscapeHTML(false)
	if err := e.Encode(c); err != nil {
		f.problem(err)
		return http.StatusInternalServerError, "the request cannot be forwarded", nil
	}
	ctx, cancel := context.WithTimeout(peer, f.o.Timeout)
	defer cancel()
	res, err := f.poster.post(ctx, NewID(), trace, body.Bytes(), f.o.MaxAnswer)
	switch {
	case err == nil:
	case peer.Err() != nil:
		f.canceled.Add(1)
		return http.StatusGone, "peer offline", nil
	case res != nil: // too long, or broken off
		f.problem(err)
		return http.StatusBadGateway, "the back end did not answer as it should", nil
	case errors.Is(err, context.DeadlineExceeded):
		f.timeouts.Add(1)
		f.report("no answer in " + f.o.Timeout.String())
		return http.StatusGatewayTimeout, "the back end did not answer in time", nil
	default:
		f.problem(err)
		return http.StatusBadGateway, "the back end cannot be reached", nil
	}
	switch res.status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		f.problem(fmt.Errorf("the back end answered %d", res.status))
		return http.StatusServiceUnavailable, "the back end is busy", nil
	case http.StatusGatewayTimeout:
		f.problem(fmt.Errorf("the back end answered %d", res.status))
		return http.StatusGatewayTimeout, "the back end did not answer in time", nil
	}
	if res.status < 200 || res.status > 299 {
		f.problem(fmt.Errorf("the back end answered %d", res.status))
		return http.StatusBadGateway, fmt.Sprintf("the back end answered %d", res.status), nil
	}
	status, reason, data, err = readAnswer(res.body)
	if err != nil {
		f.problem(err)
		return http.StatusBadGateway, "the back end did not answer as it should", nil
	}
	f.answered.Add(1)
	return status, reason, data
}

// readAnswer reads the body of a successful answer: an object of a number called status, and perhaps a reason and data, or
// else any JSON, which is the data of a 200. An object with any other key is such data.
func readAnswer(body []byte) (status int, reason string, data json.RawMessage, err error) {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return http.StatusOK, "OK", nil, nil
	}
	if !json.Valid(body) {
		return 0, "", nil, errors.New("the back end did not answer with JSON")
	}
	var fields map[string]json.RawMessage
	if body[0] == '{' {
		if err := json.Unmarshal(body, &fields); err != nil {
			return 0, "", nil, err
		}
	}
	if text, ok := fields["status"]; !ok || !strings.Contains("-0123456789", string(text[:1])) {
		return http.StatusOK, "OK", body, nil
	}
	for key := range fields {
		if key != "status" && key != "reason" && key != "data" {
			return http.StatusOK, "OK", body, nil
		}
	}
	if err := json.Unmarshal(fields["status"], &status); err != nil || status < 200 || status > 699 {
		return 0, "", nil, errors.New("the back end answered with a status that is not a whole number from 200 to 699")
	}
	if text, ok := fields["reason"]; ok {
		if err := json.Unmarshal(text, &reason); err != nil {
			return 0, "", nil, errors.New("the back end answered with a reason that is not a text")
		}
	}
	return status, reason, fields["data"], nil
}

func (f *Forwarder) problem(err error) {
	f.failed.Add(1)
	f.report(err.Error())
}

func (f *Forwarder) report(reason string) {
	if n := f.failures.Hit(1); n > 0 && f.o.Failed != nil {
		f.o.Failed(name(f.o.URL), n, reason)
	}
}

// ForwardStats are the figures of a forwarder since the start, and of this moment.
type ForwardStats struct {
	URL      string // without its query
	Answered uint64 // with what the other server said
	Refused  uint64 // because too many were being forwarded
	Failed   uint64 // because of the other server, or of the way to it
	Timeouts uint64
	Canceled uint64 // because the peer went offline
	Active   int    // being forwarded now
}

// Stats returns the figures.
func (f *Forwarder) Stats() ForwardStats {
	return ForwardStats{
		URL:      name(f.o.URL),
		Answered: f.answered.Load(),
		Refused:  f.refused.Load(),
		Failed:   f.failed.Load(),
		Timeouts: f.timeouts.Load(),
		Canceled: f.canceled.Load(),
		Active:   len(f.slots),
	}
}
