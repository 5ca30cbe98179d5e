package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/protoo-go/protoo/client"
	"github.com/protoo-go/protoo/core"
)

// knock asks for a WebSocket, behind what is sent before it, and returns the answer's status, Retry-After and reason.
func knock(t *testing.T, addr, before, username, uuid string, lines ...string) (conn net.Conn, answer string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	lines = append([]string{"GET /protoo?username=" + username + "&uuid=" + uuid + " HTTP/1.1", "Host: a", "Connection: Upgrade", "Upgrade: websocket",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Protocol: protoo"}, lines...)
	if _, err := io.WriteString(conn, before+strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	head := readUntil(t, conn, "\r\n\r\n")
	var status string
	if _, err := fmt.Sscanf(head, "HTTP/1.1 %s", &status); err != nil {
		t.Fatalf("got %q", head)
	}
	if status == "101" {
		return conn, status
	}
	body, _ := io.ReadAll(conn)
	after := "-"
	for line := range strings.SplitSeq(head, "\r\n") {
		if value, ok := strings.CutPrefix(line, "Retry-After: "); ok {
			after = value
		}
	}
	return conn, strings.Join([]string{status, after, strings.TrimSpace(string(body))}, " ")
}

// certificateHashes asks as pages do.
func (e *edge) certificateHashes(t *testing.T) [][sha256.Size]byte {
	t.Helper()
	res, err := http.Get("http://" + e.addr + "/certificate-hashes.json")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var told struct{ Hashes [][]byte }
	if err := json.NewDecoder(res.Body).Decode(&told); err != nil || len(told.Hashes) != 1 {
		t.Fatalf("got %v, %v", told, err)
	}
	return [][sha256.Size]byte{[sha256.Size]byte(told.Hashes[0])}
}

// TestLimitsOfBothTransports counts WebSocket and WebTransport together.
func TestLimitsOfBothTransports(t *testing.T) {
	e := startEdge(t, "--limits-connections", "3", "--limits-connections-per-user", "1", "--limits-exempt", "192.0.2.1", "--limits-connections-per-address", "2",
		"--limits-handshakes-per-second-per-address", "unlimited")
	hashes := e.certificateHashes(t)
	overQUIC := func(username string) (*client.Client, error) {
		return client.Dial(t.Context(), "https://"+e.addr+"/protoo?username="+username+"&uuid=tablet", client.Options{CertificateHashes: hashes})
	}
	status := func(err error) int {
		refused, _ := errors.AsType[*core.StatusError](err)
		if refused == nil {
			t.Fatalf("got %v", err)
		}
		return refused.Status
	}
	alice := e.connect(t, "alice", "phone", client.Options{})
	if _, err := overQUIC("alice"); err == nil || status(err) != http.StatusTooManyRequests {
		t.Errorf("a second device of a user: got %v", err)
	}
	bob, err := overQUIC("bob")
	if err != nil {
		t.Fatal(err)
	}
	defer bob.Close(0, "")
	if _, err := overQUIC("carol"); err == nil || status(err) != http.StatusTooManyRequests {
		t.Errorf("a third of an address: got %v", err)
	}
	if _, got := knock(t, e.addr, "", "carol", "1"); got != "429 10 too many connections from your address" {
		t.Errorf("got %s", got)
	}
	_ = alice.Close(0, "")
	<-alice.Done()
	// There is room as soon as the server has noticed.
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		conn, got := knock(t, e.addr, "", "carol", "1")
		if got == "101" {
			break
		}
		_ = conn.Close()
		if time.Now().After(deadline) {
			t.Fatalf("there is no room: %s", got)
		}
	}
}

// TestRates answers what is too much with 429, and closes who does not mind.
func TestRates(t *testing.T) {
	file := writeFile(t, t.TempDir(), "edge.yaml", `
limits: {requests_per_second: 0.01, requests_burst: 3}
middleware:
  - {use: limit, path: "/echo/:what", requests_per_second: 0.01, burst: 2, per: user}
  - {use: echo}
`)
	e := startEdge(t, "--config", file)
	closed := make(chan error, 1)
	c := e.connect(t, "alice", "phone", client.Options{OnDisconnect: func(_ *client.Client, err error) { closed <- err }}) // asks once
	ask := func(path string) string {
		_, err := c.Request(t.Context(), "message", path, nil)
		refused, _ := errors.AsType[*client.Error](err)
		if refused == nil {
			return fmt.Sprint(err)
		}
		var data struct{ RetryAfter float64 }
		if err := refused.Data.Bind(&data); err != nil || data.RetryAfter <= 90 || data.RetryAfter > 100 {
			t.Errorf("got data %s", refused.Data)
		}
		return fmt.Sprint(refused.Status, " ", refused.Reason)
	}
	for i, tt := range []struct{ path, want string }{
		{"/echo", "<nil>"}, {"/echo", "<nil>"}, {"/echo", "429 too many requests"},
	} {
		if got := ask(tt.path); got != tt.want {
			t.Errorf("%d: got %s, want %s", i, got, tt.want)
		}
	}
	for range 99 {
		ask("/echo")
	}
	for range 2 { // the last of those that may be refused, and the one that ends it
		c.Send(core.NewRequest("message", "/echo", nil))
	}
	if err := <-closed; err == nil || !strings.Contains(err.Error(), "1008 rate limit") {
		t.Errorf("got %v", err)
	}

	// Another user has requests left, and a path that has fewer.
	c = e.connect(t, "bob", "phone", client.Options{})
	if got := ask("/echo/1") + ", " + ask("/echo/2"); got != "<nil>, <nil>" {
		t.Errorf("got %s", got)
	}
	c = e.connect(t, "bob", "tablet", client.Options{})
	if got := ask("/echo/1"); got != "429 too many requests for this path" {
		t.Errorf("another device of the user: got %s", got)
	}
}

// TestProxies has both kinds of proxies name clients, whose addresses are what is logged and counted.
func TestProxies(t *testing.T) {
	e := startEdge(t, "--proxies-trusted", "127.0.0.1", "--proxies-protocol", "require", "--limits-connections-per-address", "1", "--log-level", "debug")
	for i, tt := range []struct{ before, header, conn string }{
		{"PROXY TCP4 192.0.2.1 203.0.113.1 5678 443\r\n", "", "ws/192.0.2.1:5678"},
		{"PROXY UNKNOWN\r\n", "X-Forwarded-For: 1.1.1.1, 192.0.2.2", "ws/192.0.2.2:0"},
		{"PROXY TCP6 2001:db8::1 2001:db8::2 5678 443\r\n", "X-Forwarded-For: 1.1.1.1", "ws/[2001:db8::1]:5678"},
	} {
		var lines []string
		if tt.header != "" {
			lines = append(lines, tt.header)
		}
		if _, got := knock(t, e.addr, tt.before, "alice", fmt.Sprint(i), lines...); got != "101" {
			t.Errorf("%s%s: got %s", tt.before, tt.header, got)
		}
		e.waitForLog(t, fmt.Sprintf(`msg=online peer=alice/%d conn=%s `, i, tt.conn))
		if _, got := knock(t, e.addr, tt.before, "bob", fmt.Sprint(i), lines...); got != "429 10 too many connections from your address" {
			t.Errorf("%s%s again: got %s", tt.before, tt.header, got)
		}
	}
	conn, err := net.Dial("tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(conn); len(b) > 0 {
		t.Errorf("without a PROXY header: got %q", b)
	}
	e.waitForLog(t, `msg="no client behind a proxy"`)
}
