package main

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/protoo-go/protoo/client"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/certificate"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/certificate/certtest"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/config"
)

// TestTLS serves both plain and encrypted connections, in the same application.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	authority := certtest.NewAuthority(t)
	authority.Write(t, dir, certtest.Validity{})
	e := startEdge(t, "--tls-addr", "127.0.0.1:0", "--tls-cert", dir+"/cert.pem", "--tls-key", dir+"/key.pem", "--tls-min-version", "1.3")
	trust := &tls.Config{RootCAs: authority.Pool()}

	e.connect(t, "bob", "laptop", answering(echo))
	c, err := client.Dial(t.Context(), "wss://"+e.secure+"/protoo?username=alice&uuid=phone", client.Options{TLS: trust})
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Request(t.Context(), "message", "/users/bob", "hi")
	if err != nil || res.Data() != `"hi"` {
		t.Errorf("got %v, %v", res, err)
	}
	_ = c.Close(0, "")
	<-c.Done()

	transport := &http.Transport{TLSClientConfig: trust, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	page, err := (&http.Client{Transport: transport}).Get("https://" + e.secure + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer page.Body.Close()
	body, err := io.ReadAll(page.Body)
	if err != nil || page.StatusCode != http.StatusOK || page.ProtoMajor != 2 || !strings.Contains(string(body), "<html") {
		t.Errorf("got %s %s, %v", page.Proto, page.Status, err)
	}

	old := trust.Clone()
	old.MaxVersion = tls.VersionTLS12
	if conn, err := tls.Dial("tcp", e.secure, old); err == nil {
		_ = conn.Close()
		t.Error("TLS 1.2 is spoken")
	}
	r := e.stop()
	if !strings.Contains(r.stdout, "\nconnect to wss://"+e.secure+"/protoo?") || !strings.Contains(r.stderr, `msg="certificate loaded" names=[edge.example.com]`) {
		t.Errorf("got %+v", r)
	}
}

// TestTLSOnly has no listener without encryption.
func TestTLSOnly(t *testing.T) {
	dir := t.TempDir()
	certtest.NewAuthority(t).Write(t, dir, certtest.Validity{})
	e := startEdge(t, "--addr", "off", "--tls-addr", "127.0.0.1:0", "--tls-cert", dir+"/cert.pem", "--tls-key", dir+"/key.pem")
	if r := e.stop(); e.addr != "" || strings.Contains(r.stdout, "http://") || strings.Contains(r.stdout, "ws://") {
		t.Errorf("got %+v", r)
	}
}

// TestTLSAddressInUse opens the plain listener first, and must not leave it open.
func TestTLSAddressInUse(t *testing.T) {
	dir := t.TempDir()
	certtest.NewAuthority(t).Write(t, dir, certtest.Validity{})
	e := startEdge(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = free.Close()
	got := runCommand(t, "", "--addr", free.Addr().String(), "--tls-addr", e.addr, "--tls-cert", dir+"/cert.pem", "--tls-key", dir+"/key.pem")
	if got.code != exitFailure || got.stdout != "" || !strings.HasSuffix(got.stderr, "bind: address already in use; --tls-addr chooses another address\n") {
		t.Errorf("got %+v", got)
	}
	again, err := net.Listen("tcp", free.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close()
}

// TestSelfMadeCertificate is refused in production, at the start and when it comes later.
func TestSelfMadeCertificate(t *testing.T) {
	dir := t.TempDir()
	cfg := config.New()
	cfg.TLS.Addr, cfg.TLS.Cert, cfg.TLS.Key = ":0", dir+"/cert.pem", dir+"/key.pem"
	none := (*certtest.Authority)(nil)
	none.Write(t, dir, certtest.Validity{})
	if m, ok := verifyCertificate(cfg); !ok {
		t.Errorf("in development: %v", m)
	}
	cfg.Env = config.Production
	if m, ok := verifyCertificate(cfg); ok || m.Problem != "a self-made certificate is refused in production" {
		t.Errorf("got %v", m)
	}
	certtest.NewAuthority(t).Write(t, dir, certtest.Validity{})
	if m, ok := verifyCertificate(cfg); !ok {
		t.Errorf("one that is not self-made: %v", m)
	}
	source, err := newSource(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	none.Write(t, dir, certtest.Validity{})
	if err := source.(*certificate.Files).Load(cfg.TLS.Cert, cfg.TLS.Key); !errors.Is(err, certificate.ErrSelfMade) {
		t.Errorf("got %v", err)
	}
}
