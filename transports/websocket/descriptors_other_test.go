//go:build !unix

package websocket_test

// descriptorLimit returns how many connections such a system can be expected to stand.
func descriptorLimit() int { return 2000 }
