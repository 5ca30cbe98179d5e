package certificate

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestACMERefuses asks for what the authority is not bothered with.
func TestACMERefuses(t *testing.T) {
	asked := false
	authority := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
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
	if asked {
		t.Error("the authority was asked")
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
