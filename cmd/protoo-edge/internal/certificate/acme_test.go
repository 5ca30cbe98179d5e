package certificate

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// TestACMERefuses asks for what the authority is not bothered with.
func TestACMERefuses(t *testing.T) {
	var asked atomic.Bool
	authority := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Store(true) }))
	defer authority.Close()
	a, err := NewACME(ACMEOptions{Domains: []string{"edge.example.com"}, Cache: t.TempDir(), Directory: authority.URL})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"other.example.com": `host "other.example.com" not configured`,
		"":                  "missing server name",
		"../edge.x":         "server name contains invalid character",
	} {
		if _, err := a.GetCertificate(&tls.ClientHelloInfo{ServerName: name}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", name, err, want)
		}
	}
	if asked.Load() {
		t.Error("the authority was asked")
	}

	failed := ""
	a.Fetch(func(domain string, leaf *x509.Certificate, err error) {
		if leaf == nil && err != nil {
			failed += domain
		}
	})
	if failed != "edge.example.com" {
		t.Errorf("told that %q could not be fetched", failed)
	}
	if !asked.Load() {
		t.Error("the authority was not asked for what is configured")
	}
}

func TestACMEHandler(t *testing.T) {
	a, err := NewACME(ACMEOptions{Domains: []string{"edge.example.com"}, Cache: t.TempDir(), KeyID: "us", Key: "c2VjcmV0IQ=="})
	if err != nil {
		t.Fatal(err)
	}
	h := a.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	for url, want := range map[string]int{
		"http://edge.example.com/":                                   http.StatusTeapot,
		"http://edge.example.com:8080/":                              http.StatusTeapot,
		"http://edge.example.com/.well-known/acme-challenge/x":       http.StatusNotFound,
		"http://edge.example.com:8080/.well-known/acme-challenge/x":  http.StatusNotFound,
		"http://other.example.com:8080/.well-known/acme-challenge/x": http.StatusForbidden,
	} {
		r := httptest.NewRequest(http.MethodGet, url, nil)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s: got %d, want %d", url, w.Code, want)
		}
	}
}

func TestACMEKey(t *testing.T) {
	if _, err := NewACME(ACMEOptions{Key: "c"}); err == nil || !strings.HasPrefix(err.Error(), "the key for external account binding is not base64url: ") {
		t.Errorf("got %v", err)
	}
}
