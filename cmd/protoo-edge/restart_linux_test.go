package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/protoo-go/protoo/client"
	"github.com/protoo-go/protoo/core"
)

// underRace tells that the race detector is on, with which everything takes ten times as long.
var underRace bool

// crowd is many clients that ask without a pause, echo and each other in turns, and answer after a while.
type crowd struct {
	clients []*client.Client
	asking  sync.WaitGroup
	stop    context.CancelFunc

	asked, answered, refused, given atomic.Int64

	mu       sync.Mutex
	outcomes map[string]int
	closes   []string    // what connections have ended with
	closed   []time.Time // when
	back     []time.Time // when clients were connected again
}

// gather connects n clients.
func gather(t *testing.T, url string, n int) *crowd {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := &crowd{stop: cancel, clients: make([]*client.Client, n), outcomes: make(map[string]int)}
	t.Cleanup(func() {
		cancel()
		c.asking.Wait()
		for _, one := range c.clients {
			if one != nil {
				_ = one.Close(0, "")
			}
		}
		for _, one := range c.clients {
			if one != nil {
				<-one.Done()
			}
		}
	})
	var dialing sync.WaitGroup
	slots := make(chan struct{}, 32)
	for i := range n {
		slots <- struct{}{}
		dialing.Go(func() {
			defer func() { <-slots }()
			var err error
			c.clients[i], err = client.Dial(ctx, fmt.Sprintf("%s/?username=peer%d&uuid=1", url, i), c.options())
			if err != nil {
				t.Error(err)
			}
		})
	}
	dialing.Wait()
	if t.Failed() {
		t.FailNow()
	}
	for i := range n {
		c.asking.Go(func() { c.ask(ctx, i) })
	}
	return c
}

func (c *crowd) options() client.Options {
	first := true // the hooks are called one at a time
	return client.Options{
		Routes: func(app *core.App) {
			app.All("*", func(req *core.Request, _ core.Next) error {
				time.AfterFunc(200*time.Millisecond, func() { _ = req.Reply(200, "seen") })
				return nil
			})
		},
		DialTimeout: time.Minute,
		OnConnect: func(context.Context, *client.Client) {
			if !first {
				c.mu.Lock()
				c.back = append(c.back, time.Now())
				c.mu.Unlock()
			}
			first = false
		},
		OnDisconnect: func(_ *client.Client, err error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.closes = append(c.closes, err.Error())
			c.closed = append(c.closed, time.Now())
		},
	}
}

// ask sends one request after the other until ctx ends.
func (c *crowd) ask(ctx context.Context, i int) {
	paths := [...]string{"/echo", fmt.Sprintf("/users/peer%d/1", (i+1)%len(c.clients))}
	for n := 0; ctx.Err() == nil; n++ {
		c.asked.Add(1)
		res, err := c.clients[i].Send(core.NewRequest("message", paths[n%2], n)).Wait(context.Background())
		switch {
		case err != nil || res == nil:
			c.note("no answer")
		case res.Status() == 200:
			c.answered.Add(1)
		case res.IsLocal():
			c.given.Add(1)
			c.note(fmt.Sprintf("local %d %s", res.Status(), res.Reason()))
		default:
			c.refused.Add(1)
			reason, _, _ := strings.Cut(res.Reason(), ";")
			c.note(fmt.Sprintf("%d %s", res.Status(), reason))
		}
		select {
		case <-time.After(time.Second / 2):
		case <-ctx.Done():
		}
	}
}

func (c *crowd) note(outcome string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.outcomes[outcome]++
}

// returned tells how many clients have come back.
func (c *crowd) returned() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.back)
}

// TestRestart replaces a server under its clients: the new one listens at the same address before the old one is told to end. Every request gets an
// answer or an error, and clients come back at an even rate.
func TestRestart(t *testing.T) {
	n := 2000
	if testing.Short() || underRace {
		n = 300
	}
	flags := []string{"--listen-reuse-port", "--drain-window", "8s", "--drain-request-timeout", "10s", "--drain-timeout", "60s"}
	old, e := startProcess(t, flags...)
	c := gather(t, e.url, n)
	_, _ = startProcess(t, append(flags, "--addr", e.addr)...)
	if err := old.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := old.Wait(); err != nil {
		t.Errorf("the old server has ended with %v:\n%s", err, e.log.String())
	}
	for deadline := time.Now().Add(2 * time.Minute); c.returned() < n; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d clients have come back", c.returned(), n)
		}
	}
	c.stop()
	c.asking.Wait()

	c.mu.Lock()
	defer c.mu.Unlock()
	t.Logf("%d requests, %d answered, %d refused, %d ended by the client itself: %v", c.asked.Load(), c.answered.Load(), c.refused.Load(), c.given.Load(), c.outcomes)
	if lost := c.asked.Load() - c.answered.Load() - c.refused.Load() - c.given.Load(); lost != 0 {
		t.Errorf("%d requests have neither an answer nor an error", lost)
	}
	// Somebody who is at the other server is not found, and that is an answer. The others were sent while their connection was being closed.
	const elsewhere = "404 peer not found"
	if failed := c.refused.Load() + c.given.Load() - int64(c.outcomes[elsewhere]); failed > c.asked.Load()/20 {
		t.Errorf("%d requests have failed: %v", failed, c.outcomes)
	}
	if len(c.closes) != n {
		t.Errorf("%d connections have ended, want one of each client", len(c.closes))
	}
	for _, text := range c.closes {
		if !strings.HasPrefix(text, "connection closed: 1012 restart; reconnect in ") {
			t.Fatalf("a client lost its connection with %q", text)
		}
	}
	// A herd would be ten times the mean.
	if most, mean := fullest(c.back), float64(n)/buckets; most > 5*mean {
		t.Errorf("%v clients came back in a tenth of the time, the mean is %v", most, mean)
	} else {
		t.Logf("in the fullest tenth of the time %v clients came back, the mean is %v; it took %v", most, mean, c.back[n-1].Sub(c.closed[0]))
	}
}

