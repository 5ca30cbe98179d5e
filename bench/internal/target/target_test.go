package target

import (
	"bufio"
	"bytes"
	"context"
	"debug/buildinfo"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/protoo-go/protoo/bench/internal/load"
	"github.com/protoo-go/protoo/bench/internal/machine"
	"github.com/protoo-go/protoo/bench/internal/server"
)

const serve, other = "serve", "other"

// The tests' own binary is the server.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == serve {
		if err := server.Run(context.Background(), os.Args[2], os.Args[3], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) == 3 && os.Args[1] == other {
		wasteful(os.Args[2])
		return
	}
	os.Exit(m.Run())
}

const waste = 128 << 20

// wasteful is a server with garbage that it does not give back before it is told to.
func wasteful(port string) {
	garbage := bytes.Repeat([]byte("x"), waste)
	go func() {
		_ = http.ListenAndServe("127.0.0.1:"+port, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _, _, _ = ws.UpgradeHTTP(r, w) }))
	}()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		clear(garbage[:1])
		garbage = make([]byte, 1)
		debug.FreeOSMemory()
		fmt.Printf("{\"resident\":%s}\n", os.Getenv("GOGC")) // which is nobody's business but the test's
	}
}

// A rival gives back what it does not need before its memory is looked at, as ours do, and does not outlive the pipe to it.
func TestRivalIsAttended(t *testing.T) {
	t.Setenv("GOGC", "123")
	r := Rival{command: []string{os.Args[0], other, "%p"}, url: rivalURL, dialect: load.Protoo}
	s, err := r.Start(t.Context(), ".", "", Options{})
	if err != nil {
		t.Fatal(err)
	}
	before, unsupported := machine.Resident(s.pid())
	after, err := s.Resident(t.Context())
	if unsupported == nil && (err != nil || after+waste/2 > before) {
		t.Errorf("%d bytes are resident, %v, and before %d", after, err, before)
	}
	if r, err := s.control.do(server.Command{Do: server.DoResident}); fmt.Sprint(r.Resident) != server.GOGC() {
		t.Errorf("its GOGC is %d, %v, want %s as ours", r.Resident, err, server.GOGC())
	}
	_ = s.control.stdin.Close()
	<-s.exited
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestIdle(t *testing.T) {
	program, err := Program(serve)
	if err != nil {
		t.Fatal(err)
	}
	for _, transport := range []string{server.Events, server.WebTransport} {
		s, err := Start(t.Context(), transport, Options{Program: program})
		if err != nil {
			t.Fatal(err)
		}
		m, err := load.Run(t.Context(), s, load.Job{Kind: load.Idle, Peers: 8, Payload: 10})
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Memory) != 5 || m.Memory[4].Peers != 8 || m.Memory[4].Resident == 0 {
			t.Errorf("%s: got %v", transport, m.Memory)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestStartFails(t *testing.T) {
	program, err := Program(serve)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		transport string
		options   Options
		want      string
	}{
		{"pigeons", Options{Program: program}, `unknown transport "pigeons"`},
		{server.Events, Options{Program: program, Host: "192.0.2.1"}, "listen"},
		{server.Events, Options{Program: []string{"/does/not/exist"}}, "/does/not/exist"},
	} {
		s, err := Start(t.Context(), tt.transport, tt.options)
		if err == nil {
			_ = s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.transport, err, tt.want)
		}
	}
}

func TestRivalFails(t *testing.T) {
	r := Rival{command: []string{os.Args[0], "-test.run=^$"}, url: rivalURL, dialect: load.Protoo}
	s, err := r.Start(t.Context(), ".", "", Options{})
	if err == nil {
		_ = s.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("got %v", err)
	}
	if r := (&Rival{needs: "node_modules/nothing"}); r.Installed(t.TempDir()) {
		t.Error("what is not there is installed")
	}
}

// A rival's versions come from its program, or its package.
func TestRivalVersions(t *testing.T) {
	folder := t.TempDir()
	if err := os.MkdirAll(filepath.Join(folder, "node_modules", "some"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "node_modules", "some", "package.json"), []byte(`{"version":"1.2.3"}`), 0o666); err != nil {
		t.Fatal(err)
	}
	npm := Rival{command: []string{"./node_modules/.bin/some"}, module: "some"}
	if got := npm.Versions(t.Context(), folder, ""); got["npm some"] != "1.2.3" {
		t.Errorf("npm: got %v", got)
	}
	missing := Rival{command: []string{"./node_modules/.bin/other"}, module: "other"}
	if got := missing.Versions(t.Context(), folder, ""); len(got) != 0 {
		t.Errorf("what is not there has the version %v", got)
	}

	const module = "github.com/gobwas/ws"
	info := &buildinfo.BuildInfo{Deps: []*debug.Module{{Path: "example.com/other", Version: "v0.1.0"}, {Path: module, Version: "v1.2.3"}}}
	if got := moduleVersion(info, module); got["rival "+module] != "v1.2.3" {
		t.Errorf("Go: got %v", got)
	}
	program := Rival{command: []string{"./bin/nothing"}, module: module}
	if got := program.Versions(t.Context(), folder, folder); len(got) != 0 {
		t.Errorf("a program that is not there has the version %v", got)
	}
	for _, r := range Rivals {
		if r.module == "" {
			t.Errorf("nobody knows the version of %s", r.Name)
		}
	}
}
