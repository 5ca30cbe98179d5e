package systemd

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// Reloading returns what a service of Type=notify-reload says when it begins to read its configuration again. At the end it is Ready.
func Reloading() []string {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // cannot fail
	return []string{"RELOADING=1", "MONOTONIC_USEC=" + strconv.FormatInt(now.Nano()/1000, 10)}
}
