package wasmhost

import "fmt"

// The names of the ABI; see ABI.md, which is the specification.
const (
	abiModule  = "protoo_v1"
	wasiModule = "wasi_snapshot_preview1"

	exportMarker = "protoo_abi_v1"
	exportInit   = "protoo_init"
	exportOn     = "protoo_on"
	exportBuffer = "protoo_buffer"
	exportMemory = "memory"
	exportStart  = "_initialize"

	abiVersion = 1
)

// The exports that the host calls, through the gate that the metering adds.
const (
	callOn = iota
	callInit
	callStart
	callBuffer
)

var calls = []string{callOn: exportOn, callInit: exportInit, callStart: exportStart, callBuffer: exportBuffer}

// An Event is what a module is told of.
type Event uint8

// The events of the ABI. Their numbers are those of ABI.md.
const (
	EventSelfTest      Event = iota // before the module is put into service
	EventRequest                    // a request has come to the module's place in the stack
	EventResponse                   // a request that the module watches gets a response
	EventNotification               // the program tells the module something, see [Module.Notify]
	EventReply                      // a request that the module has sent gets a response
	EventTimer                      // a time that the module has set is over
	EventOnline                     // a peer has come online
	EventOffline                    // a peer has gone offline
	EventConfiguration              // the settings, once for each instance
	EventDrain                      // the instance is about to be closed
	EventConnect                    // somebody wants to connect
	EventReturned                   // the handlers behind the module have returned, if it asked to know
	numEvents
)

var eventNames = [numEvents]string{
	"self-test", "request", "response", "notification", "reply", "timer", "online", "offline",
	"configuration", "drain", "connect", "returned",
}

// String returns the name that the event has in manifests.
func (e Event) String() string {
	if e < numEvents {
		return eventNames[e]
	}
	return fmt.Sprintf("event %d", uint8(e))
}

// action is what a module wants done.
type action uint8

const (
	actionNext action = iota
	actionSkipRoute
	actionReply
	actionError
	actionPending
	actionSkipRouter
	numActions
)

// The flags of a result.
const (
	flagWatch    = 1 << iota // tell the module of the responses
	flagChanges              // the frame carries changes
	flagReturned             // tell the module when next has returned
	knownFlags   = flagWatch | flagChanges | flagReturned
)

// What host functions return instead of a length or a count.
const (
	codeAbsent  = -1 // there is no such thing
	codeLimit   = -2 // a limit is reached
	codeInvalid = -3 // an argument cannot be used
)

// result is what protoo_on returns.
type result uint64

func (r result) action() action { return action(r) }
func (r result) flags() uint32  { return uint32(r) >> 8 }
func (r result) length() uint32 { return uint32(r >> 32) }
