package throttle

import (
	"cmp"
	"testing"
	"testing/synctest"
	"time"
)

func TestThrottle(t *testing.T) {
	for _, interval := range []time.Duration{0, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			throttle := Throttle{Interval: interval}
			wait := cmp.Or(interval, time.Minute)
			for _, tt := range []struct {
				after   time.Duration
				n, want int
			}{{0, 1, 1}, {0, 1, 0}, {wait - 1, 3, 0}, {1, 1, 5}, {wait, 2, 2}, {10 * wait, 1, 1}, {1, 1, 0}} {
				time.Sleep(tt.after)
				if got := throttle.Hit(tt.n); got != tt.want {
					t.Errorf("interval %v, %d more %v later: %d to report, want %d", interval, tt.n, tt.after, got, tt.want)
				}
			}
		})
	}
}
