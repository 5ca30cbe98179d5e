//go:build race

package webtransport

func init() { raceEnabled = true }
