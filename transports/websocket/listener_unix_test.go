//go:build unix

package websocket_test

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/protoo-go/protoo/transports/websocket"
)

// childRole is the environment variable that makes the test's program the server of TestOutOfDescriptors.
const childRole = "PROTOO_TEST_FEW_DESCRIPTORS"

func init() {
	if os.Getenv(childRole) == "" {
		return
	}
	if err := serveWithFewDescriptors(); err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// noisy tells about every failure on the standard output.
type noisy struct{ net.Listener }

func (l noisy) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		fmt.Println("failed")
	}
	return conn, err
}

func serveWithFewDescriptors() error {
	few := syscall.Rlimit{Cur: 48, Max: 48}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	h := &http.Server{
		Handler:  websocket.New(echo(), byQuery, websocket.Options{}),
		ErrorLog: log.New(os.Stdout, "logged ", 0),
	}
	fmt.Println("listening", "ws://"+l.Addr().String())
	go func() {
		_ = h.Serve(websocket.NewListener(noisy{l}, func(err error) { fmt.Println("report", err) }))
	}()
	_, err = io.Copy(io.Discard, os.Stdin) // until the test has ended
	return err
}

// TestOutOfDescriptors has a server run out of file descriptors. Whoever is connected is served, who comes gets
// their turn later, and there is one report.
func TestOutOfDescriptors(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childRole+"=1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 10_000)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() {
		_ = stdin.Close()
		for range lines {
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	address, ok := strings.CutPrefix(<-lines, "listening ")
	if !ok {
		t.Fatalf("the server did not start: %q", address)
	}
	s := &server{url: address}

	failures, reports := 0, 0
	note := func(line string) {
		switch {
		case line == "failed":
			failures++
		case strings.HasPrefix(line, "report "):
			reports++
			if !strings.Contains(line, "too many open files") {
				t.Errorf("got %q", line)
			}
		default:
			t.Errorf("the server says %q", line)
		}
	}
	var inside []*client
	fill := func() (outside *client, answered chan struct{}) {
		for {
			c := s.dialRaw(t)
			if err := c.write(handshake(fmt.Sprintf("/?username=u&uuid=%d", conversations.Add(1)))); err != nil {
				t.Fatal(err)
			}
			answered = make(chan struct{})
			go func() {
				defer close(answered)
				_, _ = c.r.Peek(1)
			}()
			for enough := failures + 5; failures < enough; {
				select {
				case <-answered:
					c.switched(t)
					inside = append(inside, c)
					enough = failures
				case line, ok := <-lines:
					if !ok {
						t.Fatal("the server has ended")
					}
					note(line)
					if failures == enough {
						return c, answered
					}
				}
			}
		}
	}
	for range 3 {
		outside, answered := fill()
		if len(inside) < 10 {
			t.Fatalf("only %d connections fitted in", len(inside))
		}
		for _, c := range inside {
			newZipped(c, "").exchange(t, "served")
		}
		for _, c := range inside[:5] {
			_ = c.Close()
		}
		inside = inside[5:]
		<-answered
		outside.switched(t)
		newZipped(outside, "").exchange(t, "served at last")
		inside = append(inside, outside)
	}
	if reports != 1 {
		t.Errorf("%d failures, %d reports, want 1", failures, reports)
	}
}
