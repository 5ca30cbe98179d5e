//go:build unix

package main

import (
	"fmt"
	"log/slog"
	"math"
	"strings"
	"syscall"
	"testing"

	"github.com/protoo-go/protoo/client"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/config"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/health"
	"github.com/protoo-go/protoo/core"
)

// TestWarnOfDescriptors has no limit, and one that fits.
func TestWarnOfDescriptors(t *testing.T) {
	_, limit := health.CountDescriptors() // 0 where it cannot be known
	for connections, want := range map[int]bool{0: limit > 0, math.MaxInt32: limit > 0 && limit <= math.MaxInt32, 1: false} {
		for _, env := range []string{"development", config.Production} {
			cfg := config.New()
			cfg.Env, cfg.Limits.Connections, cfg.Limits.HTTPConnections = env, connections, 1
			var log lockedBuffer
			newBounds(core.New(core.Options{}), cfg, slog.New(slog.NewTextHandler(&log, nil)))
			if got := strings.Contains(log.String(), "limits.http_connections are not below"); got != (want && env == config.Production) {
				t.Errorf("%d connections in %s: the log has %q", connections, env, log.String())
			}
		}
	}
}

// TestReloadLimits changes the rates of a client that is connected, and of a path.
func TestReloadLimits(t *testing.T) {
	const text = "limits: {requests_per_second: 0.01, requests_burst: 3, patience: 0s}\n" +
		"middleware:\n- {use: limit, path: /echo/slow, requests_per_second: 0.01, burst: 1}\n- {use: echo}\n"
	dir := t.TempDir()
	file := writeFile(t, dir, "edge.yaml", text)
	cmd, e := startProcess(t, "--config", file)
	c := e.connect(t, "alice", "phone", client.Options{}) // asks once
	want := func(path, want string) {
		t.Helper()
		if _, err := c.Request(t.Context(), "message", path, nil); fmt.Sprint(err) != want {
			t.Errorf("%s: got %v, want %s", path, err, want)
		}
	}
	reload := func(text, want string) {
		t.Helper()
		writeFile(t, dir, "edge.yaml", text)
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		e.waitForLog(t, want)
	}
	want("/echo/slow", "<nil>")
	want("/echo", "<nil>")
	want("/echo", "429 too many requests")
	reload(strings.Replace(text, "burst: 3", "burst: 1000", 1), "limits.requests_burst: 3 -> 1000")
	want("/echo", "<nil>")
	want("/echo/slow", "429 too many requests for this path")
	reload(strings.Replace(strings.Replace(text, "burst: 3", "burst: 1001", 1), "burst: 1}", "burst: 1000}", 1), "limits.requests_burst: 1000 -> 1001")
	want("/echo/slow", "<nil>")
}
