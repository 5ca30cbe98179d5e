package tracing

import (
	"encoding/json"
	"strconv"
	"time"
)

// The messages of OTLP in their JSON form, as far as they are needed here
// (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding): identifiers are in hex, 64-bit integers are strings.
type (
	otlpRequest struct {
		ResourceSpans []otlpResourceSpans `json:"resourceSpans"`
	}
	otlpResourceSpans struct {
		Resource   otlpResource     `json:"resource"`
		ScopeSpans []otlpScopeSpans `json:"scopeSpans"`
	}
	otlpResource struct {
		Attributes []otlpAttribute `json:"attributes"`
	}
	otlpScopeSpans struct {
		Scope otlpScope  `json:"scope"`
		Spans []otlpSpan `json:"spans"`
	}
	otlpScope struct {
		Name    string `json:"name"`
		Version string `json:"version,omitempty"`
	}
	otlpSpan struct {
		TraceID    string          `json:"traceId"`
		SpanID     string          `json:"spanId"`
		ParentID   string          `json:"parentSpanId,omitempty"`
		Flags      int             `json:"flags"`
		Name       string          `json:"name"`
		Kind       int             `json:"kind"`
		Start      string          `json:"startTimeUnixNano"`
		End        string          `json:"endTimeUnixNano"`
		Attributes []otlpAttribute `json:"attributes"`
		Events     []otlpEvent     `json:"events,omitempty"`
		Status     otlpStatus      `json:"status"`
	}
	otlpEvent struct {
		Time       string          `json:"timeUnixNano"`
		Name       string          `json:"name"`
		Attributes []otlpAttribute `json:"attributes"`
	}
	otlpStatus struct {
		Code    int    `json:"code,omitempty"`
		Message string `json:"message,omitempty"`
	}
	otlpAttribute struct {
		Key   string    `json:"key"`
		Value otlpValue `json:"value"`
	}
	otlpValue struct {
		Text   string `json:"stringValue,omitempty"`
		Number string `json:"intValue,omitempty"`
	}
)

const (
	kindServer  = 2 // SPAN_KIND_SERVER
	statusError = 2 // STATUS_CODE_ERROR
	flagSampled = 1
)

func encode(o *Options, batch []*span) []byte {
	spans := make([]otlpSpan, len(batch))
	for i, s := range batch {
		spans[i] = s.otlp()
	}
	body, err := json.Marshal(otlpRequest{[]otlpResourceSpans{{
		Resource:   otlpResource{[]otlpAttribute{text("service.name", o.Service), text("service.version", o.Version)}},
		ScopeSpans: []otlpScopeSpans{{otlpScope{Name: "github.com/protoo-go/protoo", Version: o.Version}, spans}},
	}}})
	if err != nil {
		panic(err) // texts and numbers can be encoded
	}
	return body
}

// otlp returns a span that has ended, and so does not change any more.
func (s *span) otlp() otlpSpan {
	s.mu.Lock()
	defer s.mu.Unlock()
	to := otlpSpan{
		TraceID:    s.trace,
		SpanID:     s.id,
		ParentID:   s.parent,
		Flags:      flagSampled,
		Name:       s.method,
		Kind:       kindServer,
		Start:      nanos(s.start),
		End:        nanos(s.start.Add(s.took)),
		Attributes: []otlpAttribute{text("rpc.system", "protoo"), text("rpc.method", s.method)},
	}
	add := func(key, value string) {
		if value != "" {
			to.Attributes = append(to.Attributes, text(key, value))
		}
	}
	add("protoo.route", s.route)
	add("protoo.transport", s.transport)
	add("enduser.id", s.username)
	add("protoo.peer.uuid", s.uuid)
	if s.route != "" {
		to.Name += " " + s.route
	}
	switch {
	case s.status == 0:
		to.Status = otlpStatus{statusError, "the peer went offline before the final response"}
	case s.status >= 500:
		to.Status = otlpStatus{Code: statusError}
		fallthrough
	default:
		to.Attributes = append(to.Attributes, number("protoo.status", s.status))
	}
	for _, e := range s.events {
		to.Events = append(to.Events, otlpEvent{nanos(e.at), "provisional response", []otlpAttribute{number("protoo.status", e.status)}})
	}
	return to
}

func text(key, value string) otlpAttribute { return otlpAttribute{key, otlpValue{Text: value}} }

func number(key string, value int) otlpAttribute {
	return otlpAttribute{key, otlpValue{Number: strconv.Itoa(value)}}
}

func nanos(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }
