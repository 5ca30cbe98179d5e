package wasmhost

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/protoo-go/protoo/core"
)

// stored are the values that a module keeps in a request or a peer; most keep none.
type stored struct {
	properties []storedValue
	peerData   []storedValue
}

type storedValue struct {
	key   string
	value any // nil deletes it
}

// maxStored bounds the values that one frame can store.
const maxStored = 64

func (o *outcome) store(id field, key, val string) error {
	if key == "" {
		return fmt.Errorf("%s has no key", id.name())
	}
	if o.more == nil {
		o.more = &stored{}
	}
	if len(o.more.properties)+len(o.more.peerData) == maxStored {
		return fmt.Errorf("more than %d values to store", maxStored)
	}
	v := storedValue{key: key}
	if id != fieldDeleteProperty && val != "" {
		var err error
		if v.value, err = valueOf(val); err != nil {
			return fmt.Errorf("value of %.40q: %w", key, err)
		}
	}
	if id == fieldPeerData {
		o.more.peerData = append(o.more.peerData, v)
	} else {
		o.more.properties = append(o.more.properties, v)
	}
	return nil
}

// valueOf is how a value is stored: a list or an object as the text it is, since it would take many times the memory
// otherwise, and all else as encoding/json decodes it.
func valueOf(text string) (any, error) {
	text = strings.Trim(text, " \t\r\n")
	if strings.HasPrefix(text, "[") || strings.HasPrefix(text, "{") {
		return core.JSON(text), checkJSON(core.JSON(text))
	}
	var v any
	err := json.Unmarshal([]byte(text), &v)
	return v, err
}

// checkJSON finds a text that could not be the data of a message.
func checkJSON(text core.JSON) error { return core.NewRequest("", "/", nil).SetData(text) }

var errPeerData = fmt.Errorf("it stores too much about a peer: %w", errUnavailable)

// fits finds out whether there is room for what the module stores about a peer, which may be nil: what is there already takes
// some of the room, whoever has stored it.
func (s *stored) fits(p *core.Peer, limit int) error {
	if s == nil || len(s.peerData) == 0 {
		return nil
	}
	all := make(map[string]any)
	if p != nil {
		all = p.Data().Map()
	}
	before := weight(all)
	for _, v := range s.peerData {
		if v.value == nil {
			delete(all, v.key)
		} else {
			all[v.key] = v.value
		}
	}
	if after := weight(all); after > limit && after > before {
		return errPeerData
	}
	return nil
}

// perValue is what a value takes besides its text.
const perValue = 64

// weight is about what values take of the memory. Those of the program's own that are no text count as if they were empty.
func weight(values map[string]any) int {
	n := 0
	for key, v := range values {
		n += perValue + len(key)
		switch v := v.(type) {
		case core.JSON:
			n += len(v)
		case string:
			n += len(v)
		}
	}
	return n
}

// applyTo makes the changes that concern a peer.
func (o *outcome) applyTo(p *core.Peer) {
	if o.more == nil || p == nil || !o.changes {
		return
	}
	for _, v := range o.more.peerData {
		if v.value == nil {
			p.Data().Delete(v.key)
		} else {
			p.Data().Set(v.key, v.value)
		}
	}
}
