package machine

import (
	"path"
	"strconv"
	"strings"
)

// quota returns how many processors' time the control group of this process and those around it leave it, or 0 if they set no bound.
func quota(membership, root string) (least float64) {
	group := "/"
	for line := range strings.Lines(contents(membership)) {
		if own, ok := strings.CutPrefix(line, "0::"); ok {
			group = path.Clean(strings.TrimSpace(own))
		}
	}
	for ; ; group = path.Dir(group) {
		share, period, _ := strings.Cut(firstLine(root+group+"/cpu.max"), " ")
		a, _ := strconv.ParseFloat(share, 64) // "max" is none
		b, _ := strconv.ParseFloat(period, 64)
		if a > 0 && b > 0 && (least == 0 || a/b < least) {
			least = a / b
		}
		if group == "/" || group == "." {
			return least
		}
	}
}
