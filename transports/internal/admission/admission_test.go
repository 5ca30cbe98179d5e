package admission

import "testing"

func TestNetwork(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:5678":           "192.0.2.1",
		"192.0.2.1":                "192.0.2.1",
		"[::ffff:192.0.2.1]:5678":  "192.0.2.1",
		"::ffff:192.0.2.1":         "192.0.2.1",
		"[2001:db8:1:2:3::4]:5678": "2001:db8:1:2::",
		"2001:db8:1:2:ffff::":      "2001:db8:1:2::",
		"[2001:db8:1:3::4]:5678":   "2001:db8:1:3::",
		"[fe80::1%eth0]:5678":      "fe80::",
		"[::1]:80":                 "::",
		"":                         "invalid IP",
		"@":                        "invalid IP",
		"/run/socket":              "invalid IP",
		"example.com:80":           "invalid IP",
		"192.0.2.1:":               "invalid IP",
		"192.0.2.256:80":           "invalid IP",
		"192.0.2.1, 192.0.2.2":     "invalid IP",
	} {
		if got := Network(remote).String(); got != want {
			t.Errorf("%q: got %s, want %s", remote, got, want)
		}
	}
}

func TestOrigins(t *testing.T) {
	patterns := Origins{"https://app.example.com", "https://*.example.org", "*.example.net", "http://[::1]:8080"}
	for _, tt := range []struct {
		origin string
		want   bool
	}{
		{"", true},
		{"https://edge.example.com", true}, // the host itself
		{"http://EDGE.example.com", true},
		{"https://app.example.com", true},
		{"https://APP.example.com", true},
		{"http://app.example.com", false},
		{"https://app.example.com:8443", false},
		{"https://a.example.org", true},
		{"https://example.org", false},
		{"http://a.example.net", true},
		{"https://a.example.net.evil.example", false},
		{"null", false},
		{"https://a b", false},
		{"%", false},
	} {
		if got := patterns.Allow(tt.origin, "edge.example.com"); got != tt.want {
			t.Errorf("%q: got %v, want %v", tt.origin, got, tt.want)
		}
	}
	if !(Origins{"*"}).Allow("null", "edge.example.com") {
		t.Error("* does not allow all")
	}
	if err := (Origins{"https://*.example.com", "["}).Check(); err == nil || err.Error() != `malformed origin pattern "["` {
		t.Errorf("got %v", err)
	}
	if err := patterns[:3].Check(); err != nil {
		t.Error(err)
	}
}
