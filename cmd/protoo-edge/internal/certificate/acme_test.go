package certificate

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/certificate/certtest"
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

// TestACMEOneCertificate has clients of all kinds served with the one certificate in the cache, without asking for another.
func TestACMEOneCertificate(t *testing.T) {
	authority := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("the authority was asked: %s", r.URL) }))
	defer authority.Close()
	root, cache := certtest.NewAuthority(t), t.TempDir()
	serial := root.Write(t, cache, certtest.Validity{})
	var file []byte
	for _, part := range []string{"key.pem", "cert.pem"} {
		text, err := os.ReadFile(filepath.Join(cache, part))
		if err != nil {
			t.Fatal(err)
		}
		file = append(file, text...)
	}
	if err := os.WriteFile(filepath.Join(cache, "edge.example.com"), file, 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := NewACME(ACMEOptions{Domains: []string{"edge.example.com"}, Cache: cache, Directory: authority.URL})
	if err != nil {
		t.Fatal(err)
	}
	for name, client := range map[string]*tls.Config{
		"any version":  {},
		"TLS 1.2":      {MaxVersion: tls.VersionTLS12},
		"TLS 1.3":      {MinVersion: tls.VersionTLS13},
		"only X25519":  {MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519}},
		"as QUIC does": {MinVersion: tls.VersionTLS13, NextProtos: []string{"h3"}},
	} {
		client.RootCAs, client.ServerName = root.Pool(), "edge.example.com"
		near, far := net.Pipe()
		go func() {
			_ = tls.Server(far, &tls.Config{GetCertificate: a.GetCertificate, NextProtos: []string{"h3", "http/1.1"}}).Handshake()
		}()
		conn := tls.Client(near, client)
		if err := conn.Handshake(); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := conn.ConnectionState().PeerCertificates[0].SerialNumber; got.Cmp(serial) != 0 {
			t.Errorf("%s: got certificate %x, want %x", name, got, serial)
		}
		_ = near.Close()
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
