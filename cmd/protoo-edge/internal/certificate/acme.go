package certificate

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// ACMEOptions say what is fetched and from whom.
type ACMEOptions struct {
	Domains   []string // nothing else is fetched, whatever clients ask for
	Email     string   // of the account, may be empty
	Cache     string   // directory for certificates and the account's key
	Directory string   // URL of the authority
	UserAgent string

	// KeyID and Key, in base64url, bind the account to another that the authority knows. Empty means no binding.
	KeyID, Key string
}

// ACME fetches certificates with Fetch, or when the first client asks for them, and renews them before they expire (RFC 8555). It proves that a domain
// is ours in TLS handshakes (tls-alpn-01, RFC 8737), for which a listener offers [ACMEProtocol], and over plain HTTP where there is [ACME.Handler].
// That the authority's terms are agreed to is the caller's promise.
type ACME struct {
	manager *autocert.Manager
	domains []string
}

// ACMEProtocol is what a TLS listener offers besides its own protocols.
const ACMEProtocol = acme.ALPNProto

// NewACME returns a source that has not fetched anything yet.
func NewACME(o ACMEOptions) (*ACME, error) {
	m := &autocert.Manager{
		Prompt:     autocert.AcceptTOS,
		Cache:      autocert.DirCache(o.Cache),
		HostPolicy: autocert.HostWhitelist(o.Domains...),
		Email:      o.Email,
		Client:     &acme.Client{DirectoryURL: o.Directory, UserAgent: o.UserAgent},
	}
	if o.Key != "" {
		key, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(o.Key, "="))
		if err != nil {
			return nil, fmt.Errorf("the key for external account binding is not base64url: %w", err)
		}
		m.ExternalAccountBinding = &acme.ExternalAccountBinding{KID: o.KeyID, Key: key}
	}
	return &ACME{m, o.Domains}, nil
}

// GetCertificate implements [Source]. It waits for the authority when a certificate has to be fetched first.
//
// The manager looks for ECDSA in the cipher suites and curves as well, which say nothing of signatures any more in TLS 1.3 (RFC 8446, section 4.2.3). A client
// that offers nothing older, as all do over QUIC, would have another certificate fetched for it, with RSA. So the manager is shown what TLS 1.3 implies.
func (a *ACME) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if slices.Contains(hello.SupportedVersions, tls.VersionTLS13) {
		shown := *hello
		shown.CipherSuites, shown.SupportedCurves = []uint16{suiteECDSA}, nil
		hello = &shown
	}
	return a.manager.GetCertificate(hello)
}

const suiteECDSA = tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256

// Fetch fetches the certificates that are not in the cache, one after the other, so that the first clients need not wait for them
// longer than a handshake may take. What answers the authority must be listening. It tells how it went with each.
func (a *ACME) Fetch(fetched func(domain string, leaf *x509.Certificate, err error)) {
	for _, domain := range a.domains {
		// As a client of today would ask for it.
		certificate, err := a.manager.GetCertificate(&tls.ClientHelloInfo{
			ServerName:   domain,
			CipherSuites: []uint16{suiteECDSA},
		})
		if err != nil {
			fetched(domain, nil, err)
			continue
		}
		fetched(domain, certificate.Leaf, nil)
	}
}

// Handler answers the authority's requests over plain HTTP (http-01, RFC 8555, section 8.3), and leaves others to next. The authority asks at port 80;
// what forwards that to another port may put it into the Host field, in which the manager wants a name.
func (a *ACME) Handler(next http.Handler) http.Handler {
	h := a.manager.HTTPHandler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host, _, err := net.SplitHostPort(r.Host); err == nil && strings.HasPrefix(r.URL.Path, "/.well-known/acme-challenge/") {
			r = r.Clone(r.Context())
			r.Host = host
		}
		h.ServeHTTP(w, r)
	})
}
