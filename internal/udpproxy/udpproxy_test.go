package udpproxy

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// echo returns the address of a server that sends everything back, behind the address that it came from.
func echo(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(fmt.Appendf(nil, "%s %s", from, buf[:n]), from)
		}
	}()
	return conn.LocalAddr().String()
}

func TestProxy(t *testing.T) {
	p, err := New(echo(t), Options{Delay: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	ports := make(map[string]bool)
	for range 2 {
		conn, err := net.Dial("udp", p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		for i := range 100 {
			if i == 50 {
				if err := p.Rebind(); err != nil {
					t.Fatal(err)
				}
			}
			began := time.Now()
			if _, err := fmt.Fprint(conn, i); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 2048)
			n, err := conn.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			from, got, _ := strings.Cut(string(buf[:n]), " ")
			if got != strconv.Itoa(i) {
				t.Fatalf("got %s, want %d", got, i)
			}
			if time.Since(began) < 10*time.Millisecond {
				t.Error("it was not delayed")
			}
			ports[from] = true
		}
	}
	if len(ports) != 4 {
		t.Errorf("packets came from %v, want two ports for each client", ports)
	}
	if passed, lost := p.Counts(); passed != 400 || lost != 0 {
		t.Errorf("%d packets passed and %d lost, want 400 and none", passed, lost)
	}
}

func TestLoss(t *testing.T) {
	p, err := New(echo(t), Options{Loss: 0.5})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	conn, err := net.Dial("udp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// Every packet is sent until it is answered, so that nothing but the proxy loses any.
	buf := make([]byte, 2048)
	for range 200 {
		for {
			if _, err := conn.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			_ = conn.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
			if _, err := conn.Read(buf); err == nil {
				break
			}
		}
	}
	passed, lost := p.Counts()
	if part := float64(lost) / float64(passed+lost); part < 0.3 || part > 0.7 {
		t.Errorf("%.2f of the packets were lost, want 0.5", part)
	}
}
