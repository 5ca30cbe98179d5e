package webhook

import (
	"encoding/json"
	"time"
)

// Names of events, as their type is written.
const (
	Online  = "peer.online"
	Offline = "peer.offline"
)

// EventNames are the events that there are, as a configuration writes them.
var EventNames = []string{"online", "offline"}

// An event is what a receiver is told, in the form that Standard Webhooks recommend.
type event struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	// Instance is a random name of this process, and Dropped how many events it has failed to tell this receiver so far. Both
	// are as they were when the event was queued: what is sent again must be what was sent before.
	Instance string `json:"instance"`
	Dropped  uint64 `json:"dropped"`
	Data     any    `json:"data"`
}

// peerOnline is the data of an event of that type.
type peerOnline struct {
	Username  string `json:"username"`
	UUID      string `json:"uuid"`
	Transport string `json:"transport,omitempty"`
	Address   string `json:"address,omitempty"`
}

// peerOffline is the data of an event of that type.
type peerOffline struct {
	Username string  `json:"username"`
	UUID     string  `json:"uuid"`
	Code     int     `json:"code"` // with which the last connection ended
	Reason   string  `json:"reason"`
	Seconds  float64 `json:"seconds"` // from online to offline
}

func (e *event) encode() []byte {
	text, err := json.Marshal(e)
	if err != nil {
		panic(err) // there is nothing in it that cannot be encoded
	}
	return text
}
