package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/api"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/certificate"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/config"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/identity"
)

// apiServer is what back ends talk to. It is nil when it is off, and then its methods do nothing.
type apiServer struct {
	calls *api.Server
	http  *http.Server
	tls   bool
	addr  net.Addr
}

// newAPI returns the server API of s, nil when it is off.
func newAPI(s *server) (*apiServer, error) {
	o := &s.cfg.API
	if o.Addr == "" {
		return nil, nil
	}
	a := &apiServer{calls: api.New(api.Options{
		App:      s.app,
		Keys:     s.cfg.APIKeys(),
		MaxBody:  o.MaxBody,
		MaxCalls: o.MaxCalls,
		MaxWait:  o.MaxWait,
		Timeout:  s.cfg.Core.Timeout,
		Revoke:   s.revoke,
		Reload:   s.askToReload,
		Drain: func() error {
			s.askToDrain()
			return nil
		},
		Audit: (&auditor{log: s.log}).record,
	})}
	a.http = newHTTP(s.cfg, a.calls, s.log)
	if o.TLS.Cert == "" {
		if !config.OnLoopback(o.Addr) {
			s.log.Warn("the server API is not encrypted, and its keys can be read on the way: set api.tls.cert and api.tls.key", "addr", o.Addr)
		}
		return a, nil
	}
	files, err := certificate.NewFiles(o.TLS.Cert, o.TLS.Key, certificate.Options{Hooks: certificate.Hooks{
		Loaded: func(leaf *x509.Certificate) {
			s.log.Info("certificate of the server API loaded", "names", leaf.DNSNames, "serial", leaf.SerialNumber, "expires", leaf.NotAfter)
		},
		Failed: func(err error) {
			s.log.Error("certificate of the server API not loaded, the old one is kept", "error", err)
		},
	}})
	if err != nil {
		return nil, err
	}
	a.tls = true
	a.http.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: files.GetCertificate}
	return a, nil
}

// serve serves a listener, which is nil when the API is off.
func (a *apiServer) serve(l net.Listener, failed chan<- error) {
	if l == nil {
		return
	}
	a.addr = l.Addr()
	go func() {
		if a.tls {
			failed <- a.http.ServeTLS(l, "", "")
		} else {
			failed <- a.http.Serve(l)
		}
	}()
}

func (a *apiServer) announce(out io.Writer) {
	if a == nil {
		return
	}
	scheme := "http"
	if a.tls {
		scheme = "https"
	}
	fmt.Fprintf(out, "for back ends: %s://%s/v1/openapi.yaml\n", scheme, a.addr)
}

// setKeys makes the keys of the configuration those that are good.
func (a *apiServer) setKeys(cfg *config.Config) {
	if a != nil {
		a.calls.SetKeys(cfg.APIKeys())
	}
}

// drain refuses calls that would begin something.
func (a *apiServer) drain() {
	if a != nil {
		a.calls.Drain()
	}
}

// close ends the calls that wait, with an answer, and then the server.
func (a *apiServer) close(ctx context.Context) {
	if a == nil {
		return
	}
	a.calls.Close()
	if a.http.Shutdown(ctx) != nil {
		_ = a.http.Close() // there was no time to be polite
	}
}

// revoke takes an identity away.
func (s *server) revoke(r api.Revocation) (int, error) {
	closed, err := s.gate.Revocations.Revoke(identity.Revocation{TokenID: r.TokenID, Username: r.Username, UUID: r.UUID, Expires: r.Expires})
	if errors.Is(err, identity.ErrTooMany) {
		return 0, fmt.Errorf("%w, see identity.revocations.max: %w", api.ErrBusy, err)
	}
	if errors.Is(err, identity.ErrTarget) {
		return 0, &api.InvalidError{Detail: err.Error()}
	}
	return closed, err
}

// verifyAPI finds out whether the certificate of the API can be used.
func verifyAPI(cfg *config.Config) config.Mistakes {
	t := &cfg.API.TLS
	if t.Cert == "" {
		return nil
	}
	if _, err := certificate.Read(t.Cert, t.Key); err != nil {
		return config.Mistakes{cfg.Mistake("api.tls.cert", err.Error())}
	}
	return nil
}
