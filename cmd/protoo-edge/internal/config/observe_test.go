package config

import (
	"maps"
	"testing"
)

func TestParseHeaders(t *testing.T) {
	for text, want := range map[string]map[string]string{
		"":                               {},
		"Authorization=Bearer%20a%2Cb":   {"Authorization": "Bearer a,b"},
		" X-Tenant = y , Authorization=": {"X-Tenant": "y", "Authorization": ""},
		"a=b=c":                          {"a": "b=c"},
	} {
		if got, ok := ParseHeaders(text); !ok || !maps.Equal(got, want) {
			t.Errorf("%q is %v, %t", text, got, ok)
		}
	}
	for _, text := range []string{"a", "=b", "a=%", "a=%0a", "a b=c", "a=b,", "ä=b"} {
		if got, ok := ParseHeaders(text); ok {
			t.Errorf("%q is %v", text, got)
		}
	}
}

func TestTracingSettings(t *testing.T) {
	c := parse(t, "tracing: {endpoint: 'https://collector.example.com/v1/traces', headers: 'X-Key=s3cret', sample_percent: 100, peers: true}")
	want := Tracing{Endpoint: "https://collector.example.com/v1/traces", Headers: "X-Key=s3cret", Percent: 100, Peers: true, Service: "protoo-edge"}
	if c.Tracing != want {
		t.Errorf("got %+v", c.Tracing)
	}
	for _, bad := range []string{"{endpoint: collector}", "{endpoint: 'ftp://a/'}", "{endpoint: 'http://a:b@c/'}", "{headers: x}", "{sample_percent: 101}"} {
		if _, err := load(Sources{File: "edge.yaml"}, []byte("tracing: "+bad)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}
