package core

import (
	"strings"
	"testing"
	"time"
)

func TestReconnectHint(t *testing.T) {
	for _, tt := range []struct {
		wait time.Duration
		text string
		back time.Duration
	}{
		{1500 * time.Millisecond, "restart; reconnect in 1500 ms", 1500 * time.Millisecond},
		{0, "restart; reconnect in 0 ms", 0},
		{-time.Second, "restart; reconnect in 0 ms", 0},
		{1234567 * time.Nanosecond, "restart; reconnect in 1 ms", time.Millisecond},
		{time.Hour, "restart; reconnect in 60000 ms", time.Minute},
	} {
		text := ReconnectHint("restart", tt.wait)
		back, ok := ParseReconnectHint(text)
		if text != tt.text || back != tt.back || !ok {
			t.Errorf("%v: got %q, %v, %v", tt.wait, text, back, ok)
		}
	}
}

func TestParseReconnectHint(t *testing.T) {
	for _, tt := range []struct {
		reason string
		wait   time.Duration
		ok     bool
	}{
		{"; reconnect in 7 ms", 7 * time.Millisecond, true},
		{"a; reconnect in 1 ms; reconnect in 2 ms", 2 * time.Millisecond, true},
		{"restart; reconnect in 60000 ms", time.Minute, true},
		{reason: "restart; reconnect in 60001 ms"},
		{reason: "restart; reconnect in 99999999999999999999 ms"},
		{reason: "restart; reconnect in -1 ms"},
		{reason: "restart; reconnect in +1 ms"},
		{reason: "restart; reconnect in 01 ms"},
		{reason: "restart; reconnect in  ms"},
		{reason: "restart; reconnect in 1.5 ms"},
		{reason: "restart; reconnect in 1_0 ms"},
		{reason: "restart; reconnect in ١ ms"},
		{reason: "restart; reconnect in 1 s"},
		{reason: "restart; reconnect in 1 ms "},
		{reason: "restart; Reconnect in 1 ms"},
		{reason: "restart, reconnect in 1 ms"},
		{reason: "reconnect in 1 ms"},
		{reason: "restart"},
		{reason: ""},
	} {
		if wait, ok := ParseReconnectHint(tt.reason); ok != tt.ok || ok && wait != tt.wait {
			t.Errorf("%q: got %v, %v", tt.reason, wait, ok)
		}
	}
}

// FuzzParseReconnectHint checks that only what ReconnectHint writes is a hint, and none is too long.
func FuzzParseReconnectHint(f *testing.F) {
	for _, s := range []string{"", "restart; reconnect in 1500 ms", "; reconnect in 0 ms", "; reconnect in 60001 ms", "; reconnect in 00 ms"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, reason string) {
		wait, ok := ParseReconnectHint(reason)
		if !ok {
			return
		}
		before := reason[:strings.LastIndex(reason, hintBegin)]
		if wait < 0 || wait > maxHint || ReconnectHint(before, wait) != reason {
			t.Errorf("%q: got %v", reason, wait)
		}
	})
}
