package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestPage(t *testing.T) {
	e := startEdge(t)
	for _, tt := range []struct {
		method, path string
		status       int
		contentType  string
		want         string
	}{
		{"GET", "/", 200, "text/html; charset=utf-8", "ws://" + e.addr + "/protoo?username="},
		{"HEAD", "/", 200, "text/html; charset=utf-8", ""},
		{"POST", "/", 405, "text/plain; charset=utf-8", "method not allowed"},
		{"GET", "/page/base.css", 200, "text/css; charset=utf-8", "color-scheme"},
		{"GET", "/protoo.js", 200, "text/javascript; charset=utf-8", "export const connect"},
		{"GET", "/protoo", 426, "text/plain; charset=utf-8", "WebSocket"},
		{"GET", "/page/index.html", 404, "text/plain; charset=utf-8", "not found"},
		{"GET", "/elsewhere", 404, "text/plain; charset=utf-8", "not found"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tt.method, "http://"+e.addr+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != tt.status || res.Header.Get("Content-Type") != tt.contentType || !strings.Contains(string(body), tt.want) {
			t.Errorf("%s %s: got %d %s\n%.300s", tt.method, tt.path, res.StatusCode, res.Header.Get("Content-Type"), body)
		}
		csp := res.Header.Get("Content-Security-Policy")
		if tt.status == 200 && (!strings.HasPrefix(csp, "default-src 'none';") || strings.Contains(csp, "unsafe")) {
			t.Errorf("%s: content security policy %q", tt.path, csp)
		}
	}
}

func TestPageEscapesHost(t *testing.T) {
	e := startEdge(t)
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+e.addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "<script>"
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, _ := io.ReadAll(res.Body); strings.Contains(string(body), "<script>") {
		t.Errorf("got\n%s", body)
	}
}
