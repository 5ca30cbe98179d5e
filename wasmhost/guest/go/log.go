package guest

// A LogLevel says how important a line of the log is.
type LogLevel uint8

// The levels.
const (
	LogDebug LogLevel = iota
	LogInfo
	LogWarn
	LogError
)
