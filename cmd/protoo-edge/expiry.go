package main

import (
	"crypto/tls"
	"maps"
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
	if err == nil && cert.Leaf != nil {
		c.note(cert)
	}
	return cert, err
}

func (c *certificates) note(cert *tls.Certificate) {
	name := cert.Leaf.Subject.CommonName
	switch {
	case len(cert.Leaf.DNSNames) > 0:
		name = cert.Leaf.DNSNames[0]
	case len(cert.Leaf.IPAddresses) > 0:
		name = cert.Leaf.IPAddresses[0].String()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.known[name]; !ok && len(c.known) >= maxCertificates {
		return
	}
	if c.known == nil {
		c.known = make(map[string]time.Time)
	}
	c.known[name] = cert.Leaf.NotAfter
}

// expiries returns when the certificates that were served end, by name. A certificate that an authority would have to be asked
// for is not there before a client has asked.
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
