package core

import (
	"strconv"
	"strings"
	"time"
)

const (
	hintBegin = "; reconnect in "
	hintEnd   = " ms"
	// maxHint bounds what a server can make a client wait.
	maxHint = time.Minute
)

// ReconnectHint adds to a close reason when the client should come back: "restart" becomes "restart; reconnect in 1500 ms". The wait is
// rounded down to milliseconds and is a minute at most.
func ReconnectHint(reason string, wait time.Duration) string {
	wait = max(0, min(wait, maxHint))
	return reason + hintBegin + strconv.FormatInt(wait.Milliseconds(), 10) + hintEnd
}

// ParseReconnectHint returns how long a close reason asks the client to wait, if it does so, and in the form that
// [ReconnectHint] gives it: anything else is no hint, and so is more than a minute.
func ParseReconnectHint(reason string) (wait time.Duration, ok bool) {
	at := strings.LastIndex(reason, hintBegin)
	if at < 0 {
		return 0, false
	}
	digits, ok := strings.CutSuffix(reason[at+len(hintBegin):], hintEnd)
	if !ok || len(digits) > len("60000") || len(digits) > 1 && digits[0] == '0' {
		return 0, false
	}
	ms, err := strconv.ParseUint(digits, 10, 32)
	wait = time.Duration(ms) * time.Millisecond
	return wait, err == nil && wait <= maxHint
}
