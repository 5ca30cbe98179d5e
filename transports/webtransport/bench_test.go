package webtransport_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/protoo-go/protoo/transports/webtransport"
)

// BenchmarkEcho has requests answered over a session: one at a time, and 16 in one write. QUIC and the client, which is in the same process, are part of
// the cost; what a message allocates besides them, TestAllocations tells.
func BenchmarkEcho(b *testing.B) {
	for _, window := range []int{1, 16} {
		b.Run(fmt.Sprintf("window=%d", window), func(b *testing.B) {
			data := strings.Repeat("x", 128)
			c := start(b, echo(), byQuery, webtransport.Options{}).connect(b, "alice", "1")
			c.exchange(b, data) // and no more pong to come
			requests := []byte(strings.Repeat(string(text(echoRequest(data))), window))
			want := strings.Repeat(string(text(echoResponse(data))), window)
			answers := make([]byte, len(want))
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				if n%window > 0 {
					continue
				}
				if err := c.write(requests); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(c.r, answers); err != nil {
					b.Fatal(err)
				}
				if string(answers) != want {
					b.Fatalf("got %q, want %q", answers, want)
				}
			}
		})
	}
}
