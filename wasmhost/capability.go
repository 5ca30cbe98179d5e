package wasmhost

import (
	"fmt"
	"slices"
	"strings"
)

// A Capability is something that a module can do beyond looking at its event and acting on it. It asks
// for it in its manifest, and the operator grants it.
type Capability string

// The capabilities, and the host functions that each is good for.
const (
	Log      Capability = "log"       // log; what a WASI program writes to its standard output
	Clock    Capability = "clock"     // clock; the time of WASI, which stands still otherwise
	Random   Capability = "random"    // random
	PeerRead Capability = "peer.read" // peer_find, peer_list
	PeerSend Capability = "peer.send" // peer_send, peer_close
	Async    Capability = "async"     // complete, timer, and the action pending
	KV       Capability = "kv"        // kv_get, kv_cas, kv_add
	Metrics  Capability = "metrics"   // metric
)

// Capabilities returns all that there are.
func Capabilities() []Capability { return slices.Clone(capabilities) }

// The order gives the bits of protoo_init's flags, so it must not change.
var capabilities = []Capability{Log, Clock, Random, PeerRead, PeerSend, Async, KV, Metrics}

// capabilitySet has a bit for each capability, in the order of capabilities.
type capabilitySet uint32

func newCapabilitySet(list []Capability) (capabilitySet, error) {
	var s capabilitySet
	for _, c := range list {
		i := slices.Index(capabilities, c)
		if i < 0 {
			return 0, fmt.Errorf("capability %q is not known, want one of %v", string(c), capabilities)
		}
		s |= 1 << i
	}
	return s, nil
}

func (s capabilitySet) has(c Capability) bool { return s>>slices.Index(capabilities, c)&1 == 1 }

func (s capabilitySet) String() string {
	var names []string
	for i, c := range capabilities {
		if s>>i&1 == 1 {
			names = append(names, string(c))
		}
	}
	return strings.Join(names, ", ")
}
