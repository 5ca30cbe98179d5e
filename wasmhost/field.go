package wasmhost

import (
	"fmt"
	"strings"
)

// field is the number of a field in a frame.
type field uint16

const (
	fieldMethod field = 1 + iota
	fieldPath
	fieldBase
	fieldParam
	fieldData
	fieldSender
	fieldPeer
	fieldPeerData
	fieldProperty
	fieldStatus
	fieldReason
	fieldError
	fieldCarry
	fieldCorrelation
	fieldDeleteProperty
	fieldQuery
	fieldHeader
	fieldOrigin
	fieldRemote
	fieldTransport
	fieldSecure
	fieldTimeout
	fieldID
	fieldEnded
	numFields
)

// fieldNames are the names that fields have in manifests, "" for those that cannot be asked for:
// they are pushed whenever there is one, or go from the module to the host only.
var fieldNames = [numFields]string{
	fieldMethod:    "method",
	fieldPath:      "path",
	fieldBase:      "base",
	fieldParam:     "param",
	fieldData:      "data",
	fieldSender:    "sender",
	fieldPeer:      "peer",
	fieldPeerData:  "peer.data",
	fieldProperty:  "property",
	fieldStatus:    "status",
	fieldReason:    "reason",
	fieldQuery:     "query",
	fieldHeader:    "header",
	fieldOrigin:    "origin",
	fieldRemote:    "remote",
	fieldTransport: "transport",
	fieldSecure:    "secure",
	fieldID:        "id",
}

// name names a field in errors.
func (f field) name() string {
	if f < numFields && fieldNames[f] != "" {
		return fieldNames[f]
	}
	return fmt.Sprintf("field %d", uint16(f))
}

// keyed tells whether a field is one of several that differ in their key.
func (f field) keyed() bool {
	switch f {
	case fieldParam, fieldPeerData, fieldProperty, fieldQuery, fieldHeader:
		return true
	}
	return false
}

// A wanted is a field that a module wants pushed. A keyed one without a key stands for all.
type wanted struct {
	field field
	key   string
}

// parseWanted reads an entry of a manifest's list of fields: "name" or "name:key".
func parseWanted(text string) (wanted, error) {
	name, key, hasKey := strings.Cut(text, ":")
	for f, known := range fieldNames {
		if known == "" || known != name {
			continue
		}
		w := wanted{field(f), key}
		if hasKey && (!w.field.keyed() || key == "") {
			return w, fmt.Errorf("field %q: %s", text, map[bool]string{true: "the key is empty", false: name + " has no key"}[w.field.keyed()])
		}
		return w, nil
	}
	return wanted{}, fmt.Errorf("field %q is not known", text)
}
