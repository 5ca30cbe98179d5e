package websocket_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// BenchmarkEcho has requests answered over each path: one at a time, and 16 in one segment. The client, which is in
// the same process, is part of the cost.
func BenchmarkEcho(b *testing.B) {
	for _, p := range paths {
		for _, window := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/window=%d", p.name, window), func(b *testing.B) {
				data := strings.Repeat("x", 128)
				c := start(b, p, echo(), byQuery).join(b)
				requests := []byte(strings.Repeat(string(text(echoRequest(data))), window))
				answer := echoResponse(data)
				want := strings.Repeat(string([]byte{final | 1, 126, byte(len(answer) >> 8), byte(len(answer))})+answer, window)
				answers := make([]byte, len(want))
				b.ReportAllocs()
				for n := 0; b.Loop(); n++ {
					if n%window > 0 {
						continue
					}
					if err := c.write(requests); err != nil {
						b.Fatal(err)
					}
					if _, err := io.ReadFull(c.Conn, answers); err != nil {
						b.Fatal(err)
					}
					if string(answers) != want {
						b.Fatalf("got %q, want %q", answers, want)
					}
				}
			})
		}
	}
}
