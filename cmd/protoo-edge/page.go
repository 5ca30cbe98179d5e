package main

import (
	"bytes"
	"embed"
	"html/template"
	"io"
	"net/http"
	"strings"

	"github.com/protoo-go/protoo/client/js"
	"github.com/protoo-go/protoo/core"
)

//go:embed page
var pageFiles embed.FS

var pageTemplate = template.Must(template.ParseFS(pageFiles, "page/index.html"))

// contentSecurityPolicy lets the page have what comes from here, and those who try things out
// in its console as well.
const contentSecurityPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// newHandler serves WebSocket at / and /protoo, a page about that at /, and the client for other pages.
func newHandler(ws http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/protoo", ws)
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, r *http.Request) {
		switch {
		case isUpgrade(r):
			ws.ServeHTTP(w, r)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		default:
			servePage(w, r)
		}
	})
	mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, r *http.Request) {
		harden(w)
		http.ServeFileFS(w, r, pageFiles, "page/style.css")
	})
	mux.HandleFunc("GET /protoo.js", func(w http.ResponseWriter, _ *http.Request) {
		harden(w)
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		_, _ = io.WriteString(w, js.Module)
	})
	return mux
}

func isUpgrade(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

func servePage(w http.ResponseWriter, r *http.Request) {
	var page bytes.Buffer
	err := pageTemplate.Execute(&page, struct{ Version, Host string }{core.Version, r.Host})
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	harden(w)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = page.WriteTo(w)
}

func harden(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Security-Policy", contentSecurityPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache")
}
