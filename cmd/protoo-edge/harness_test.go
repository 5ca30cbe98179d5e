package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/protoo-go/protoo/client"
	"github.com/protoo-go/protoo/core"
)

// asProgram in the environment makes the test binary be protoo-edge, for tests that need a process.
const asProgram = "PROTOO_EDGE_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	code := m.Run()
	for _, line := range leaks() {
		fmt.Fprintf(os.Stderr, "a secret was logged: %s", line)
		code = 1
	}
	os.Exit(code)
}

// result is how a command has ended.
type result struct {
	code           int
	stdout, stderr string
}

// runCommand runs a command line to its end.
func runCommand(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), args, strings.NewReader(stdin), &stdout, &stderr)
	return result{code, stdout.String(), stderr.String()}
}

// edge is a server that runs in this process.
type edge struct {
	addr    string // host:port
	url     string
	secure  string // host:port for TLS, if it is on
	log     *lockedBuffer
	printed *lockedBuffer // on the standard output
	stop    func() result
}

var listening = regexp.MustCompile(`listening on (?:http://(127\.0\.0\.1:\d+))?(?: and )?(?:https://(127\.0\.0\.1:\d+))?\n`)

func startEdge(t *testing.T, flags ...string) *edge {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, stdout := io.Pipe()
	var printed, stderr lockedBuffer
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, append([]string{"serve", "--addr", "127.0.0.1:0"}, flags...), nil, stdout, &stderr)
		_ = stdout.Close()
	}()
	first, err := bufio.NewReader(io.TeeReader(out, &printed)).ReadString('\n')
	if err != nil {
		cancel()
		t.Fatalf("the server has ended with code %d: %s", <-ended, stderr.String())
	}
	go func() { _, _ = io.Copy(&printed, out) }()
	found := listening.FindStringSubmatch(first)
	if found == nil {
		t.Fatalf("the server began with %q", first)
	}
	stop := sync.OnceValue(func() result {
		cancel()
		return result{<-ended, printed.String(), stderr.String()}
	})
	t.Cleanup(func() {
		if r := stop(); r.code != exitOK {
			t.Errorf("the server has ended with code %d: %s", r.code, r.stderr)
		}
	})
	return &edge{addr: found[1], url: "ws://" + found[1], secure: found[2], log: &stderr, printed: &printed, stop: stop}
}

// waitForLog returns when the log has a line with this text.
func (e *edge) waitForLog(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(e.log.String(), text); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the log lacks %q:\n%s", text, e.log.String())
		}
	}
}

// connect returns a client that is closed at the end of the test.
func (e *edge) connect(t *testing.T, username, uuid string, o client.Options) *client.Client {
	t.Helper()
	query := url.Values{"username": {username}, "uuid": {uuid}}
	c, err := client.Dial(t.Context(), e.url+"/protoo?"+query.Encode(), o)
	if err != nil {
		t.Fatal(err)
	}
	// The handshake ends before the peer is online.
	if _, err := c.Request(t.Context(), "message", "/echo", nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Close(0, "")
		<-c.Done()
	})
	return c
}

// answering are options of a client that answers every request with a handler.
func answering(h core.Handler) client.Options {
	return client.Options{Routes: func(app *core.App) { app.All("*", h) }}
}

// lockedBuffer is a buffer for a reader and writers on different goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.b.Len() == 0 && len(p) > 0 {
		overhear(b)
	}
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// dialRaw connects a client that answers nothing, not even a close frame.
func dialRaw(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_, err = io.WriteString(conn, "GET /?username=raw&uuid=1 HTTP/1.1\r\nHost: "+addr+"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: protoo\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	response := readUntil(t, conn, "\r\n\r\n")
	if !strings.HasPrefix(response, "HTTP/1.1 101 ") {
		t.Fatalf("got %q", response)
	}
	// The handshake ends before the peer is online. The mask of this frame is zero.
	const echo = `{"method":"message","path":"/echo","id":1}`
	if _, err := io.WriteString(conn, "\x81"+string([]byte{0x80 | byte(len(echo))})+"\x00\x00\x00\x00"+echo); err != nil {
		t.Fatal(err)
	}
	readUntil(t, conn, "}")
	return conn
}

// readUntil reads what ends with end and nothing behind it.
func readUntil(t *testing.T, r io.Reader, end string) string {
	t.Helper()
	var got []byte
	for one := make([]byte, 1); !bytes.HasSuffix(got, []byte(end)); {
		if _, err := r.Read(one); err != nil {
			t.Fatalf("after %q: %v", got, err)
		}
		got = append(got, one...)
	}
	return string(got)
}
