package core

import "fmt"

// TraceParent returns the trace that the request is part of, in the form of the traceparent header of the W3C's Trace Context: 55
// characters, as in 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01. It is "" if the request came without one, or with
// one that is not valid, which the recommendation says is to be ignored.
//
// Nothing in this package uses it. A request that is forwarded takes it along.
func (r *Request) TraceParent() string { return r.look().trace }

// SetTraceParent replaces what TraceParent returns, for whoever the request is forwarded to. It may be "" for none, and fails for what is
// not valid.
func (r *Request) SetTraceParent(trace string) error {
	if trace != "" && !validTrace(trace) {
		return fmt.Errorf("core: %.64q is not a traceparent of version 00", trace)
	}
	if trace != r.look().trace {
		r.change().trace = trace
	}
	return nil
}

// appendTrace adds the field to a request that dst ends with.
func appendTrace(dst []byte, trace string) []byte {
	if trace == "" {
		return dst
	}
	dst = append(dst[:len(dst)-1], `,"traceparent":"`...)
	return append(append(dst, trace...), `"}`...)
}

// validTrace tells whether s is a traceparent (Trace Context, section 3.2): version 00, a trace id and a parent id of which neither is
// zero, and flags. The digits are lower-case.
func validTrace(s string) bool {
	const length, zero = 55, "00000000000000000000000000000000"
	if len(s) != length || s[:3] != "00-" || s[35] != '-' || s[52] != '-' {
		return false
	}
	id, parent, flags := s[3:35], s[36:52], s[53:]
	return isLowerHex(id) && isLowerHex(parent) && isLowerHex(flags) && id != zero && parent != zero[:16]
}

func isLowerHex(s string) bool {
	for _, c := range []byte(s) {
		if c-'0' > 9 && c-'a' > 5 {
			return false
		}
	}
	return true
}