const buckets = 10

// fullest divides the time between the first and the last into equal parts, and returns how many there are in the part with the most.
func fullest(times []time.Time) float64 {
	first, last := times[0], times[0]
	for _, at := range times {
		if at.Before(first) {
			first = at
		}
		if at.After(last) {
			last = at
		}
	}
	var counts [buckets]int
	most := 0
	for _, at := range times {
		i := min(buckets-1, int(buckets*at.Sub(first)/max(1, last.Sub(first))))
		counts[i]++
		most = max(most, counts[i])
	}
	return float64(most)
}

// TestSocketActivation has the sockets belong to somebody who starts one server after the other, as systemd does. A client that comes between
// them waits.
func TestSocketActivation(t *testing.T) {
	tcp, udp := listenBoth(t)
	defer tcp.Close()
	defer udp.Close()
	addr := tcp.Addr().String()
	var files []*os.File
	for _, socket := range []interface{ File() (*os.File, error) }{tcp, udp} {
		f, err := socket.File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files = append(files, f)
	}
	manager := newManager(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	start := func() *exec.Cmd {
		t.Helper()
		cmd := exec.Command("/bin/sh", "-c", "export LISTEN_PID=$$; exec "+strconv.Quote(exe)+" serve --addr "+addr)
		cmd.Env = append(os.Environ(), asProgram+"=1", "LISTEN_FDS=2", "NOTIFY_SOCKET="+manager.name)
		cmd.ExtraFiles = files
		cmd.Stderr = &manager.log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		manager.want(t, "READY=1")
		return cmd
	}
	cmd := start()
	e := &edge{addr: addr, url: "ws://" + addr}
	alice := e.connect(t, "alice", "1", client.Options{DialTimeout: time.Minute})
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	manager.want(t, "STOPPING=1")
	if err := cmd.Wait(); err != nil {
		t.Errorf("the server has ended with %v", err)
	}

	// Nobody serves, and nobody is refused.
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	start()
	answer, err := io.ReadAll(conn)
	if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.0 200 ")) {
		t.Errorf("who waited got %.100q, %v", answer, err)
	}
	if _, err := alice.Request(t.Context(), "message", "/echo", nil, client.Timeout(time.Minute)); err != nil {
		t.Error(err)
	}
	if log := manager.log.String(); strings.Contains(log, "WebTransport") || strings.Contains(log, "sockets") {
		t.Errorf("the log is\n%s", log)
	}
}

// listenBoth opens a TCP and a UDP socket with one port number.
func listenBoth(t *testing.T) (*net.TCPListener, *net.UDPConn) {
	t.Helper()
	for range 100 {
		tcp, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		if udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(tcp.Addr().(*net.TCPAddr).AddrPort())); err == nil {
			return tcp, udp
		}
		_ = tcp.Close()
	}
	t.Fatal("no port is free for TCP and UDP")
	return nil, nil
}

// manager is a service manager, as far as a service tells it something.
type manager struct {
	name string
	conn *net.UnixConn
	log  lockedBuffer
}

func newManager(t *testing.T) *manager {
	t.Helper()
	m := &manager{name: filepath.Join(t.TempDir(), "notify")}
	var err error
	if m.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.name, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.conn.Close() })
	return m
}

// want returns when the service has said so.
func (m *manager) want(t *testing.T, state string) {
	t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	for buf := make([]byte, 4096); ; {
		n, err := m.conn.Read(buf)
		if err != nil {
			t.Fatalf("waiting for %s: %v\n%s", state, err, m.log.String())
		}
		for line := range strings.SplitSeq(string(buf[:n]), "\n") {
			if line == state {
				return
			}
		}
	}
}

