//go:build acme && unix

package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/protoo-go/protoo/client"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/certificate/certtest"
)

// domain is what certificates are fetched for. The DNS server of the tests answers every question with 127.0.0.1.
const domain = "edge.example.com"

// pebble is an authority, in processes of its own.
type pebble struct {
	directory  string
	management string
	trust      string // file with the certificate of its authority, for its own HTTPS
	client     *http.Client
}

const (
	accountID  = "us"
	accountKey = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
)

// startPebble starts an authority that validates at the ports given, and wants an external account.
func startPebble(t *testing.T, httpPort, tlsPort int) *pebble {
	t.Helper()
	dir := t.TempDir()
	authority := certtest.NewAuthority(t)
	authority.Write(t, dir, certtest.Validity{})
	listen, management, dns := freePort(t), freePort(t), freePort(t)
	p := &pebble{
		directory:  "https://127.0.0.1:" + strconv.Itoa(listen) + "/dir",
		management: "https://127.0.0.1:" + strconv.Itoa(management),
		trust:      authority.WriteRoot(t, dir),
		client:     &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.Pool()}, DisableKeepAlives: true}},
	}
	local := func(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress":                  local(listen),
		"managementListenAddress":        local(management),
		"certificate":                    filepath.Join(dir, "cert.pem"),
		"privateKey":                     filepath.Join(dir, "key.pem"),
		"httpPort":                       httpPort,
		"tlsPort":                        tlsPort,
		"externalAccountBindingRequired": true,
		"externalAccountMACKeys":         map[string]string{accountID: accountKey},
	}})
	if err != nil {
		t.Fatal(err)
	}
	runTool(t, "pebble-challtestsrv", "-dnsserver", local(dns), "-management", local(freePort(t)), "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "",
		"-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "")
	runTool(t, "pebble", "-config", writeFile(t, dir, "pebble.json", string(config)), "-dnsserver", local(dns))
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		res, err := p.client.Get(p.directory)
		if err == nil {
			_ = res.Body.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	return p
}

// freePort returns a port that nobody had a moment ago.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatalf("got %T", l.Addr())
	}
	return addr.Port
}

func runTool(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(os.Getenv("PEBBLE"), name), args...)
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1")
	log := new(lockedBuffer)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v; e2e/acme/run says where it is", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s:\n%s", name, log.String())
		}
	})
}

// roots returns what a client has to trust.
func (p *pebble) roots(t *testing.T) *x509.CertPool {
	t.Helper()
	res, err := p.client.Get(p.management + "/roots/0")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(text) {
		t.Fatalf("got %q, %v", text, err)
	}
	return pool
}

// flags configure a server that fetches its certificate from p.
func (p *pebble) flags(t *testing.T, cache string, tlsPort int) []string {
	t.Helper()
	t.Setenv("SSL_CERT_FILE", p.trust)
	t.Setenv("PROTOO_TLS_ACME_EAB_KEY", accountKey)
	if _, err := base64.RawURLEncoding.DecodeString(accountKey); err != nil {
		t.Fatal(err)
	}
	return []string{"--tls-addr", "127.0.0.1:" + strconv.Itoa(tlsPort), "--tls-acme-domains", domain, "--tls-acme-accept-terms",
		"--tls-acme-cache", cache, "--tls-acme-directory", p.directory, "--tls-acme-email", "ops@example.com", "--tls-acme-eab-key-id", accountID}
}

// served connects as a client that trusts roots, and returns the serial number of the certificate.
func served(t *testing.T, e *edge, roots *x509.CertPool) *big.Int {
	t.Helper()
	trust := &tls.Config{RootCAs: roots, ServerName: domain}
	e.waitForLog(t, "certificate fetched")
	conn, err := tls.Dial("tcp", e.secure, trust)
	if err != nil {
		t.Fatalf("%v\n%s", err, e.log.String())
	}
	defer conn.Close()
	for _, scheme := range []string{"wss://", "https://"} {
		c, err := client.Dial(t.Context(), scheme+e.secure+"/?username=alice&uuid=phone", client.Options{TLS: trust})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Request(t.Context(), "message", "/echo", nil); err != nil {
			t.Error(err)
		}
		_ = c.Close(0, "")
		<-c.Done()
	}
	return conn.ConnectionState().PeerCertificates[0].SerialNumber
}

// TestACME fetches a certificate at the start, and has it in the cache after a restart.
func TestACME(t *testing.T) {
	port := freePort(t)
	p := startPebble(t, 1, port)
	cache := filepath.Join(t.TempDir(), "cache")
	cmd, e := startProcess(t, p.flags(t, cache, port)...)
	first := served(t, e, p.roots(t))

	if conn, err := tls.Dial("tcp", e.secure, &tls.Config{ServerName: "other.example.com", InsecureSkipVerify: true}); err == nil {
		_ = conn.Close()
		t.Error("there is a certificate for a name that is not configured")
	}
	if info, err := os.Stat(cache); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the cache is %v, %v", info, err)
	}
	if log := e.log.String(); strings.Contains(log, accountKey) {
		t.Errorf("the key was logged:\n%s", log)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the server has ended with %v", err)
	}
	_, e = startProcess(t, p.flags(t, cache, port)...)
	if second := served(t, e, p.roots(t)); second.Cmp(first) != 0 {
		t.Errorf("got certificate %x after a restart, want %x", second, first)
	}
}

// TestACMEOverHTTP has an authority that does not reach the TLS listener.
func TestACMEOverHTTP(t *testing.T) {
	plain, secure := freePort(t), freePort(t)
	p := startPebble(t, plain, 1)
	flags := append(p.flags(t, filepath.Join(t.TempDir(), "cache"), secure), "--addr", "127.0.0.1:"+strconv.Itoa(plain))
	_, e := startProcess(t, flags...)
	served(t, e, p.roots(t))
}
