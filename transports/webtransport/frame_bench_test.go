package webtransport

import (
	"fmt"
	"testing"
)

// BenchmarkFrame encodes a message's frame and decodes it again.
func BenchmarkFrame(b *testing.B) {
	for _, size := range []int{64, 1 << 10, 16 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			payload := make([]byte, size)
			d := decoder{limit: size}
			var buf []byte
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				buf = appendFrame(buf[:0], opText, payload)
				if f, _, err := d.next(buf); err != nil || len(f.payload) != size {
					b.Fatal(f, err)
				}
			}
		})
	}
}
