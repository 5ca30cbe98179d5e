package wasmhost

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/protoo-go/protoo/core"
)

// outcome is what a module wants done, copied from its memory.
type outcome struct {
	action  action
	watch   bool
	changes bool
	told    bool // wants to be told when next has returned

	status   int
	reason   string
	failure  string // text of an error that the peer need not see
	data     core.JSON
	hasData  bool
	path     string
	hasPath  bool
	sender   core.JSON
	peer     peerName
	hasPeer  bool
	carry    []byte
	hasCarry bool
	more     *stored
}

type peerName struct{ username, uuid string }

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

// read decodes a frame that a module has written. Fields that the host does not know are skipped, as those are
// that have no meaning here.
func (o *outcome) read(frame []byte, maxCarry int, in *interner) error {
	var r frameReader
	if err := r.begin(frame); err != nil {
		return err
	}
	var f rawField
	for {
		ok, err := r.next(&f)
		if err != nil || !ok {
			return err
		}
		if err := o.set(&f, maxCarry, in); err != nil {
			return err
		}
	}
}

func (o *outcome) set(f *rawField, maxCarry int, in *interner) error {
	switch f.id {
	case fieldStatus:
		if len(f.val) != 4 {
			return fmt.Errorf("status has %d bytes, want 4", len(f.val))
		}
		status := binary.LittleEndian.Uint32(f.val)
		if status < 100 || status > 699 {
			return fmt.Errorf("status %d, want 100 to 699", status)
		}
		o.status = int(status)
		return nil
	case fieldCarry:
		if len(f.val) > maxCarry {
			return fmt.Errorf("carry has %d bytes, at most %d are allowed", len(f.val), maxCarry)
		}
		o.carry, o.hasCarry = f.val, true
		return nil
	case fieldReason, fieldError:
		if len(f.val) > maxReason {
			return fmt.Errorf("%s has %d bytes, at most %d are allowed", f.id.name(), len(f.val), maxReason)
		}
	case fieldPath, fieldData, fieldSender, fieldPeer, fieldProperty, fieldDeleteProperty, fieldPeerData:
	default:
		return nil // has no meaning here
	}
	key, ok := in.text(f.key)
	val, valid := in.text(f.val)
	if !ok || !valid {
		return fmt.Errorf("%s is not valid UTF-8", f.id.name())
	}
	switch f.id {
	case fieldReason:
		o.reason = val
	case fieldError:
		o.failure = val
	case fieldPath:
		o.path, o.hasPath = val, true
	case fieldData:
		o.data, o.hasData = core.JSON(val), true
	case fieldSender:
		o.sender = core.JSON(val)
	case fieldPeer:
		o.peer, o.hasPeer = peerName{key, val}, true
	default:
		return o.store(f.id, key, val)
	}
	return nil
}

// maxReason is the longest reason that the protocol allows.
const maxReason = 1024

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
		if err := json.Unmarshal([]byte(val), &v.value); err != nil {
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

// checkJSON finds a text that could not be the data of a message.
func checkJSON(text core.JSON) error { return core.NewRequest("", "/", nil).SetData(text) }

// provisional tells whether more is to come for a request after a reply.
func (o *outcome) provisional() bool {
	return o.action == actionReply && o.status != 0 && o.status < 200
}

// apply makes the changes that the module wants in a request. If one is not possible none is made.
func (o *outcome) apply(req *core.Request) error {
	if !o.changes {
		return nil
	}
	data, sender := req.Data(), core.JSON("")
	if o.hasData {
		if err := req.SetData(o.data); err != nil {
			return err
		}
	}
	if o.sender != "" {
		sender = req.Sender()
		if err := req.SetSender(o.sender); err != nil {
			_ = req.SetData(data) // was valid before
			return err
		}
	}
	if o.hasPath {
		if err := req.SetPath(o.path); err != nil {
			_ = req.SetData(data) // as above
			if o.sender != "" {
				_ = req.SetSender(sender)
			}
			return err
		}
	}
	if o.more != nil {
		for _, v := range o.more.properties {
			req.Set(v.key, v.value)
		}
		o.applyTo(req.Peer())
	}
	return nil
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

// err returns the error that a module has failed a request with.
func (o *outcome) err() error {
	if o.status != 0 || o.failure == "" {
		return core.Error(o.status, o.reason)
	}
	return fmt.Errorf("%s", o.failure)
}

// identity returns who a module says a connection belongs to.
func (o *outcome) identity() core.Identity {
	id := core.Identity{Username: o.peer.username, UUID: o.peer.uuid}
	if o.more != nil && len(o.more.peerData) > 0 {
		id.Data = make(map[string]any, len(o.more.peerData))
		for _, v := range o.more.peerData {
			id.Data[v.key] = v.value
		}
	}
	return id
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
