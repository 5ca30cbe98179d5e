package main

import (
	"io"
	"io/fs"
	"net/http"
	"path"
	"regexp"
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
		{"GET", "/?split", 200, "text/html; charset=utf-8", "<iframe"},
		{"GET", "/page/app.js", 200, "text/javascript; charset=utf-8", "import "},
		{"GET", "/page/icon.svg", 200, "image/svg+xml", "<svg"},
		{"GET", "/page/base.css", 200, "text/css; charset=utf-8", "color-scheme"},
		{"GET", "/protoo.js", 200, "text/javascript; charset=utf-8", "export const connect"},
		{"GET", "/protoo", 426, "text/plain; charset=utf-8", "WebSocket"},
		{"GET", "/page/index.html", 404, "text/plain; charset=utf-8", "not found"},
		{"GET", "/page/nothing.js", 404, "text/plain; charset=utf-8", "not found"},
		{"GET", "/page/", 404, "text/plain; charset=utf-8", "not found"},
		{"GET", "/page/..%2fapp.go", 404, "text/plain; charset=utf-8", "not found"},
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
		if tt.status == 200 && csp != contentSecurityPolicy(e.addr) {
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

func TestContentSecurityPolicy(t *testing.T) {
	const begin = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'"
	for host, allowed := range map[string]string{
		"example.org":           " ws://example.org wss://example.org https://example.org;",
		"127.0.0.1:8080":        " ws://127.0.0.1:8080 wss://127.0.0.1:8080 https://127.0.0.1:8080;",
		"[::1]:8080":            " ws://[::1]:8080 wss://[::1]:8080 https://[::1]:8080;",
		"":                      ";",
		"a; script-src *":       ";",
		"a;script-src":          ";",
		"a b":                   ";",
		"[::1]:8080;script-src": ";",
		"a\nb":                  ";",
	} {
		policy := contentSecurityPolicy(host)
		if !strings.HasPrefix(policy, begin+allowed+" img-src ") || strings.Contains(policy, "unsafe") {
			t.Errorf("%q: %s", host, policy)
		}
	}
}

var (
	// references are what a file of the page asks the server for.
	references = map[string]*regexp.Regexp{
		".html": regexp.MustCompile(`\b(?:src|href)="([^"#][^"]*)"`),
		".css":  regexp.MustCompile(`(?:@import|url\()\W*([^'")]+)`),
		".js":   regexp.MustCompile(`\b(?:from|import) '([^']+)'`),
		".svg":  regexp.MustCompile(`\bhref="([^"#][^"]*)"`),
	}
	elsewhere = regexp.MustCompile(`//[a-z0-9-]+\.[a-z]`)
	// forbidden is what the policy would not let work, and what could make markup of text.
	forbidden = regexp.MustCompile(`<style|style="|\bon[a-z]+="|innerHTML|outerHTML|insertAdjacentHTML|\beval\b`)
)

// TestPageIsComplete finds what the files of the page refer to, which has to come from this server and to
// be there, and files that nothing refers to.
func TestPageIsComplete(t *testing.T) {
	var wanted []string
	unused := make(map[string]bool)
	err := fs.WalkDir(pageFiles, "page", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := pageFiles.ReadFile(name)
		text := strings.ReplaceAll(string(content), "http://www.w3.org/2000/svg", "")
		for _, found := range []string{elsewhere.FindString(text), forbidden.FindString(text)} {
			if found != "" {
				t.Errorf("%s has %s", name, found)
			}
		}
		ext := path.Ext(name)
		for _, found := range references[ext].FindAllStringSubmatch(text, -1) {
			wanted = append(wanted, found[1])
		}
		if ext != ".html" {
			unused["/"+name] = true
			if assetTypes[ext] == "" {
				t.Errorf("%s: no content type is known for it", name)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, url := range wanted {
		if file, ok := strings.CutPrefix(url, "./"); ok {
			url = "/page/" + file
		}
		if file, ok := strings.CutPrefix(url, "/page/"); !ok {
			if page, _, _ := strings.Cut(url, "?"); page != "/" && page != "/protoo.js" {
				t.Errorf("nothing is served at %s", url)
			}
		} else if _, err := fs.Stat(pageFiles, "page/"+file); err != nil {
			t.Error(err)
		}
		delete(unused, url)
	}
	for name := range unused {
		t.Errorf("nothing refers to %s", name)
	}
}
