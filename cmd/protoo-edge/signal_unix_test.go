//go:build unix

package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"math/big"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/protoo-go/protoo/client"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/certificate/certtest"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/modules/moduletest"
	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/wasmhost"
)

// startProcess starts a server that can be sent signals.
func startProcess(t *testing.T, flags ...string) (*exec.Cmd, *edge) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, append([]string{"serve", "--addr", "127.0.0.1:0"}, flags...)...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	log := new(lockedBuffer)
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	printed := new(lockedBuffer)
	lines := bufio.NewReader(io.TeeReader(out, printed))
	first, err := lines.ReadString('\n')
	if err != nil {
		t.Fatalf("%v: %s", err, log.String())
	}
	found := listening.FindStringSubmatch(first)
	if found == nil {
		t.Fatalf("the server began with %q", first)
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }() // printed has it
	return cmd, &edge{addr: found[1], url: "ws://" + found[1], secure: found[2], log: log, printed: printed}
}

func TestSignals(t *testing.T) {
	for _, tt := range []struct {
		sig    syscall.Signal
		code   int
		reason string // begins with
	}{
		{syscall.SIGINT, core.CloseGoingAway, "shutting down"},
		{syscall.SIGTERM, core.CloseRestart, "restart; reconnect in "},
	} {
		t.Run(tt.sig.String(), func(t *testing.T) {
			cmd, e := startProcess(t)
			lost := make(chan error, 1)
			e.connect(t, "alice", "phone", client.Options{OnDisconnect: func(_ *client.Client, err error) { lost <- err }})
			if err := cmd.Process.Signal(tt.sig); err != nil {
				t.Fatal(err)
			}
			var closed *client.CloseError
			if err := <-lost; !errors.As(err, &closed) || closed.Code != tt.code || !strings.HasPrefix(closed.Reason, tt.reason) {
				t.Errorf("the client got %v", err)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("the server has ended with %v", err)
			}
		})
	}
}

