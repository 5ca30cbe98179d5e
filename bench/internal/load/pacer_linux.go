package load

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// A pacer sleeps for short times. The runtime's own timers can be a millisecond late when there is nothing else to do, which
// an open loop would report as the server's latency.
type pacer struct{}

// newPacer ties the goroutine to its thread until close.
func newPacer() *pacer {
	runtime.LockOSThread()
	const nanoseconds = 1
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, nanoseconds, 0, 0, 0) // 50 µs by default
	return &pacer{}
}

func (*pacer) sleep(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&t, nil)
}

func (*pacer) close() {
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) // the default again
	runtime.UnlockOSThread()
}
