package main

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
)

// newInternal serves what is for operators. None of it is on the public address.
func (s *server) newInternal() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /modules", s.modules)
	mux.HandleFunc("GET /livez", s.health.ServeLive)
	mux.HandleFunc("GET /readyz", s.health.ServeReady)
	if s.metrics != nil {
		mux.Handle("GET /metrics", s.metrics.Handler(s.log))
	}
	mux.HandleFunc("GET /log-level", s.serveLevel)
	mux.HandleFunc("PUT /log-level", s.setLevel)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

func (s *server) serveLevel(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, strings.ToLower(s.level.Level().String())+"\n") // a client that has gone needs no answer
}

// setLevel changes the level of the log until the next reload. It is a PUT because no page can make a browser send
// that to another host without being allowed to.
func (s *server) setLevel(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64))
	wanted := strings.TrimSpace(string(text))
	level, known := levels[wanted]
	if err != nil || !known {
		http.Error(w, "expected debug, info, warn or error", http.StatusBadRequest)
		return
	}
	before := s.level.Level()
	s.level.Set(level)
	s.log.Log(r.Context(), max(level, slog.LevelWarn), "the level of the log has changed", "from", before, "to", level)
	s.serveLevel(w, r)
}

var levels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}

// warnOfInternal tells who may not have meant it that strangers can read everything that is for operators.
func (s *server) warnOfInternal(at net.Addr) {
	if tcp, ok := at.(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		s.log.Warn("internal.addr is not on loopback: whoever can connect to it sees figures, profiles and modules, and can change the level of the log", "addr", at)
	}
}
