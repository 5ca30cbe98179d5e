package identity

import (
	"fmt"
	"sync/atomic"

	"github.com/protoo-go/protoo/core"
)

// An Outcome is how a decision about somebody has ended.
type Outcome int

// The outcomes. Their texts are the values of a label in the metrics.
const (
	OK Outcome = iota
	Deferred
	Missing
	Malformed
	BadSignature
	UnknownKey
	Expired
	NotYetValid
	WrongIssuer
	WrongAudience
	WrongClaims
	Denied
	Revoked
	WrongPeer
	Unavailable
	Crowded
	Silent
	outcomes
)

var outcomeNames = [outcomes]string{
	OK:            "ok",
	Deferred:      "deferred", // to the first request
	Missing:       "missing",
	Malformed:     "malformed",
	BadSignature:  "bad_signature",
	UnknownKey:    "unknown_key",
	Expired:       "expired",
	NotYetValid:   "not_yet_valid",
	WrongIssuer:   "wrong_issuer",
	WrongAudience: "wrong_audience",
	WrongClaims:   "wrong_claims",
	Denied:        "denied",
	Revoked:       "revoked",
	WrongPeer:     "wrong_peer",  // a fresh token of somebody else
	Unavailable:   "unavailable", // the keys, or the back end that decides
	Crowded:       "crowded",     // with connections that have not said who they are
	Silent:        "silent",      // ended without a first request
}

func (o Outcome) String() string { return outcomeNames[o] }

// A denial is an error that says why somebody is not let in. Its reason is for the client, and never has a part of a token in it.
type denial struct {
	outcome Outcome
	status  int
	reason  string
}

func (d *denial) Error() string { return fmt.Sprintf("%d %s", d.status, d.reason) }

func (d *denial) rejection() error { return core.Reject(d.status, d.reason) }

// Stats are figures about identity.
type Stats struct {
	Decisions    [outcomes]uint64 // by Outcome
	Refreshed    uint64           // tokens that were replaced without a new connection
	Ended        uint64           // connections that were closed because their token had expired
	Closed       uint64           // connections that were closed by a revocation
	Unidentified int              // connections now that have not said who they are
	Tracked      int              // peers whose token expires or can be revoked
	Revocations  int
}

// Outcomes calls visit for each outcome with its name and how often there was one.
func (s *Stats) Outcomes(visit func(name string, count uint64)) {
	for o, n := range s.Decisions {
		visit(Outcome(o).String(), n)
	}
}

type counters struct {
	decisions                [outcomes]atomic.Uint64
	refreshed, ended, closed atomic.Uint64
}
