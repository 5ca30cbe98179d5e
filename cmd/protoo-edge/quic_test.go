package main

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/quic-go/quic-go/http3"

	"github.com/protoo-go/protoo/client"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/certificate/certtest"
	"github.com/protoo-go/protoo/core"
)

var printedHash = regexp.MustCompile(`\nself-made certificate, SHA-256 (\S+)\n`)

// TestWebTransport is there without anything to configure, at the port of the page, with a certificate whose hash
// the page and the operator are told.
func TestWebTransport(t *testing.T) {
	e := startEdge(t)
	res, err := http.Get("http://" + e.addr + "/certificate-hashes.json")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var told struct{ Hashes []string }
	if err := json.NewDecoder(res.Body).Decode(&told); err != nil || len(told.Hashes) != 1 || res.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("got %v, %v, %v", told, err, res.Header)
	}
	hash, err := base64.StdEncoding.DecodeString(told.Hashes[0])
	if err != nil {
		t.Fatal(err)
	}
	lost := make(chan error, 1)
	c, err := client.Dial(t.Context(), "https://"+e.addr+"/protoo?username=alice&uuid=phone", client.Options{
		CertificateHashes: [][sha256.Size]byte{[sha256.Size]byte(hash)},
		OnDisconnect:      func(_ *client.Client, err error) { lost <- err },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(0, "")
	got, err := c.Send(core.NewRequest("message", "/echo", "hello")).Wait(t.Context())
	if err != nil || got.Status() != 200 || got.Data() != `"hello"` {
		t.Errorf("got %v, %v", got, err)
	}
	called := runCommand(t, "", "call", "--certificate-hash", told.Hashes[0], "https://"+e.addr, "message", "/users/alice/phone", "1")
	if called.code != 4 || !strings.Contains(called.stdout, "404") { // alice has no handler
		t.Errorf("got %+v", called)
	}
	r := e.stop()
	if err := <-lost; err == nil || !strings.Contains(err.Error(), "1001") {
		t.Errorf("the client learnt of %v", err)
	}
	if found := printedHash.FindStringSubmatch(r.stdout); found == nil || found[1] != told.Hashes[0] {
		t.Errorf("printed %q, told %q", r.stdout, told.Hashes)
	}
	if !strings.Contains(r.stdout, "\nconnect to https://"+e.addr+"/protoo?username=NAME&uuid=DEVICE over WebTransport\n") {
		t.Errorf("printed %q", r.stdout)
	}
}

// TestWebTransportTrusted uses the certificate that TLS has, and tells browsers of HTTP/3.
func TestWebTransportTrusted(t *testing.T) {
	dir := t.TempDir()
	authority := certtest.NewAuthority(t)
	authority.Write(t, dir, certtest.Validity{})
	trust := &tls.Config{RootCAs: authority.Pool()}
	e := startEdge(t, "--tls-addr", "127.0.0.1:0", "--tls-cert", dir+"/cert.pem", "--tls-key", dir+"/key.pem")
	_, port, _ := net.SplitHostPort(e.secure)

	overTCP := &http.Client{Transport: &http.Transport{TLSClientConfig: trust}}
	defer overTCP.CloseIdleConnections()
	quic := &http3.Transport{TLSClientConfig: trust}
	defer quic.Close()
	for _, tt := range []struct {
		name, url string
		client    *http.Client
		altSvc    string
	}{
		{"plain", "http://" + e.addr, http.DefaultClient, ""},
		{"TLS", "https://" + e.secure, overTCP, `h3=":` + port + `"; ma=86400`},
		{"HTTP/3", "https://" + e.secure, &http.Client{Transport: quic}, ""},
	} {
		res, err := tt.client.Get(tt.url)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if got := res.Header.Get("Alt-Svc"); got != tt.altSvc || !strings.Contains(string(body), "<html") {
			t.Errorf("%s: got Alt-Svc %q and %.60q", tt.name, got, body)
		}
		if res, err = tt.client.Get(tt.url + "/certificate-hashes.json"); err != nil || res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: hashes of a certificate that needs none: got %v, %v", tt.name, res, err)
		} else {
			_ = res.Body.Close()
		}
	}
	for _, path := range []string{"/", "/protoo"} {
		c, err := client.Dial(t.Context(), "https://"+e.secure+path+"?username=alice&uuid=phone", client.Options{TLS: trust})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(0, "")
	}
	if _, err := client.Dial(t.Context(), "https://"+e.secure+"/?username=alice", client.Options{TLS: trust}); err == nil || !strings.Contains(err.Error(), "400 missing uuid") {
		t.Errorf("without a uuid: got %v", err)
	}
}

// TestWebTransportUnavailable goes on with WebSocket.
func TestWebTransportUnavailable(t *testing.T) {
	taken, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, tt := range []struct {
		name  string
		flags []string
		log   string
	}{
		{"port taken", []string{"--webtransport-addr", taken.LocalAddr().String()}, `level=WARN msg="no WebTransport: clients use WebSocket" error="listen udp ` + taken.LocalAddr().String()},
		{"turned off", []string{"--webtransport-enabled=false"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := startEdge(t, tt.flags...)
			e.connect(t, "alice", "phone", client.Options{})
			r := e.stop()
			if strings.Contains(r.stdout, "WebTransport") || !strings.Contains(r.stderr, tt.log) || tt.log == "" && strings.Contains(r.stderr, "WebTransport") {
				t.Errorf("got %+v", r)
			}
		})
	}
}

// TestSelfMadeTLS needs no certificate in development: the self-made one is for TLS as well.
func TestSelfMadeTLS(t *testing.T) {
	e := startEdge(t, "--addr", "off", "--tls-addr", "127.0.0.1:0")
	conn, err := tls.Dial("tcp", e.secure, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // it is the hash that is compared
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sum := sha256.Sum256(conn.ConnectionState().PeerCertificates[0].Raw)
	r := e.stop()
	if found := printedHash.FindStringSubmatch(r.stdout); found == nil || found[1] != base64.StdEncoding.EncodeToString(sum[:]) {
		t.Errorf("printed %q", r.stdout)
	}
	if err := conn.ConnectionState().PeerCertificates[0].VerifyHostname("127.0.0.1"); err != nil {
		t.Error(err)
	}
}
