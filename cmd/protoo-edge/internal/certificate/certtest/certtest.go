// Package certtest makes certificates for tests.
package certtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// An Authority signs certificates.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Validity is when a certificate is valid; the zero value is from an hour ago until an hour from now.
type Validity struct{ From, To time.Time }

func (v Validity) orNow() Validity {
	if v.From.IsZero() {
		v.From = time.Now().Add(-time.Hour)
	}
	if v.To.IsZero() {
		v.To = time.Now().Add(time.Hour)
	}
	return v
}

// NewAuthority returns an authority of its own.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := new(Authority)
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "test authority"},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	a.cert, a.key = sign(t, template, Validity{}, nil)
	return a
}

// Pool returns what a client has to trust.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// WriteRoot writes what a client has to trust to root.pem in dir, and returns the file's name.
func (a *Authority) WriteRoot(t testing.TB, dir string) string {
	t.Helper()
	name := filepath.Join(dir, "root.pem")
	write(t, name, "CERTIFICATE", a.cert.Raw)
	return name
}

// Write writes a certificate for 127.0.0.1 and its key to cert.pem and key.pem in dir, and returns its serial number. Without an authority
// it is self-made.
func (a *Authority) Write(t testing.TB, dir string, v Validity) *big.Int {
	t.Helper()
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "test server"},
		DNSNames:    []string{"edge.example.com"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	cert, key := sign(t, template, v, a)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "cert.pem"), "CERTIFICATE", cert.Raw)
	write(t, filepath.Join(dir, "key.pem"), "PRIVATE KEY", der)
	return cert.SerialNumber
}

func sign(t testing.TB, template *x509.Certificate, v Validity, by *Authority) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	v = v.orNow()
	template.NotBefore, template.NotAfter = v.From, v.To
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 64)); err != nil {
		t.Fatal(err)
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func write(t testing.TB, name, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}
