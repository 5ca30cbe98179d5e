// Package result is what a session of measurements has found, and how two sessions compare.
package result

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/protoo-go/protoo/bench/internal/load"
	"github.com/protoo-go/protoo/bench/internal/machine"
)

// Format is the version of the JSON form. A reader refuses another one. Names of fields end with their unit.
const Format = 2

// A Report is a session.
type Report struct {
	Format      int                 `json:"format"`
	Started     time.Time           `json:"started"`
	Elapsed     time.Duration       `json:"elapsed_ns"`
	Interrupted bool                `json:"interrupted,omitempty"`
	Machine     machine.Description `json:"machine"`
	Versions    map[string]string   `json:"versions"`
	Settings    Settings            `json:"settings"`
	Noise       []machine.Noise     `json:"noise"` // before, and after
	Notes       []string            `json:"notes,omitempty"`
	Targets     []Target            `json:"targets"`
	Series      []*Series           `json:"series"`
}

// Settings are what was asked for.
type Settings struct {
	Arguments     []string      `json:"arguments"`
	Rounds        int           `json:"rounds"`
	Time          time.Duration `json:"time_ns"`
	Warmup        time.Duration `json:"warmup_ns"`
	GOGC          string        `json:"GOGC"`                 // of all servers in Go
	ServerCPUs    []int         `json:"serverCPUs,omitempty"` // none if it was not pinned
	GeneratorCPUs []int         `json:"generatorCPUs,omitempty"`
}

// A Target is a server that was measured.
type Target struct {
	Name  string `json:"name"`
	About string `json:"about"`
}

// Reference is the target that all others are related to before sessions are compared.
const Reference = "reference"

// A Series is the same measurement, once in each round.
type Series struct {
	Group    string   `json:"group"`
	Scenario string   `json:"scenario"` // with the target, what names a series
	Target   string   `json:"target"`
	Path     string   `json:"path,omitempty"` // what was between the two, if not the machine's own loopback
	Job      load.Job `json:"job"`
	// Shared says that server and generator were one process, so that the costs are those of both.
	Shared bool  `json:"shared,omitempty"`
	Runs   []Run `json:"runs"`
}

// A Run is one measurement of a series.
type Run struct {
	Round int `json:"round"`
	// Invalid says why nothing in the run counts, Limited why its rates and times do not: the generator was the limit. Starved says why neither
	// these nor the CPU count: something else had the processors. What is left are bytes and losses.
	Invalid string `json:"invalid,omitempty"`
	Limited string `json:"limited,omitempty"`
	Starved string `json:"starved,omitempty"`

	*load.Measurement
}

// Timed tells whether the rates and times of a run count.
func (r Run) Timed() bool { return r.Invalid == "" && r.Limited == "" && r.Starved == "" }

// Find returns a series, or nil.
func (r *Report) Find(scenario, target string) *Series {
	for _, s := range r.Series {
		if s.Scenario == scenario && s.Target == target {
			return s
		}
	}
	return nil
}

// Latency merges what the valid runs of a series have counted.
func (s *Series) Latency() *load.Histogram {
	h := load.NewHistogram()
	for _, run := range s.Runs {
		if run.Timed() {
			h.Merge(run.Measurement.Latency)
		}
	}
	return h
}

// Write writes a report to a file.
func (r *Report) Write(file string) error {
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o666)
}

// Read reads a report from a file.
func Read(file string) (*Report, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	r := new(Report)
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if r.Format != Format {
		return nil, fmt.Errorf("%s: report format %d, expected %d", file, r.Format, Format)
	}
	for _, s := range r.Series {
		if s == nil {
			return nil, fmt.Errorf("%s: a series that is null", file)
		}
		for _, run := range s.Runs {
			if run.Measurement == nil && run.Invalid == "" {
				return nil, fmt.Errorf("%s: %s, %s: a run without a measurement", file, s.Scenario, s.Target)
			}
		}
	}
	return r, nil
}
