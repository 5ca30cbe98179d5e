package tracing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxWaiting   = 2048 // spans; more are lost
	maxBatch     = 512
	batchTime    = 5 * time.Second // how long a span may wait for others
	postTimeout  = 10 * time.Second
	reportEvery  = time.Minute
	maxComplaint = 256 // bytes of a collector's answer that are reported
)

// An exporter collects spans, and sends them to the collector. While that does not answer they are lost, and counted.
type exporter struct {
	options Options
	client  *http.Client
	spans   chan *span
	closing chan struct{}
	ended   chan struct{}
	give    context.Context // ends when nobody waits for the last spans any more
	up      context.CancelFunc

	start      sync.Once // of the goroutine that sends
	closed     atomic.Bool
	sent, lost atomic.Uint64
	reported   time.Time // of the goroutine that sends
}

func newExporter(o Options) *exporter {
	e := &exporter{
		options: o,
		client: &http.Client{
			Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConns: 1, IdleConnTimeout: time.Minute},
			Timeout:   postTimeout,
			// What follows a redirect has the headers, and so perhaps a secret, for another host.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		spans:   make(chan *span, maxWaiting),
		closing: make(chan struct{}),
		ended:   make(chan struct{}),
	}
	e.give, e.up = context.WithCancel(context.Background())
	return e
}

func (e *exporter) add(s *span) {
	if e.closed.Load() {
		e.lost.Add(1)
		return
	}
	e.start.Do(func() { go e.run() })
	select {
	case e.spans <- s:
	default:
		e.lost.Add(1)
	}
}

func (e *exporter) close(ctx context.Context) {
	if !e.closed.CompareAndSwap(false, true) {
		return
	}
	stop := context.AfterFunc(ctx, e.up)
	defer stop()
	close(e.closing)
	e.start.Do(func() { close(e.ended) }) // there was nothing to send
	<-e.ended
	e.up()
	e.client.CloseIdleConnections()
}

func (e *exporter) run() {
	defer close(e.ended)
	timer := time.NewTimer(batchTime)
	timer.Stop()
	defer timer.Stop()
	var batch []*span
	for closing := false; !closing; {
		select {
		case s := <-e.spans:
			if batch = append(batch, s); len(batch) == 1 {
				timer.Reset(batchTime)
			}
			if len(batch) < maxBatch {
				continue
			}
		case <-timer.C:
		case <-e.closing:
			closing = true
		}
		timer.Stop()
		e.send(batch)
		batch = nil
	}
	for len(e.spans) > 0 {
		for len(e.spans) > 0 && len(batch) < maxBatch {
			batch = append(batch, <-e.spans)
		}
		e.send(batch)
		batch = nil
	}
}

func (e *exporter) send(batch []*span) {
	if len(batch) == 0 {
		return
	}
	if err := e.post(encode(&e.options, batch)); err != nil {
		e.lost.Add(uint64(len(batch)))
		if now := time.Now(); e.options.Report != nil && (e.reported.IsZero() || now.Sub(e.reported) >= reportEvery) {
			e.reported = now
			e.options.Report(err)
		}
		return
	}
	e.sent.Add(uint64(len(batch)))
}

func (e *exporter) post(body []byte) error {
	req, err := http.NewRequestWithContext(e.give, http.MethodPost, e.options.Endpoint, bytes.NewReader(body))
	if err != nil {
		return errors.New("the collector's address is not valid") // the error would quote all of it
	}
	req.Header.Set("Content-Type", "application/json")
	for name, value := range e.options.Headers {
		req.Header.Set(name, value)
	}
	res, err := e.client.Do(req)
	if quoting, ok := errors.AsType[*url.Error](err); ok {
		err = quoting.Err // without the address
	}
	if err != nil {
		return fmt.Errorf("the collector does not answer: %w", err)
	}
	defer func() { _ = res.Body.Close() }() // only its connection is wanted
	text, _ := io.ReadAll(io.LimitReader(res.Body, maxComplaint))
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("the collector answers %s: %q", res.Status, text)
	}
	return nil
}
