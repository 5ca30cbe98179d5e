package listen

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"testing"
)

func open(t *testing.T, s *Sockets, addr string) net.Listener {
	t.Helper()
	l, err := s.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// TestReusePort has two listeners at one address, of which the first ends while connections are made.
func TestReusePort(t *testing.T) {
	if runtime.GOOS == "windows" {
		if _, err := (&Sockets{ReusePort: true}).Listen("127.0.0.1:0"); !errors.Is(err, ErrReusePort) {
			t.Errorf("got %v", err)
		}
		return
	}
	s := &Sockets{ReusePort: true}
	first := open(t, s, "127.0.0.1:0")
	addr := first.Addr().String()
	if l, err := (&Sockets{}).Listen(addr); err == nil {
		_ = l.Close()
		t.Error("an address was shared that should not be")
	}
	second := open(t, s, addr)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	accepted, err := second.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = accepted.Close()
}

// TestClose has clients that are connected and not accepted yet when the listener is closed.
func TestClose(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere the kernel resets them")
	}
	l := open(t, new(Sockets), "127.0.0.1:0")
	var clients []net.Conn
	for range 5 {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		clients = append(clients, conn)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
	for range clients {
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := conn.(*net.TCPConn); !ok {
			t.Errorf("got a %T", conn)
		}
		if _, err := io.WriteString(conn, "hi"); err != nil {
			t.Error(err)
		}
		_ = conn.Close()
	}
	for _, conn := range clients {
		if text, err := io.ReadAll(conn); string(text) != "hi" || err != nil {
			t.Errorf("a client got %q, %v", text, err)
		}
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want net.ErrClosed", err)
	}
	if conn, err := net.Dial("tcp", l.Addr().String()); err == nil {
		_ = conn.Close()
		t.Error("the socket is still open")
	}
}

func TestInherited(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("sockets cannot be copied there")
	}
	tcp, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	everywhere, err := net.ListenTCP("tcp", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer everywhere.Close()
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	var files []*os.File
	for _, socket := range []interface{ File() (*os.File, error) }{tcp, everywhere, udp} {
		f, err := socket.File()
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	s, err := New(false, files)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	addr := tcp.Addr().String()
	l := open(t, s, addr)
	if want := []string{"tcp " + everywhere.Addr().String(), "udp " + udp.LocalAddr().String()}; !slices.Equal(s.Unused(), want) {
		t.Errorf("unused are %q, want %q", s.Unused(), want)
	}
	_, port, err := net.SplitHostPort(everywhere.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	open(t, s, ":"+port)
	p, err := s.ListenPacket(udp.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if len(s.Unused()) != 0 {
		t.Errorf("unused are %q", s.Unused())
	}

	// It outlives the process that listens, and so does who waits.
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	accepted, err := tcp.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = accepted.Close()

	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(false, []*os.File{file}); err == nil {
		t.Error("a file was taken for a socket")
	}
}
