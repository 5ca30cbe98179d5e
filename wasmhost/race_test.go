//go:build race

package wasmhost

// Under the race detector a sync.Pool drops some of what is put into it, and all takes longer.
func init() { slack, reloads = 2, 100 }
