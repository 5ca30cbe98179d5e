package wasmhost

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// manifestSection and signatureSection are the names of custom sections.
const (
	manifestSection  = "protoo.manifest"
	signatureSection = "protoo.signature"

	maxManifest = 64 << 10
	maxName     = 128
	maxFields   = 64
)

// A Manifest says what a module is and what it asks for. It is JSON in the module's custom section "protoo.manifest".
type Manifest struct {
	Name    string `json:"name"`              // 1 to 128 bytes
	Version string `json:"version,omitempty"` // any text of at most 128 bytes

	// Events are the names of the events that the module wants, see [Event]. Others are not sent to it.
	Events []string `json:"events"`
	// Fields are pushed with every event that has them, as "name" or "name:key"; a name alone that stands for several
	// fields pushes all of them. Others are there for the asking. See ABI.md.
	Fields []string `json:"fields,omitempty"`
	// Capabilities are those that the module does not work without.
	Capabilities []Capability `json:"capabilities,omitempty"`
	// Memory is how many bytes an instance may use; zero means 2 MiB. Fuel is what one event may use; zero means all that is allowed.
	Memory int64 `json:"memory,omitempty"`
	Fuel   int64 `json:"fuel,omitempty"`
	// Affinity says which instance an event goes to, "shared" if empty.
	Affinity Affinity `json:"affinity,omitempty"`
}

// An Affinity says which instance of a module gets an event.
type Affinity string

// The affinities.
const (
	// Shared sends every event to any instance: what belongs together carries its own state.
	Shared Affinity = "shared"
	// Pinned sends all that follows from an event to the instance that has seen the event.
	Pinned Affinity = "pinned"
	// Single means that there is one instance, for modules with state of their own.
	Single Affinity = "single"
	// Fresh gives every event an instance that has seen nothing before, and closes it afterwards.
	Fresh Affinity = "fresh"
)

// ParseManifest reads a manifest and checks it. Unknown keys are refused: they may be a limit that somebody relies on.
func ParseManifest(text []byte) (*Manifest, error) {
	if len(text) > maxManifest {
		return nil, fmt.Errorf("manifest has %d bytes, at most %d are allowed", len(text), maxManifest)
	}
	m := new(Manifest)
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(m); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("manifest: text follows the object")
	}
	if _, err := m.plan(); err != nil {
		return nil, err
	}
	return m, nil
}

// plan is what a manifest comes to.
type plan struct {
	events       [numEvents]bool
	push         [numEvents][]wanted
	capabilities capabilitySet
}

// plan checks the manifest.
func (m *Manifest) plan() (*plan, error) {
	if m.Name == "" || len(m.Name) > maxName || !utf8.ValidString(m.Name) || strings.ContainsFunc(m.Name, isControl) {
		return nil, fmt.Errorf("manifest: name %.40q, want 1 to %d bytes of text", m.Name, maxName)
	}
	if len(m.Version) > maxName || strings.ContainsFunc(m.Version, isControl) {
		return nil, fmt.Errorf("manifest: version %.40q, want at most %d bytes of text", m.Version, maxName)
	}
	p := &plan{}
	p.push[EventNotification] = []wanted{{field: fieldMethod}, {field: fieldData}}
	p.push[EventReturned] = []wanted{{field: fieldEnded}}
	p.push[EventConfiguration] = []wanted{{field: fieldData}}
	for _, name := range m.Events {
		e := eventNamed(name)
		if e == numEvents {
			return nil, fmt.Errorf("manifest: event %q is not known, want one of %s", name, strings.Join(eventNames[:], ", "))
		}
		p.events[e] = true
	}
	if len(m.Fields) > maxFields {
		return nil, fmt.Errorf("manifest: %d fields, at most %d are allowed", len(m.Fields), maxFields)
	}
	for _, text := range m.Fields {
		w, err := parseWanted(text)
		if err != nil {
			return nil, fmt.Errorf("manifest: %w", err)
		}
		for e := range p.push {
			if Event(e).has(w.field) && !slices.Contains(p.push[e], w) {
				p.push[e] = append(p.push[e], w)
			}
		}
	}
	var err error
	if p.capabilities, err = newCapabilitySet(m.Capabilities); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	switch m.Affinity {
	case "", Shared, Pinned, Single, Fresh:
	default:
		return nil, fmt.Errorf("manifest: affinity %q is not known, want shared, pinned, single or fresh", string(m.Affinity))
	}
	if m.Memory < 0 || m.Fuel < 0 {
		return nil, errors.New("manifest: memory and fuel must not be negative")
	}
	return p, nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

func eventNamed(name string) Event {
	for e, known := range eventNames {
		if known == name {
			return Event(e)
		}
	}
	return numEvents
}

// AppendManifest returns the module with the manifest as a custom section behind what it has. The tools
// of some languages cannot write one themselves.
func AppendManifest(module []byte, m *Manifest) ([]byte, error) {
	if _, err := m.plan(); err != nil {
		return nil, err
	}
	text, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	if _, err := ParseManifest(text); err != nil {
		return nil, err
	}
	return appendSection(module, manifestSection, text), nil
}

// appendSection appends a custom section, see section 5.5.3 of the WebAssembly specification.
func appendSection(module []byte, name string, data []byte) []byte {
	size := binary.AppendUvarint(nil, uint64(len(name)))
	b := make([]byte, 0, len(module)+len(name)+len(data)+16)
	b = append(b, module...)
	b = append(b, 0)
	b = binary.AppendUvarint(b, uint64(len(size)+len(name)+len(data)))
	b = append(append(b, size...), name...)
	return append(b, data...)
}
