package main

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/certificate"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/config"
	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/transports/webtransport/devcert"
)

// newSource returns where the certificates of all encrypted listeners come from, nil when there are none. A
// kind of source that is new gets a case here.
func newSource(cfg *config.Config, log *slog.Logger) (certificate.Source, error) {
	t := &cfg.TLS
	switch {
	case t.Addr == "" && !(cfg.WebTransport.Enabled && cfg.Env != config.Production):
		return nil, nil
	case len(t.ACME.Domains) > 0:
		return certificate.NewACME(certificate.ACMEOptions{
			Domains:   t.ACME.Domains,
			Email:     t.ACME.Email,
			Cache:     t.ACME.Cache,
			Directory: t.ACME.Directory,
			UserAgent: "protoo-edge/" + core.Version,
			KeyID:     t.ACME.KeyID,
			Key:       t.ACME.Key,
		})
	case t.Cert == "":
		return devcert.New(hosts(cfg)...)
	}
	return certificate.NewFiles(t.Cert, t.Key, certificate.Options{
		RefuseSelfMade: cfg.Env == config.Production,
		Hooks: certificate.Hooks{
			Loaded: func(leaf *x509.Certificate) {
				log.Info("certificate loaded", "names", leaf.DNSNames, "serial", leaf.SerialNumber, "expires", leaf.NotAfter)
			},
			Failed: func(err error) { log.Error("certificate not loaded, the old one is kept", "error", err) },
		},
	})
}

// fetchCertificates fetches what an authority has to give, when there are listeners that can answer it.
func (s *server) fetchCertificates() {
	authority, ok := s.source.(*certificate.ACME)
	if !ok {
		return
	}
	go authority.Fetch(func(domain string, leaf *x509.Certificate, err error) {
		if err != nil {
			s.log.Error("no certificate, the next client that asks for it makes the server try again", "domain", domain, "error", err)
			return
		}
		s.certificates.note(leaf)
		s.log.Info("certificate fetched or in the cache", "domain", domain, "serial", leaf.SerialNumber, "expires", leaf.NotAfter)
	})
}

// verifyCertificate finds out whether there is a certificate, and whether clients can accept it.
func verifyCertificate(cfg *config.Config) (m config.Mistake, ok bool) {
	t := &cfg.TLS
	if t.Cert == "" {
		return m, true // fetched, self-made, or none
	}
	pair, err := certificate.Read(t.Cert, t.Key)
	if err != nil {
		return cfg.Mistake("tls.cert", err.Error()), false
	}
	const day = "2006-01-02"
	switch now := time.Now(); {
	case cfg.Env == config.Production && certificate.SelfMade(pair.Leaf):
		return cfg.Mistake("tls.cert", "a self-made certificate is refused in production"), false
	case now.After(pair.Leaf.NotAfter):
		return cfg.Mistake("tls.cert", "the certificate has expired on "+pair.Leaf.NotAfter.Format(day)), false
	case now.Before(pair.Leaf.NotBefore):
		return cfg.Mistake("tls.cert", "the certificate is not valid before "+pair.Leaf.NotBefore.Format(day)), false
	}
	return m, true
}

// hosts returns what a self-made certificate is for.
func hosts(cfg *config.Config) []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	for _, addr := range []string{cfg.Addr, cfg.TLS.Addr, cfg.WebTransport.Addr} {
		if host, _, err := net.SplitHostPort(addr); err == nil && host != "" && !slices.Contains(names, host) {
			names = append(names, host)
		}
	}
	return names
}

// newTLS returns what the encrypted listeners have in common.
func newTLS(cfg *config.Config, source certificate.Source) *tls.Config {
	t := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: source.GetCertificate,
		// A server that also serves plain HTTP decides about HTTP/2 by what is here before it serves either.
		NextProtos: []string{"h2", "http/1.1"},
	}
	if cfg.TLS.MinVersion == "1.3" {
		t.MinVersion = tls.VersionTLS13
	}
	if len(cfg.TLS.ACME.Domains) > 0 {
		t.NextProtos = append(t.NextProtos, certificate.ACMEProtocol)
	}
	return t
}
