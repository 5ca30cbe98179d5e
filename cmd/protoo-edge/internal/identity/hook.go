package identity

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sony/gobreaker/v2"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/webhook"
)

// Hook asks a back end who somebody is.
type Hook struct {
	URL     string // see [ValidURL]
	Secret  string // that calls are signed with, as Standard Webhooks has it; "" leaves them unsigned
	Timeout time.Duration
	// Concurrency is how many calls there are at a time. More wait, which counts for the timeout.
	Concurrency int
	// Failures in a row let calls rest for Pause; all are refused meanwhile.
	Failures int
	Pause    time.Duration
}

const maxAnswer = 64 << 10

// A hook decides by calling a back end. Whenever that does not answer properly, nobody is let in.
type hook struct {
	o       Hook
	client  *http.Client
	signer  *webhook.Signer
	slots   chan struct{}
	breaker *gobreaker.CircuitBreaker[*grant]
	report  func(error)
}

func newHook(o Hook, transport http.RoundTripper, report func(error)) (*hook, error) {
	h := &hook{o: o, slots: make(chan struct{}, o.Concurrency), report: report}
	var secrets []string
	if o.Secret != "" {
		secrets = []string{o.Secret}
	}
	var err error
	if h.signer, err = webhook.NewSigner(secrets); err != nil {
		return nil, &OptionError{"http.secret", err}
	}
	if transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost = o.Concurrency
		t.MaxResponseHeaderBytes = 64 << 10
		transport = t
	}
	h.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	h.breaker = gobreaker.NewCircuitBreaker[*grant](gobreaker.Settings{
		Timeout:     o.Pause,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= uint32(o.Failures) },
		IsSuccessful: func(err error) bool {
			d, denied := errors.AsType[*denial](err)
			return err == nil || denied && d.outcome != Unavailable
		},
		IsExcluded: func(err error) bool { return errors.Is(err, context.Canceled) }, // the client went away
		OnStateChange: func(_ string, _, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				report(fmt.Errorf("identity.http: calls rest for %v after %d failures", o.Pause, o.Failures))
			}
		},
	})
	return h, nil
}

func (h *hook) close() { h.client.CloseIdleConnections() }

var unanswered = &denial{Unavailable, http.StatusServiceUnavailable, "nobody can be let in at the moment"}

func (h *hook) decide(ctx context.Context, a *attempt) (*grant, error) {
	ctx, cancel := context.WithTimeout(ctx, h.o.Timeout)
	defer cancel()
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-ctx.Done():
		return nil, unanswered
	}
	g, err := h.breaker.Execute(func() (*grant, error) { return h.call(ctx, a) })
	d, denied := errors.AsType[*denial](err)
	switch {
	case err == nil:
		return g, nil
	case denied:
		return nil, d
	case !errors.Is(err, gobreaker.ErrOpenState) && !errors.Is(err, gobreaker.ErrTooManyRequests) && !errors.Is(err, context.Canceled):
		h.report(fmt.Errorf("identity.http: %w", err))
	}
	return nil, unanswered
}

// A question is what the back end is sent.
type question struct {
	Token    string `json:"token,omitempty"`
	Username string `json:"username,omitempty"` // with a password, or of a peer that is in already
	Password string `json:"password,omitempty"`
	UUID     string `json:"uuid,omitempty"`
	// Refresh is set when a peer that is in has a fresh token. The rest is then about no connection.
	Refresh    bool                `json:"refresh,omitempty"`
	Transport  string              `json:"transport,omitempty"`
	Path       string              `json:"path,omitempty"`
	Query      map[string][]string `json:"query,omitempty"`
	Header     map[string][]string `json:"header,omitempty"`
	Origin     string              `json:"origin,omitempty"`
	RemoteAddr string              `json:"remoteAddr,omitempty"`
	Secure     bool                `json:"secure,omitempty"`
}

// An answer is what it sends back: with status 200 who it is, with 4xx the reason why nobody.
type answer struct {
	Username string         `json:"username"`
	UUID     string         `json:"uuid"`
	Data     map[string]any `json:"data"`
	Expires  int64          `json:"expires"` // in Unix seconds
	Issued   int64          `json:"issued"`
	TokenID  string         `json:"tokenId"`
	Reason   string         `json:"reason"`
}

// call returns a denial or a grant where the back end has decided, and any other error where it has not.
func (h *hook) call(ctx context.Context, a *attempt) (*grant, error) {
	q := question{Token: a.token, Username: a.username, Password: a.password, UUID: a.uuid}
	if r := a.request; r != nil {
		q.Transport, q.Path, q.Query, q.Header = r.Transport, r.Path, r.Query, r.Header
		q.Origin, q.RemoteAddr, q.Secure = r.Origin, r.RemoteAddr, r.Secure
	}
	if a.peer != nil {
		q.Refresh, q.Username = true, a.peer.Username()
	}
	body, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, h.o.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	h.signer.Sign(request.Header, webhook.NewID(), time.Now(), body)
	response, err := h.client.Do(request)
	if err != nil {
		return nil, withoutURL(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	return readAnswer(response.StatusCode, text, a.uuid)
}

// withoutURL takes the URL out of an error, whose query may have a secret.
func withoutURL(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

// readAnswer returns what the back end has decided.
func readAnswer(status int, text []byte, uuid string) (*grant, error) {
	if len(text) > maxAnswer {
		return nil, fmt.Errorf("an answer of more than %d bytes", maxAnswer)
	}
	var what answer
	switch {
	case status == http.StatusOK:
		if err := json.Unmarshal(text, &what); err != nil {
			return nil, errors.New("an answer that is not the JSON object expected")
		}
	case status >= 400 && status < 500:
		_ = json.Unmarshal(text, &what) // a refusal counts without a reason, too
		return nil, &denial{Denied, status, clean(what.Reason)}
	default:
		return nil, fmt.Errorf("got status %d, expected 200 or 4xx", status)
	}
	if err := checkName(what.Username); err != nil {
		return nil, fmt.Errorf("the answer's username %w", err)
	}
	g := &grant{username: what.Username, uuid: uuid, data: what.Data, tokenID: what.TokenID}
	if what.UUID != "" {
		g.uuid = what.UUID
	}
	if what.Expires != 0 {
		g.expires = time.Unix(what.Expires, 0)
	}
	if what.Issued != 0 {
		g.issued = time.Unix(what.Issued, 0)
	}
	if len(g.tokenID) > maxName {
		return nil, fmt.Errorf("the answer's tokenId has more than %d bytes", maxName)
	}
	if !g.expires.IsZero() && !time.Now().Before(g.expires) {
		return nil, &denial{Expired, http.StatusUnauthorized, reasonExpired}
	}
	return g, nil
}

// clean makes a reason one line that fits a close frame.
func clean(reason string) string {
	reason = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(reason, "\ufffd"))
	const most = 123
	if len(reason) <= most {
		return reason
	}
	end := most
	for !utf8.RuneStart(reason[end]) {
		end--
	}
	return reason[:end]
}
