// Package certificate is where a server's certificates come from: files, or an authority that is asked through ACME.
package certificate

import "crypto/tls"

// A Source finds the certificate for a handshake. Every listener that encrypts shares one, whatever its transport. Any goroutine
// may call it.
type Source interface {
	GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
}
