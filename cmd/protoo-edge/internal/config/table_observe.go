package config

import (
	"net/url"
	"strings"
)

// Tracing says which requests are traced, and where traces are sent to.
type Tracing struct {
	Endpoint string // a URL, "" when it is off
	Headers  string // for the endpoint: Name=value, separated by commas
	Percent  int    // of the requests that are part of no trace yet
	Peers    bool   // spans say who has sent a request
	Service  string // the name of this one
}

func (c *Config) observeTable() []*Setting {
	t := &c.Tracing
	return []*Setting{
		{Key: "tracing.endpoint", value: checked(text(&t.Endpoint, "", "a URL such as http://127.0.0.1:4318/v1/traces"), isEndpoint), Doc: `
Send traces of requests here, to an OpenTelemetry collector (OTLP over HTTP, in JSON). Off by default.`},
		{Key: "tracing.headers", value: checked(text(&t.Headers, "", "headers as in Authorization=Bearer x,X-Tenant=y"), isHeaders), Secret: true, Doc: `
What the collector wants as HTTP headers, with percent-encoded values.`},
		{Key: "tracing.sample_percent", value: number(&t.Percent, 1, 0, 100), Doc: `
How many of the requests that come without a traceparent are traced. Those that come with one are traced if it says so.`},
		{Key: "tracing.peers", value: toggle(&t.Peers, false), Doc: `
Say in traces who has sent a request. Without it they have no personal data.`},
		{Key: "tracing.service", value: text(&t.Service, "protoo-edge", "a name"), Doc: `
The name that this server has in traces.`},
	}
}

func isEndpoint(s string) bool {
	u, err := url.Parse(s)
	return s == "" || err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil
}

func isHeaders(s string) bool {
	_, ok := ParseHeaders(s)
	return ok
}

// ParseHeaders reads headers as OTEL_EXPORTER_OTLP_HEADERS has them.
func ParseHeaders(s string) (headers map[string]string, ok bool) {
	headers = make(map[string]string)
	if s == "" {
		return headers, true
	}
	for field := range strings.SplitSeq(s, ",") {
		name, value, found := strings.Cut(field, "=")
		name = strings.TrimSpace(name)
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if !found || err != nil || !isToken(name) || !printable(value) {
			return nil, false
		}
		headers[name] = value
	}
	return headers, true
}

// isToken tells whether s can be the name of a header (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	return s != "" && strings.Trim(s, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}
