// Package guest is what the guests in Go have in common.
package guest

import "runtime"

var sink [][]byte

// Run does not end, or takes what it can get, if it knows the name.
func Run(name string) {
	switch name {
	case "loop":
		for {
		}
	case "calls":
		calls(30)
	case "recursion":
		recurse(0)
	case "fill":
		for b := make([]byte, 65536); ; {
			clear(b)
			runtime.KeepAlive(b)
		}
	case "grow":
		for {
			sink = append(sink, make([]byte, 1<<20))
		}
	case "spin":
		spin(50_000)
	}
}

//go:noinline
func calls(depth int) {
	if depth > 0 {
		calls(depth - 1)
		calls(depth - 1)
	}
}

//go:noinline
func recurse(n int) int { return recurse(n+1) + 1 }

//go:noinline
func spin(n int) (sum int) {
	for i := range n {
		sum += i ^ sum
	}
	return sum
}

// Digit is the last digit of the sum of the first bytes.
func Digit(fields ...string) string {
	sum := 0
	for _, f := range fields {
		sum += int(f[0])
	}
	return string(rune('0' + sum%10))
}
