//go:build !linux

package systemd

// Reloading returns what a service says when it begins to read its configuration again. At the end it is Ready.
func Reloading() []string { return []string{"RELOADING=1"} }
