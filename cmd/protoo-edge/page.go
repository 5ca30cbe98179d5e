package main

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"io"
	"net/http"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/protoo-go/protoo/client/js"
	"github.com/protoo-go/protoo/core"
)

//go:embed page
var pageFiles embed.FS

var pageTemplates = template.Must(template.ParseFS(pageFiles, "page/*.html"))

// assetTypes are the files that the page asks for, by their ending. The system's own table of types
// may say something else, and browsers insist.
var assetTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// newHandler serves WebSocket at / and /protoo, the client for pages of others, and, if it is wanted, the page at /. hashes is nil
// unless certificates are self-made.
func newHandler(ws http.Handler, page bool, hashes func() ([][sha256.Size]byte, error)) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/protoo", ws)
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, r *http.Request) {
		switch {
		case isUpgrade(r):
			ws.ServeHTTP(w, r)
		case !page:
			http.NotFound(w, r)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		case r.URL.Query().Has("split"):
			servePage(w, r, "split.html")
		default:
			servePage(w, r, "index.html")
		}
	})
	if page {
		mux.HandleFunc("GET /page/{file}", serveAsset)
	}
	if hashes != nil {
		mux.HandleFunc("GET /certificate-hashes.json", func(w http.ResponseWriter, r *http.Request) {
			serveHashes(w, r, hashes)
		})
	}
	mux.HandleFunc("GET /protoo.js", func(w http.ResponseWriter, r *http.Request) {
		harden(w, r)
		w.Header().Set("Content-Type", assetTypes[".js"])
		_, _ = io.WriteString(w, js.Module)
	})
	return mux
}

// serveHashes tells pages which self-made certificates to accept for WebTransport, as base64 for the option
// serverCertificateHashes. Nothing else vouches for them, so this is for development.
func serveHashes(w http.ResponseWriter, r *http.Request, hashes func() ([][sha256.Size]byte, error)) {
	list, err := hashes()
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	answer := struct {
		Hashes []string `json:"hashes"`
	}{}
	for _, hash := range list {
		answer.Hashes = append(answer.Hashes, base64.StdEncoding.EncodeToString(hash[:]))
	}
	harden(w, r)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

func isUpgrade(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

func servePage(w http.ResponseWriter, r *http.Request, name string) {
	var page bytes.Buffer
	err := pageTemplates.ExecuteTemplate(&page, name, struct{ Version, Host string }{core.Version, r.Host})
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	harden(w, r)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = page.WriteTo(w)
}

func serveAsset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	contentType := assetTypes[path.Ext(name)]
	content, err := pageFiles.ReadFile("page/" + name)
	if contentType == "" || err != nil {
		http.NotFound(w, r)
		return
	}
	harden(w, r)
	w.Header().Set("Content-Type", contentType)
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
}

// harden lets the page have what comes from here and nothing else.
func harden(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", contentSecurityPolicy(r.Host))
	h.Set("Permissions-Policy", "camera=(self), microphone=(self)")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache")
}

// plainHost is a host with its port, in which nothing ends a directive of a policy.
var plainHost = regexp.MustCompile(`^[\w.-]+(:\d+)?$|^\[[0-9a-fA-F:]+\](:\d+)?$`)

// contentSecurityPolicy names the host because 'self' does not cover WebSocket and WebTransport in every browser. The page is its own
// frame in the split view.
func contentSecurityPolicy(host string) string {
	connect := "'self'"
	if plainHost.MatchString(host) {
		connect += " ws://" + host + " wss://" + host + " https://" + host
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; connect-src " + connect + "; img-src 'self' data:; " +
		"media-src blob:; frame-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
}
