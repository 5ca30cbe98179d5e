package modules

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/config"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/modules/moduletest"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/throttle"
	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/wasmhost"
)

// write changes a file, and its time so that no clock is too coarse for the test.
func write(t *testing.T, file string, content []byte, second int) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	at := time.Unix(int64(second), 0)
	if err := os.Chtimes(file, at, at); err != nil {
		t.Fatal(err)
	}
}

// A file is loaded when it has rested, what is none is said once, and what is the same is not loaded again.
func TestLook(t *testing.T) {
	file := filepath.Join(t.TempDir(), "m.wasm")
	write(t, file, moduletest.Replier("1").Bytes(t), 1)
	cfg, err := config.Load(config.Sources{Flags: []config.Flag{{Name: config.ModuleFlag, Text: "/=" + file}}})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	set, err := New(cfg, core.New(core.Options{}), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	if _, err := set.Load(cfg.Middleware[0]); err != nil {
		t.Fatal(err)
	}
	for i, tt := range []struct {
		change  func()
		version string
		serial  int
		problem string
	}{
		{func() {}, "1", 1, ""},
		{func() { write(t, file, moduletest.Replier("2").Bytes(t), 2) }, "1", 1, ""}, // seen
		{func() { write(t, file, moduletest.Replier("2").Bytes(t), 3) }, "1", 1, ""}, // written on
		{func() {}, "2", 2, ""}, // at rest
		{func() {}, "2", 2, ""},
		{func() { write(t, file, []byte("half"), 4) }, "2", 2, ""},
		{func() {}, "2", 2, "header"},
		{func() {}, "2", 2, "header"},
		{func() { write(t, file, moduletest.Replier("2").Bytes(t), 5) }, "2", 2, "header"},
		{func() {}, "2", 2, ""}, // it is what serves
		{func() { _ = os.Remove(file) }, "2", 2, "m.wasm: "},
		{func() { write(t, file, moduletest.Replier("3").Bytes(t), 6) }, "2", 2, "m.wasm: "},
		{func() {}, "3", 3, ""},
	} {
		tt.change()
		set.look()
		s := set.Status()[0]
		if s.Version != tt.version || s.Serial != tt.serial || (s.Problem == "") != (tt.problem == "") || !strings.Contains(s.Problem, tt.problem) {
			t.Errorf("step %d: %+v", i, s)
		}
	}
	if n := strings.Count(log.String(), "module not reloaded"); n != 2 {
		t.Errorf("%d failures are in the log, want 2:\n%s", n, log.String())
	}
}

// Who looks at the modules does not wait while one is loaded.
func TestStatusWhileLoading(t *testing.T) {
	file := filepath.Join(t.TempDir(), "m.wasm")
	write(t, file, moduletest.Replier("1").Bytes(t), 1)
	cfg, err := config.Load(config.Sources{Flags: []config.Flag{{Name: config.ModuleFlag, Text: "/=" + file}}})
	if err != nil {
		t.Fatal(err)
	}
	set, err := New(cfg, core.New(core.Options{}), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := set.Load(cfg.Middleware[0]); err != nil {
		t.Fatal(err)
	}
	set.loading.Lock()
	defer set.loading.Unlock()
	if s := set.Status(); set.Len() != 1 || s[0].Version != "1" {
		t.Errorf("%d modules, %+v", set.Len(), s)
	}
	set.Close()
}

// One failure of a module is written in a second, and how many there were besides.
func TestFailuresAreThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		l := &hostLog{log: slog.New(slog.NewTextHandler(&log, nil)), throttles: make(map[string]*throttle.Throttle)}
		failures := func(module string, n int) {
			for range n {
				l.failure(&wasmhost.Error{Module: module, Kind: wasmhost.KindTrap, Event: "request", Err: os.ErrInvalid, Stack: "f()"})
			}
		}
		failures("a", 100)
		failures("b", 1)
		time.Sleep(time.Second)
		failures("a", 1)
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != 3 || !strings.Contains(lines[2], "module=a version=\"\" kind=trap event=request error=\"invalid argument\" stack=f() suppressed=99") {
			t.Errorf("got\n%s", log.String())
		}
	})
}
