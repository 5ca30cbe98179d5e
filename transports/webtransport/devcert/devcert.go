// Package devcert makes certificates that nobody has signed, for development. Browsers accept them for WebTransport, and for nothing
// else, if the page names their hashes in the option serverCertificateHashes, if they have an ECDSA key and if they are
// valid for less than two weeks.
//
//	source, err := devcert.New("localhost", "127.0.0.1", "::1")
//	config := &tls.Config{GetCertificate: source.GetCertificate}
package devcert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"sync"
	"time"
)

const (
	validity = 13 * 24 * time.Hour // browsers take up to 14 days
	headway  = time.Hour           // before now, for clocks that are slow

	// announced is the age at which a certificate's successor is made, so that pages learn its hash, and replaced that
	// at which the successor takes its place. A page that is open, and knows both hashes, can connect again for days.
	announced = 6 * 24 * time.Hour
	replaced  = 11 * 24 * time.Hour
)

// A Source is a certificate, and the next one. Its methods may be called by any goroutine.
type Source struct {
	names []string
	ips   []net.IP

	mu      sync.Mutex
	current *certificate
	next    *certificate // nil until it is announced
}

type certificate struct {
	tls  tls.Certificate
	hash [sha256.Size]byte
	made time.Time
}

// New returns a source of certificates for these host names and IP addresses. Browsers that are given the hash do not look at
// them, other clients do.
func New(hosts ...string) (*Source, error) {
	s := new(Source)
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			s.ips = append(s.ips, ip)
		} else {
			s.names = append(s.names, host)
		}
	}
	var err error
	s.current, err = s.make(time.Now())
	return s, err
}

// GetCertificate returns the certificate of this moment. It is for tls.Config, and takes no notice of its argument.
func (s *Source) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.rotate(time.Now()); err != nil {
		return nil, err
	}
	return &s.current.tls, nil
}

// Hashes returns the SHA-256 hashes of the certificates that clients are to accept: the one in use, and the next if it is
// near. A page should ask for them each time it connects.
func (s *Source) Hashes() ([][sha256.Size]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.rotate(time.Now()); err != nil {
		return nil, err
	}
	hashes := [][sha256.Size]byte{s.current.hash}
	if s.next != nil {
		hashes = append(hashes, s.next.hash)
	}
	return hashes, nil
}

// rotate makes the next certificate, and lets it take the place of the current one, when it is time. s.mu is held.
func (s *Source) rotate(now time.Time) (err error) {
	if s.next != nil && now.Sub(s.current.made) >= replaced {
		s.current, s.next = s.next, nil
	}
	if now.Sub(s.current.made) >= replaced { // nobody has asked for long
		s.current, err = s.make(now)
		return err
	}
	if s.next == nil && now.Sub(s.current.made) >= announced {
		s.next, err = s.make(now)
	}
	return err
}

func (s *Source) make(now time.Time) (*certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("make a serial number: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "protoo development"},
		NotBefore:    now.Add(-headway),
		NotAfter:     now.Add(validity - headway),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     s.names,
		IPAddresses:  s.ips,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	return &certificate{
		tls:  tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf},
		hash: sha256.Sum256(der),
		made: now,
	}, nil
}
