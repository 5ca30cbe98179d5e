package main

import (
	"crypto/tls"
	"crypto/x509"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/certificate"
)

// certificates is a source that remembers when what it has served ends.
type certificates struct {
	certificate.Source

	mu    sync.Mutex
	known map[string]time.Time // by the first name that a certificate is for
}

// maxCertificates bounds the names. A source has one certificate, or one for each domain of the configuration.
const maxCertificates = 128

func (c *certificates) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	cert, err := c.Source.GetCertificate(hello)
	// An authority that looks whether a domain is ours gets a certificate for that alone.
	if err == nil && cert.Leaf != nil && !slices.Contains(hello.SupportedProtos, certificate.ACMEProtocol) {
		c.note(cert.Leaf)
	}
	return cert, err
}

func (c *certificates) note(leaf *x509.Certificate) {
	name := leaf.Subject.CommonName
	switch {
	case len(leaf.DNSNames) > 0:
		name = leaf.DNSNames[0]
	case len(leaf.IPAddresses) > 0:
		name = leaf.IPAddresses[0].String()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.known[name]; !ok && len(c.known) >= maxCertificates {
		return
	}
	if c.known == nil {
		c.known = make(map[string]time.Time)
	}
	c.known[name] = leaf.NotAfter
}

// expiries returns when the certificates that were fetched or served end, by name. It does not ask an authority.
func (c *certificates) expiries() map[string]time.Time {
	if c == nil {
		return nil
	}
	if _, fetched := c.Source.(*certificate.ACME); !fetched {
		_, _ = c.GetCertificate(&tls.ClientHelloInfo{}) // without one there is nothing to tell
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.known)
}
