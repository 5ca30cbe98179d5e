package health

import "fmt"

// spare is how many descriptors a server that is ready has left, if its limit allows: a handshake takes two, and so many
// may be under way when the balancer learns that there should be no more.
const spare = 256

// judge tells whether few descriptors are left: fewer than spare, or fewer than a sixteenth where that is less.
func judge(open, limit uint64) Reason {
	if limit == 0 || open+min(spare, limit/16) <= limit {
		return Reason{}
	}
	return Reason{Descriptors, fmt.Sprintf("%d of %d file descriptors are in use", open, limit)}
}
