//go:build !linux

package load

import "time"

// A pacer sleeps. How exactly, an open loop's lag tells.
type pacer struct{}

func newPacer() *pacer { return &pacer{} }

func (*pacer) sleep(d time.Duration) { time.Sleep(d) }

func (*pacer) close() {}
