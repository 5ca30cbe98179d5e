package core

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
)

var badRow = regexp.MustCompile("^\\| `([^`]+)` \\| (?:`([^`]+)` )?\\|$")

// TestProtocolDocument checks what docs/protocol.md shows: its examples are
// good messages, or are followed by the 400 that answers them; its bad messages
// are refused for the reason given; and no reason is left out.
func TestProtocolDocument(t *testing.T) {
	text, err := os.ReadFile("../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	documented := make(map[string]bool)
	examples, code := 0, false
	for i, line := range lines {
		if strings.HasPrefix(line, "```") {
			code = !code
		} else if start := strings.IndexByte(line, '{'); code && start >= 0 {
			examples++
			var m message
			bad, ok := errors.AsType[*messageError](parseMessage([]byte(line[start:]), &m))
			if ok && !strings.HasSuffix(lines[i+1], string(appendResponse(nil, 400, bad.reason, bad.id, ""))) {
				t.Errorf("line %d: %v", i+1, bad)
			}
		} else if row := badRow.FindStringSubmatch(line); row != nil {
			reason, example := row[1], row[2]
			documented[reason] = true
			if example == "" {
				continue
			}
			bad, ok := errors.AsType[*messageError](parseMessage([]byte(example), new(message)))
			if !ok || plainReason(bad.reason) != reason {
				t.Errorf("line %d: %s\n got %v\nwant %s", i+1, example, bad, reason)
			}
		}
	}
	if examples < 20 {
		t.Errorf("found %d examples, want more", examples)
	}
	for _, v := range readVectors[badVector](t, "bad.json") {
		if reason := plainReason(v.Reason); !documented[reason] {
			t.Errorf("%q is not documented", reason)
			documented[reason] = true // once is enough
		}
	}
}

// plainReason cuts what all reasons have in common, and the place.
func plainReason(s string) string {
	s = strings.TrimPrefix(s, "invalid message: ")
	return s[:max(0, strings.LastIndex(s, " (at byte "))]
}
