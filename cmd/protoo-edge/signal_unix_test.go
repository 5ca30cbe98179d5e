//go:build unix

package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/protoo-go/protoo/client"
	"github.com/protoo-go/protoo/core"
)

// startProcess starts a server that can be sent signals.
func startProcess(t *testing.T) (*exec.Cmd, *edge) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "serve", "--addr", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), asProgram+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	first, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	found := listening.FindStringSubmatch(first)
	if found == nil {
		t.Fatalf("the server began with %q", first)
	}
	return cmd, &edge{addr: found[1], url: "ws://" + found[1]}
}

func TestSignals(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			cmd, e := startProcess(t)
			lost := make(chan error, 1)
			e.connect(t, "alice", "phone", client.Options{OnDisconnect: func(_ *client.Client, err error) { lost <- err }})
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			var closed *client.CloseError
			if err := <-lost; !errors.As(err, &closed) || *closed != (client.CloseError{Code: core.CloseGoingAway, Reason: "shutting down"}) {
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
