package netpath

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/protoo-go/protoo/core/coretest"
)

func TestMain(m *testing.M) { coretest.Main(m) }

// TestRelay sends through a path and back, in pieces, and has the ends close in turn.
func TestRelay(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}
	}()
	p, err := newProxies(Loss{Delay: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	address, err := p.Via("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const pieces = 50
	began := time.Now()
	go func() {
		for range pieces {
			_, _ = io.WriteString(c, strings.Repeat("x", 1000))
		}
	}()
	got := make([]byte, pieces*1000)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != strings.Repeat("x", len(got)) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	if took := time.Since(began); took < 2*time.Millisecond {
		t.Errorf("there and back took %v, less than the delays", took)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := c.Read(got); err == nil {
		t.Error("the connection has outlived the path")
	}
}

func TestUDP(t *testing.T) {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	p, err := newProxies(Loss{})
	if err != nil {
		t.Fatal(err)
	}
	address, err := p.Via("udp", server.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "hello"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 10)
	if n, _, err := server.ReadFrom(b); err != nil || string(b[:n]) != "hello" {
		t.Errorf("got %q, %v", b[:n], err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// Two sessions whose paths are alike have the same label for it, whatever the reason was that there is no better one.
func TestLabel(t *testing.T) {
	t.Setenv("PATH", "") // so that there is no iproute2
	loss := Loss{Part: 0.01}
	p, err := New(loss)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if proxies, _ := newProxies(loss); p.Label != proxies.Label || p.Note == "" {
		t.Errorf("got %q and the note %q, want %q", p.Label, p.Note, proxies.Label)
	}
}