// TestSecondSignal has a client that does not answer the close frame, so that the server waits, and then
// does not wait any more.
func TestSecondSignal(t *testing.T) {
	cmd, e := startProcess(t)
	conn := dialRaw(t, e.addr)
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	frame := make([]byte, 4)
	if _, err := io.ReadFull(conn, frame); err != nil || frame[0] != 0x88 {
		t.Fatalf("got %x, %v, want a close frame", frame, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		// The first may come before the server has gone back to the default.
		_ = cmd.Process.Signal(syscall.SIGINT)
		select {
		case err := <-ended:
			status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
			if !ok || !status.Signaled() || status.Signal() != syscall.SIGINT {
				t.Errorf("the server has ended with %v", err)
			}
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// TestReload changes the file, and the certificate, under a client that stays connected.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	authority := certtest.NewAuthority(t)
	first := authority.Write(t, dir, certtest.Validity{})
	file := writeFile(t, dir, "edge.yaml", "grace: 0s\ntls: {addr: '127.0.0.1:0', cert: cert.pem, key: key.pem}\n")
	cmd, e := startProcess(t, "--config", file)
	trust := &tls.Config{RootCAs: authority.Pool()}
	lost := make(chan error, 1)
	c, err := client.Dial(t.Context(), "wss://"+e.secure+"/?username=alice&uuid=phone",
		client.Options{TLS: trust, OnDisconnect: func(_ *client.Client, err error) { lost <- err }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = c.Close(0, "")
		<-c.Done()
	}()
	served := func() *big.Int {
		t.Helper()
		conn, err := tls.Dial("tcp", e.secure, trust)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber
	}
	reload := func(want string) {
		t.Helper()
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		e.waitForLog(t, want)
	}
	if got := served(); got.Cmp(first) != 0 {
		t.Errorf("got certificate %x, want %x", got, first)
	}

	// What a broken file says does not happen, whatever of it is right.
	second := authority.Write(t, dir, certtest.Validity{})
	writeFile(t, dir, "edge.yaml", "log: {level: debug}\ngraec: 1s\ntls: {addr: '127.0.0.1:0', cert: cert.pem, key: key.pem}\n")
	reload(`msg="configuration not reloaded, nothing has changed"`)
	if want := `msg="mistake in the configuration" error="` + file + `:2:1: graec: unknown key; did you mean grace?"`; !strings.Contains(e.log.String(), want) {
		t.Errorf("the log lacks %s:\n%s", want, e.log.String())
	}
	if log := e.log.String(); strings.Contains(log, second.String()) || strings.Contains(log, "msg=online") {
		t.Errorf("something has changed:\n%s", log)
	}

	writeFile(t, dir, "edge.yaml", "grace: 10m\naddr: :1\npage: false\nlog: {level: debug}\ntls: {addr: '127.0.0.1:0', cert: cert.pem, key: key.pem}\n")
	reload(`msg="configuration reloaded" applied="[grace: 0s -> 10m log.level: info -> debug]"`)
	e.waitForLog(t, `level=WARN msg="a restart is needed for the rest" settings="[page: true -> false]"`) // --addr overrides the file
	if got := served(); got.Cmp(second) != 0 {
		t.Errorf("got certificate %x, want %x", got, second)
	}
	bob := e.connect(t, "bob", "1", client.Options{})
	e.waitForLog(t, "msg=online peer=bob/1")
	_ = bob.Close(core.CloseGoingAway, "reload")
	e.waitForLog(t, "msg=disconnected peer=bob/1")
	e.connect(t, "bob", "1", client.Options{})
	e.waitForLog(t, "msg=reconnected peer=bob/1") // within the new grace period

	if _, err := c.Request(t.Context(), "message", "/echo", nil); err != nil {
		t.Error(err)
	}
	select {
	case err := <-lost:
		t.Errorf("the client was disconnected: %v", err)
	default:
	}
}

// TestReloadModules changes what modules may do, and which one it is: that is left for a restart, as a place is.
func TestReloadModules(t *testing.T) {
	dir := t.TempDir()
	picky := moduletest.Replier("picky")
	picky.Manifest.Capabilities = []wasmhost.Capability{wasmhost.Log}
	picky.Log = "here"
	writeModule(t, dir, "picky.wasm", picky)
	writeModule(t, dir, "other.wasm", moduletest.Replier("other"))
	write := func(entry string) string {
		return writeFile(t, dir, "edge.yaml", "middleware:\n- {use: echo}\n- {use: wasm, "+entry+"}\n")
	}
	cmd, e := startProcess(t, "--config", write("path: /ask, file: picky.wasm, grants: [log]"), "--wasm-check-interval", "1h")
	c := e.connect(t, "alice", "1", client.Options{})
	for _, tt := range []struct{ entry, log, answer string }{
		{"path: /ask, file: picky.wasm, grants: [log], settings: {a: 1}, limits: {fuel: 4000000}",
			`msg="module reloaded" module=replier version=picky`, "200 picky"},
		{"path: /ask, file: picky.wasm", `picky.wasm: it asks for log, which is not granted"`, "200 picky"},
		{"path: /ask, file: picky.wasm, grants: [log], sha256: " + strings.Repeat("0", 64), `picky.wasm: sha256 is`, "200 picky"},
		{"path: /ask, file: other.wasm, grants: [log]", `msg="a restart is needed for the rest" settings=[middleware]`, "200 picky"},
	} {
		write(tt.entry)
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		e.waitForLog(t, tt.log)
		if got := ask(t, c, "/ask"); got != tt.answer {
			t.Errorf("%s: got %s, want %s", tt.entry, got, tt.answer)
		}
	}
	if !strings.Contains(e.log.String(), `msg="configuration reloaded" applied=[middleware]`) {
		t.Errorf("the log is\n%s", e.log.String())
	}
}

// TestHangup has nothing to reload: the signal ends the process, as it does when its terminal is closed.
func TestHangup(t *testing.T) {
	// Below nohup the signal is ignored, which the process would inherit. What is caught it does not.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGHUP)
	defer signal.Stop(caught)
	cmd, _ := startProcess(t)
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() || status.Signal() != syscall.SIGHUP {
		t.Errorf("the server has ended with %v", err)
	}
}
