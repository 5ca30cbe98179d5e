package modules

import (
	"encoding/hex"
	"encoding/json"
	"net/http"
	"time"

	"github.com/protoo-go/protoo/wasmhost"
)

// Status is how a module is. Counters count from the start of the server.
type Status struct {
	Path    string    `json:"path"`
	File    string    `json:"file"`
	SHA256  string    `json:"sha256"` // of the file that serves
	Name    string    `json:"name"`
	Version string    `json:"version,omitempty"`
	Serial  int       `json:"serial"` // 1 at first, one more with each reload
	Loaded  time.Time `json:"loaded"`
	Problem string    `json:"problem,omitempty"` // why what the file or the configuration has now does not serve

	Grants  []string `json:"grants"`
	Connect bool     `json:"connect"`
	OnError string   `json:"on_error"`

	Events   map[string]uint64        `json:"events"` // calls by event
	Fuel     uint64                   `json:"fuel"`
	Failures map[wasmhost.Kind]uint64 `json:"failures"`
	Skipped  uint64                   `json:"skipped"`   // events that it was not told of, because it was unavailable
	Broken   bool                     `json:"broken"`    // it has failed too often to be asked now
	Counters map[string]int64         `json:"counters"`  // its own
	Log      uint64                   `json:"log_lines"` // that were dropped because there were too many

	Instances     int    `json:"instances"`
	InstancesMade uint64 `json:"instances_made"`
	Queue         int    `json:"queue"` // events that wait for an instance
	Versions      int    `json:"versions"`
	Pending       int    `json:"pending"`
	Sends         int    `json:"sends"`
	Timers        int    `json:"timers"`
	HeldBytes     int    `json:"held_bytes"` // of what is pending, sent or waits for a timer
	Keys          int    `json:"kv_keys"`
	KeyBytes      int    `json:"kv_bytes"`
}

// Status returns how the modules are, in the order of the configuration.
func (s *Set) Status() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Status, len(s.modules))
	for i, m := range s.modules {
		all[i] = m.status()
	}
	return all
}

func (m *Module) status() Status {
	stats, w := m.module.Stats(), &m.serving.Wasm
	s := Status{
		Path:    m.serving.Path,
		File:    w.File,
		SHA256:  hex.EncodeToString(m.sum[:]),
		Name:    stats.Name,
		Version: stats.Version,
		Serial:  stats.Serial,
		Loaded:  m.loaded.UTC(),
		Problem: m.failed,

		Grants:  append([]string{}, w.Grants...),
		Connect: w.Connect,
		OnError: w.OnError,

		Events:   stats.Events,
		Fuel:     stats.Fuel,
		Failures: stats.Failures,
		Skipped:  stats.Skipped,
		Broken:   stats.Broken,
		Counters: stats.Counters,
		Log:      stats.LogDropped,

		Instances:     stats.Instances,
		InstancesMade: stats.Made,
		Queue:         stats.Waiting,
		Versions:      stats.Versions,
		Pending:       stats.Pending,
		Sends:         stats.Sends,
		Timers:        stats.Timers,
		HeldBytes:     stats.Held,
		Keys:          stats.KV.Keys,
		KeyBytes:      stats.KV.Bytes,
	}
	if s.Failures == nil {
		s.Failures = map[wasmhost.Kind]uint64{}
	}
	return s
}

// ServeHTTP answers with the status of all modules as JSON.
func (s *Set) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	text, err := json.MarshalIndent(struct {
		Modules []Status `json:"modules"`
	}{s.Status()}, "", "  ")
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(append(text, '\n')) // a client that has gone needs no answer
}
