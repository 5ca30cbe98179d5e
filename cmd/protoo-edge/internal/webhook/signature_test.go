package webhook

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestSign compares with the vector that the libraries of Standard Webhooks are tested with.
func TestSign(t *testing.T) {
	s := newSigner(t)
	h := http.Header{}
	s.Sign(h, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	const signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	for name, want := range map[string]string{
		"webhook-id":        "msg_p5jXN8AQM9LWM0D4loKWxJek",
		"webhook-timestamp": "1614265330",
		"webhook-signature": signature,
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	// A second secret signs beside the first.
	if err := s.SetSecrets([]string{"whsec_" + strings.Repeat("A", 32), secret}); err != nil {
		t.Fatal(err)
	}
	s.Sign(h, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if got := strings.Fields(h.Get("webhook-signature")); len(got) != 2 || got[1] != signature || !strings.HasPrefix(got[0], "v1,") {
		t.Errorf("got the signatures %q", got)
	}
}

func TestSecrets(t *testing.T) {
	for text, want := range map[string]bool{
		secret:                                true,
		"whsec_" + strings.Repeat("A", 32):    true,
		"whsec_" + strings.Repeat("A", 28):    false, // 21 bytes
		"whsec_" + strings.Repeat("AAAA", 22): false, // 66 bytes
		"whsec_" + strings.Repeat("?", 32):    false,
		strings.Repeat("A", 32):               false,
		"":                                    false,
	} {
		if got := ValidSecret(text); got != want {
			t.Errorf("%q: got %v", text, got)
		}
	}
	s := newSigner(t)
	if err := s.SetSecrets([]string{"whsec_hunter2"}); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v, want an error without the secret", err)
	}
	if err := s.SetSecrets([]string{secret, secret, secret, secret, secret}); err == nil {
		t.Error("five secrets are taken")
	}
	h := http.Header{}
	if s.Sign(h, "id", time.Now(), nil); h.Get(HeaderSignature) == "" {
		t.Error("a mistake has taken the secrets away")
	}
}

func TestURLs(t *testing.T) {
	for text, want := range map[string]bool{
		"https://example.com/hooks?tenant=1": true,
		"http://127.0.0.1:8080":              true,
		"http://[::1]:8080/x":                true,
		"https://user:pass@example.com/":     false,
		"https:///hooks":                     false,
		"ftp://example.com/":                 false,
		"example.com/hooks":                  false,
		"https://example.com/#part":          false,
		"":                                   false,
	} {
		if got := ValidURL(text); got != want {
			t.Errorf("%q: got %v", text, got)
		}
	}
}
