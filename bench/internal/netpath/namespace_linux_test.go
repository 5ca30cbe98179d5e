package netpath

import (
	"net/netip"
	"testing"
)

func TestEnds(t *testing.T) {
	benchmarks := netip.MustParsePrefix("198.18.0.0/15")
	seen := make(map[string]int)
	for pid := 1; pid <= 1<<15; pid++ {
		here, there := ends(pid)
		for _, text := range []string{here, there} {
			if addr, err := netip.ParseAddr(text); err != nil || !benchmarks.Contains(addr) {
				t.Fatalf("process %d: got %q, want one of %v", pid, text, benchmarks)
			}
			if other := seen[text]; other != 0 {
				t.Fatalf("processes %d and %d both have %s", other, pid, text)
			}
			seen[text] = pid
		}
	}
}
