//go:build unix

package systemd

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// asChild makes the test binary say what sockets it was given.
const asChild = "PROTOO_TEST_SYSTEMD_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(asChild) == "" {
		os.Exit(m.Run())
	}
	files, err := Sockets()
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for _, f := range files {
		l, err := net.FileListener(f)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(f.Name(), l.Addr())
	}
	again, err := Sockets()
	fmt.Println(len(again), err, os.Getenv("LISTEN_FDS"))
}

func TestNotify(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := Notify(Ready); err != nil {
		t.Error(err)
	}
	name := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", name)
	if err := Notify(append(Reloading(), "STATUS=once more")...); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 256)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(buf[:n]), "\n")
	if lines[0] != "RELOADING=1" || !slices.Contains(lines, "STATUS=once more") {
		t.Errorf("got %q", lines)
	}
	t.Setenv("NOTIFY_SOCKET", name+"-missing")
	if Notify(Ready) == nil {
		t.Error("there is nobody to be told, and no error")
	}
}

// TestSockets has the process id, which nobody knows before there is a process, set by a shell that then becomes it.
func TestSockets(t *testing.T) {
	listen := func() (*os.File, string) {
		t.Helper()
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		f, err := l.File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f, l.Addr().String()
	}
	first, firstAddr := listen()
	second, secondAddr := listen()
	for _, tt := range []struct {
		name, pid, fds, names string
		want                  string
		fails                 bool
	}{
		{name: "names", pid: "$$", fds: "2", names: "web:api", want: "web " + firstAddr + "\napi " + secondAddr + "\n0 <nil> \n"},
		{name: "no names", pid: "$$", fds: "1", want: "LISTEN_FD_3 " + firstAddr + "\n0 <nil> \n"},
		{name: "another process", pid: "1", fds: "2", want: "0 <nil> \n"},
		{name: "none", pid: "$$", fds: "0", want: "0 <nil> \n"},
		{name: "nonsense", pid: "$$", fds: "two", want: "LISTEN_FDS is \"two\", expected a number up to 1024\n", fails: true},
		{name: "too many", pid: "$$", fds: "99999999", want: "LISTEN_FDS is \"99999999\", expected a number up to 1024\n", fails: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			exe, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("/bin/sh", "-c", "export LISTEN_PID="+tt.pid+"; exec "+strconv.Quote(exe))
			cmd.Env = append(os.Environ(), asChild+"=1", "LISTEN_FDS="+tt.fds, "LISTEN_FDNAMES="+tt.names)
			cmd.ExtraFiles = []*os.File{first, second}
			out, err := cmd.Output()
			if string(out) != tt.want || (err != nil) != tt.fails {
				t.Errorf("got %q, %v, want %q", out, err, tt.want)
			}
		})
	}
}
