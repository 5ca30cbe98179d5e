package websocket

import (
	"slices"
	"testing"
)

// FuzzRecords gives records a stream in pieces, whose sizes are the bytes of cuts, and compares the ends that it finds with those
// that a look at the whole stream finds.
func FuzzRecords(f *testing.F) {
	f.Add([]byte("\x17\x03\x03\x00\x02xx\x17\x03\x03\x00\x00\x15\x03\x03\x00\x01x"), []byte{1})
	f.Add([]byte("\x17\x03\x03\x00\x02xx\x17\x03\x03\x00\x00\x15\x03\x03\x00\x01x"), []byte{3, 200})
	f.Add([]byte("\x17\x03\x03\x01\x00"+string(make([]byte, 300))), []byte{255, 2, 5})
	f.Add([]byte("\x17\x03\x03\xff\xff"), []byte{})
	f.Fuzz(func(t *testing.T, stream, cuts []byte) {
		var want []int
		for at := 0; len(stream)-at >= 5; {
			at += 5 + int(stream[at+3])<<8 + int(stream[at+4])
			if at <= len(stream) {
				want = append(want, at)
			}
		}
		var got []int
		var r records
		at := 0
		for i := 0; at < len(stream); i++ {
			size := len(stream) - at
			if len(cuts) > 0 {
				size = min(size, 1+int(cuts[i%len(cuts)]))
			}
			for piece := stream[at : at+size]; len(piece) > 0; {
				n := r.next(piece)
				if n < 1 || n > len(piece) {
					t.Fatalf("%d of %d bytes", n, len(piece))
				}
				piece, at = piece[n:], at+n
				if r.left == 0 && r.have == 0 {
					got = append(got, at)
				} else if len(piece) > 0 && r.left > 0 {
					t.Fatalf("stopped %d bytes before the end of a record", r.left)
				}
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("records end at %d, want %d", got, want)
		}
	})
}
