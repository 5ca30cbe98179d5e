package metrics

import (
	"iter"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/protoo-go/protoo/core"
)

// A table counts by a key of which there are few. The zero value is empty.
type table[K comparable] struct{ counts sync.Map }

func (t *table[K]) add(key K, n int64) {
	count, ok := t.counts.Load(key)
	if !ok {
		count, _ = t.counts.LoadOrStore(key, new(atomic.Int64))
	}
	count.(*atomic.Int64).Add(n)
}

func (t *table[K]) all() iter.Seq2[K, int64] {
	return func(yield func(K, int64) bool) {
		t.counts.Range(func(key, count any) bool { return yield(key.(K), count.(*atomic.Int64).Load()) })
	}
}

// An outcome is how a request that was sent to a peer ended.
type outcome uint8

const (
	answeredWell outcome = iota // 2xx
	answeredNo                  // 3xx to 6xx
	timedOut
	offline
	canceled
	tooSlow // no room in the peer's queue, or too many for it already
	invalid
)

var outcomes = [...]string{"accepted", "rejected", "timeout", "offline", "canceled", "slow", "invalid"}

func outcomeOf(final *core.Response) outcome {
	switch {
	case !final.IsLocal() && final.IsAccept():
		return answeredWell
	case !final.IsLocal():
		return answeredNo
	}
	switch final.Status() {
	case 408:
		return timedOut
	case 410:
		return offline
	case 487:
		return canceled
	case 503:
		return tooSlow
	}
	return invalid
}

type handshake struct{ transport, outcome string }

const accepted = "accepted"

// refusal names a status. What an application refuses with is its own choice, so it may be any.
func refusal(status int) string {
	switch {
	case status == 0:
		return "aborted"
	case http.StatusText(status) != "":
		return strconv.Itoa(status)
	}
	return "other"
}

type closing struct{ code, side string }

func side(ours bool) string {
	if ours {
		return "server"
	}
	return "client"
}

// ownCodes are those beyond 3000 that this server closes with.
var ownCodes = map[int]bool{
	core.CloseOnlineElsewhere: true,
	4401:                      true, // the token has expired
	4403:                      true, // refused, or revoked
	4429:                      true, // too many connections
}

// closeCode names a code. A client can send 2,000 of them.
func closeCode(code int) string {
	if code >= 1000 && code <= 1014 || ownCodes[code] {
		return strconv.Itoa(code)
	}
	return "other"
}
