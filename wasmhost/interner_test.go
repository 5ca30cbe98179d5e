package wasmhost

import (
	"strings"
	"testing"
)

func TestInterner(t *testing.T) {
	var in interner
	// The second and third of these have the same ends and length, so they are in each other's place.
	texts := []string{"", "a", "/rooms/1 and /rooms/1", "/rooms/1 or  /rooms/1", "é", strings.Repeat("x", maxInterned), strings.Repeat("x", maxInterned+1)}
	for range 2 {
		for _, want := range texts {
			if got, ok := in.text([]byte(want)); got != want || !ok {
				t.Errorf("got %q, %v, want %q", got, ok, want)
			}
		}
	}
	if internSlot([]byte(texts[2])) != internSlot([]byte(texts[3])) {
		t.Error("no two of the texts collide")
	}
	for _, bad := range []string{"\xff", "a\xff", strings.Repeat("x", maxInterned) + "\xff"} {
		for range 2 {
			if _, ok := in.text([]byte(bad)); ok {
				t.Errorf("%q is taken for text", bad)
			}
		}
	}
	b := []byte("/rooms/42")
	first, _ := in.text(b)
	b[7] = '9' // as a module does with its memory
	if second, _ := in.text(b); first != "/rooms/42" || second != "/rooms/92" {
		t.Errorf("got %q and %q", first, second)
	}
	if n := testing.AllocsPerRun(100, func() { in.text(b) }); n != 0 {
		t.Errorf("%v allocations for a text that is known", n)
	}
}
