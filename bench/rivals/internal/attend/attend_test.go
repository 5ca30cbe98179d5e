package attend

import (
	"io"
	"runtime"
	"strings"
	"testing"
)

func TestServe(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var out strings.Builder
	serve(strings.NewReader("one\ntwo\n"), &out)
	runtime.ReadMemStats(&after)
	if out.String() != "{}\n{}\n" || after.NumForcedGC < before.NumForcedGC+2 {
		t.Errorf("%d collections, answered with %q", after.NumForcedGC-before.NumForcedGC, out.String())
	}
	serve(strings.NewReader(""), io.Discard) // ends
}
