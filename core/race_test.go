//go:build race

package core

// The race detector keeps the compiler from leaving out an allocation here and there.
func init() { raceAllocs = 1 }
