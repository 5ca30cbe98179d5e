package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/protoo-go/protoo/core"
)

// ValidURL tells whether text is a URL that can be called. It has no user name and password, because it is
// shown where secrets are not.
func ValidURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && u.User == nil && u.Fragment == ""
}

// maxHeader bounds the header of an answer, in bytes.
const maxHeader = 64 << 10

// poster makes signed calls.
type poster struct {
	url    string
	signer *Signer
	client *http.Client
}

// newPoster returns a poster with connections of its own, of which at most so many exist at a time. A nil transport is the usual one.
func newPoster(url string, signer *Signer, connections int, transport http.RoundTripper) *poster {
	if transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxConnsPerHost, t.MaxIdleConnsPerHost, t.MaxIdleConns = connections, connections, connections
		t.MaxResponseHeaderBytes = maxHeader
		t.DisableCompression = true // so that the bound of an answer is one of what is read
		transport = t
	}
	return &poster{url: url, signer: signer, client: &http.Client{
		Transport: transport,
		// What is sent is meant for the server that the operator has named.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// answer is what a server has answered.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// tooLong says that an answer has more than it may.
type tooLong int

func (e tooLong) Error() string { return fmt.Sprintf("the answer has more than %d bytes", int(e)) }

// post sends a body and returns the answer, as far as it was read if there is an error as well. The id names the
// message, and stays the same when it is sent again; trace is its traceparent (W3C Trace Context), "" if it has none.
func (p *poster) post(ctx context.Context, id, trace string, body []byte, most int) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "protoo-edge/"+core.Version)
	if trace != "" {
		req.Header.Set("Traceparent", trace)
	}
	p.signer.Sign(req.Header, id, time.Now(), body)
	res, err := p.client.Do(req)
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return nil, failed.Err // without the URL, whose query may be a secret
	}
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, int64(most)+1))
	if len(text) > most {
		text, err = text[:most], tooLong(most)
	}
	return &answer{res.StatusCode, res.Header, text}, err
}

func (p *poster) close() { p.client.CloseIdleConnections() }

// name is a URL without what may be a secret in it.
func name(rawURL string) string {
	rawURL, _, _ = strings.Cut(rawURL, "?")
	return rawURL
}