// TestNotifyReload tells the manager when a reload begins and ends.
func TestNotifyReload(t *testing.T) {
	manager := newManager(t)
	t.Setenv("NOTIFY_SOCKET", manager.name)
	cmd, _ := startProcess(t, "--config", writeFile(t, t.TempDir(), "edge.yaml", "grace: 1s\n"))
	manager.want(t, "READY=1")
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	manager.want(t, "RELOADING=1")
	manager.want(t, "READY=1")
}

// TestDrainRequest has a request in progress when the server is told to end: it is answered first.
func TestDrainRequest(t *testing.T) {
	cmd, e := startProcess(t)
	arrived := make(chan *core.Request, 1)
	e.connect(t, "bob", "1", answering(func(req *core.Request, _ core.Next) error { arrived <- req; return nil }))
	lost := make(chan error, 8)
	alice := e.connect(t, "alice", "1", client.Options{OnDisconnect: func(_ *client.Client, err error) { lost <- err }})
	pending := alice.Send(core.NewRequest("message", "/users/bob/1", nil))
	req := <-arrived
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	e.waitForLog(t, "shutting down")
	for { // until alice's turn has come, she is served
		res, err := alice.Send(core.NewRequest("message", "/echo", nil)).Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if res.Status() == 200 {
			continue
		}
		if res.IsLocal() || res.Status() != 503 || !strings.HasPrefix(res.Reason(), "restart; reconnect in ") {
			t.Errorf("got %d %s", res.Status(), res.Reason())
		}
		break
	}
	if err := req.Reply(200, "just in time"); err != nil {
		t.Error(err)
	}
	if res, err := pending.Wait(t.Context()); err != nil || res.Reason() != "just in time" {
		t.Errorf("got %v, %v", res, err)
	}
	var closed *client.CloseError
	if err := <-lost; !errors.As(err, &closed) || closed.Code != core.CloseRestart {
		t.Errorf("got %v", err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the server has ended with %v", err)
	}
}

// TestDrainDelay has the server say that it wants no more clients, and take them all the same for as long as a load balancer may need.
func TestDrainDelay(t *testing.T) {
	cmd, e := startProcess(t, "--internal-addr", "127.0.0.1:0", "--drain-delay", "10m", "--drain-timeout", "11m")
	internal := e.internal(t)
	if status, body := request(t, "GET", internal+"/readyz", ""); status != 200 {
		t.Fatalf("got %d %s", status, body)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		status, body := request(t, "GET", internal+"/readyz", "")
		if status == 503 && strings.Contains(body, `"draining"`) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("got %d %s", status, body)
		}
	}
	if status, _ := request(t, "GET", internal+"/livez", ""); status != 200 {
		t.Errorf("a server that drains is dead: %d", status)
	}
	e.connect(t, "late", "1", client.Options{})
	if err := cmd.Process.Kill(); err != nil { // it would go on for ten minutes
		t.Fatal(err)
	}
	_ = cmd.Wait()
}

// TestDrainWebTransport tells a client over WebTransport the same as one over WebSocket. The next server has the port when the first has ended.
func TestDrainWebTransport(t *testing.T) {
	cmd, e := startProcess(t, "--listen-reuse-port")
	next, after := startProcess(t, "--listen-reuse-port", "--addr", e.addr)
	after.waitForLog(t, "WebTransport waits for its port")
	lost := make(chan error, 1)
	c, err := client.Dial(t.Context(), "https://"+e.addr+"/protoo?username=alice&uuid=1", client.Options{
		CertificateHashes: [][sha256.Size]byte{e.hash(t), after.hash(t)},
		OnDisconnect:      func(_ *client.Client, err error) { lost <- err },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = c.Close(0, "")
		<-c.Done()
	}()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var closed *client.CloseError
	if err := <-lost; !errors.As(err, &closed) || closed.Code != core.CloseRestart || !strings.HasPrefix(closed.Reason, "restart; reconnect in ") {
		t.Errorf("the client got %v", err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the server has ended with %v:\n%s", err, e.log.String())
	}
	if _, err := c.Request(t.Context(), "message", "/echo", nil, client.Timeout(time.Minute)); err != nil {
		t.Error(err)
	}
	if log := after.log.String(); !strings.Contains(log, "WebTransport has its port") {
		t.Errorf("the log of the next server is\n%s", log)
	}
	_ = c.Close(0, "")
	if err := next.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := next.Wait(); err != nil {
		t.Errorf("the next server has ended with %v", err)
	}
}

// hash returns that of the self-made certificate, which is printed behind the addresses.
func (e *edge) hash(t *testing.T) [sha256.Size]byte {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if found := printedHash.FindStringSubmatch(e.printed.String()); found != nil {
			text, err := base64.StdEncoding.DecodeString(found[1])
			if err != nil || len(text) != sha256.Size {
				t.Fatalf("the hash is %q", found[1])
			}
			return [sha256.Size]byte(text)
		}
		if time.Now().After(deadline) {
			t.Fatalf("printed is %q", e.printed.String())
		}
	}
}
