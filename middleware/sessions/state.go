package sessions

import "fmt"

// A State is how far a session has got.
type State int

const (
	// Connecting is the state of a session whose callee has not responded yet.
	Connecting State = iota
	// Progress means that the callee has responded provisionally: it rings.
	Progress
	// Open means that the callee has accepted.
	Open
	// Closed means that the session is over, or was never accepted.
	Closed
)

var states = [...]string{"connecting", "progress", "open", "closed"}

// String returns the state's name in lower case.
func (s State) String() string {
	if s < 0 || int(s) >= len(states) {
		return fmt.Sprintf("State(%d)", int(s))
	}
	return states[s]
}
