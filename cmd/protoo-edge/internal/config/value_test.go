package config

import (
	"math"
	"testing"
	"time"
)

func TestSizes(t *testing.T) {
	for text, want := range map[string]int{
		"0": 0, "1": 1, "1B": 1, "12 B": 12, "64KiB": 64 << 10, "64 KiB": 64 << 10, "1MiB": 1 << 20, "1GiB": 1 << 30, "2147483647": math.MaxInt32,
		"": -1, "KiB": -1, "-1": -1, "+1": -1, "1.5KiB": -1, "1kb": -1, "1K": -1, "1  KiB": -1, " 1": -1, "0x10": -1, "1_000": -1,
		"2GiB": -1, "2097152KiB": -1, "2147483648": -1, "99999999999999999999": -1,
	} {
		got, ok := parseSize(text)
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("%q is %d, want %d", text, got, want)
		}
	}
	for n, want := range map[int]string{0: "0", 1: "1", 1023: "1023", 1024: "1KiB", 1025: "1025", 65536: "64KiB", 3 << 20: "3MiB", 1 << 30: "1GiB"} {
		if got := formatSize(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

func TestDurations(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", time.Second: "1s", 2 * time.Minute: "2m", time.Hour: "1h", 10 * time.Minute: "10m", time.Hour + time.Second: "1h0m1s",
		90 * time.Minute: "1h30m", 100 * time.Second: "1m40s", 1500 * time.Millisecond: "1.5s", 20 * time.Hour: "20h",
	} {
		if got := formatDuration(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		} else if back, err := time.ParseDuration(got); err != nil || back != d {
			t.Errorf("%q is %v, %v", got, back, err)
		}
	}
	var d time.Duration
	v := duration(&d, time.Second, time.Second)
	for text, want := range map[string]bool{"1s": true, "8760h": true, "999ms": false, "8761h": false, "-1s": false, "1": false, "1d": false, "": false} {
		if got := v.parse(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestAddresses(t *testing.T) {
	var s string
	v := address(&s, "")
	for text, want := range map[string]bool{
		"127.0.0.1:8080": true, ":443": true, "[::1]:0": true, "localhost:65535": true, "off": true,
		"": false, "8080": false, ":": false, ":http": false, ":65536": false, "::1:80": false, "a\x1b:1": false, "http://a:80": false, "a:-1": false,
	} {
		if got := v.parse(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestForms(t *testing.T) {
	for name, form := range map[string]struct {
		is  func(string) bool
		yes []string
		no  []string
	}{
		"domain": {isDomain, []string{"a.b", "edge-1.example.com", "xn--bcher-kva.example"}, []string{"", "localhost", "*.a.b", "a..b", ".a", "a.", "-a.b", "a-.b", "a b.c", "ä.de", "a.b:443"}},
		"email":  {isEmail, []string{"", "ops@example.com"}, []string{"ops", "Ops <ops@example.com>", "a@b, c@d"}},
		"https":  {isHTTPS, []string{"https://a", "https://a:14000/dir"}, []string{"", "http://a", "https://", "a", "https://u:p@a", "https://a b"}},
		"origin": {isOrigin, []string{"*", "https://*.example.com", "*.example.com"}, []string{"[", "a b"}},
		"sha256": {isSHA256, []string{"0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef"}, []string{"", "0", "x123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}},
	} {
		for _, s := range form.yes {
			if !form.is(s) {
				t.Errorf("%q is no %s", s, name)
			}
		}
		for _, s := range form.no {
			if form.is(s) {
				t.Errorf("%q is a %s", s, name)
			}
		}
	}
}
