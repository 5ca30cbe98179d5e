//go:build race

package wasmhost

// Under the race detector a sync.Pool drops some of what is put into it.
func init() { slack = 2 }
