package websocket

import "math/bits"

// farthest reads a deflate stream (RFC 1951) that is known to be valid, only for the sake of its back references, and
// returns the largest distance.
func farthest(stream []byte) int {
	r := &bitReader{b: stream}
	for far, final := 0, false; ; {
		if final {
			return far
		}
		final = r.take(1) == 1
		switch r.take(2) {
		case 0:
			r.n += -r.n & 7
			n := r.take(16)
			r.take(16)
			r.n += 8 * n
		case 1:
			lengths := make([]int, 288)
			for i := range lengths {
				switch {
				case i < 144:
					lengths[i] = 8
				case i < 256:
					lengths[i] = 9
				case i < 280:
					lengths[i] = 7
				default:
					lengths[i] = 8
				}
			}
			distances := make([]int, 30)
			for i := range distances {
				distances[i] = 5
			}
			far = max(far, r.block(newCode(lengths), newCode(distances)))
		case 2:
			literals, distances, n := 257+r.take(5), 1+r.take(5), 4+r.take(4)
			meta := make([]int, 19)
			for _, i := range []int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}[:n] {
				meta[i] = r.take(3)
			}
			code := newCode(meta)
			var lengths []int
			for len(lengths) < literals+distances {
				s, value, times := r.symbol(code), 0, 1
				switch s {
				case 16:
					value, times = lengths[len(lengths)-1], 3+r.take(2)
				case 17:
					times = 3 + r.take(3)
				case 18:
					times = 11 + r.take(7)
				default:
					value = s
				}
				for range times {
					lengths = append(lengths, value)
				}
			}
			far = max(far, r.block(newCode(lengths[:literals]), newCode(lengths[literals:])))
		}
	}
}

// block reads symbols up to the end of the block.
func (r *bitReader) block(literals, distances code) (far int) {
	for {
		s := r.symbol(literals)
		if s == 256 {
			return far
		}
		if s < 256 {
			continue
		}
		if s >= 265 && s < 285 {
			r.take((s - 261) / 4)
		}
		d := r.symbol(distances)
		distance := d + 1
		if d >= 4 {
			extra := d/2 - 1
			distance = (2+d%2)<<extra + 1 + r.take(extra)
		}
		far = max(far, distance)
	}
}

// bitReader takes bits from the lowest to the highest.
type bitReader struct {
	b []byte
	n int // bits taken
}

func (r *bitReader) take(n int) (v int) {
	for i := range n {
		v |= int(r.b[r.n/8]>>(r.n%8)&1) << i
		r.n++
	}
	return v
}

// code finds a symbol by its length and its bits.
type code map[[2]int]int

func newCode(lengths []int) code {
	c := code{}
	next := 0
	for length := 1; length <= 15; length++ {
		next <<= 1
		for symbol, l := range lengths {
			if l == length {
				c[[2]int{length, int(bits.Reverse16(uint16(next)) >> (16 - length))}] = symbol
				next++
			}
		}
	}
	return c
}

func (r *bitReader) symbol(c code) int {
	bits := 0
	for length := 1; ; length++ {
		bits |= r.take(1) << (length - 1)
		if s, ok := c[[2]int{length, bits}]; ok {
			return s
		}
	}
}
