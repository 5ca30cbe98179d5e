package wasmhost

import (
	"encoding/binary"
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

// provisional tells whether more is to come for a request after a reply.
func (o *outcome) provisional() bool {
	return o.action == actionReply && o.status != 0 && o.status < 200
}

// apply makes the changes that the module wants in a request. If one is not possible none is made.
func (o *outcome) apply(req *core.Request, maxPeerData int) error {
	if !o.changes {
		return nil
	}
	if err := o.more.fits(req.Peer(), maxPeerData); err != nil {
		return err
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
