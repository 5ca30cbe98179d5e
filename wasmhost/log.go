package wasmhost

import (
	"strings"
	"sync"
	"time"
)

// A LogLevel says how important a line of a module's log is. The numbers are those of ABI.md.
type LogLevel uint8

// The levels.
const (
	LogDebug LogLevel = iota
	LogInfo
	LogWarn
	LogError
)

// A LogEntry is a line that a module has logged, or printed.
type LogEntry struct {
	Module  string // its name
	Version string
	Level   LogLevel
	Text    string // one line of valid UTF-8, without control characters
	Dropped uint64 // lines that came too fast since the entry before
}

// logger lets so many lines of a module through in a second.
type logger struct {
	mu      sync.Mutex
	bucket  bucket
	dropped uint64
}

func (in *instance) log(level LogLevel, text []byte) {
	v := in.version
	in.charge(int64(min(len(text), v.limits.LogLine)))
	l := &v.module.logger
	l.mu.Lock()
	if !l.bucket.take(v.limits.LogLines) {
		l.dropped++
		l.mu.Unlock()
		v.module.stats.logDropped.Add(1)
		return
	}
	dropped := l.dropped
	l.dropped = 0
	l.mu.Unlock()
	if hook := v.module.host.options.OnLog; hook != nil {
		hook(LogEntry{v.manifest.Name, v.manifest.Version, level, printable(text, v.limits.LogLine), dropped})
	}
}

// printable makes a line of text that cannot confuse whoever reads the log.
func printable(text []byte, limit int) string {
	s := strings.ToValidUTF8(string(text[:min(len(text), limit)]), "\uFFFD")
	return strings.Map(func(r rune) rune {
		if isControl(r) || r >= 0x80 && r < 0xa0 || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
}

// A bucket lets so many things happen in a second, and as many at once. Its zero value is full.
type bucket struct {
	used float64
	last time.Time
}

func (b *bucket) take(perSecond int) bool {
	now := time.Now()
	if !b.last.IsZero() {
		b.used = max(0, b.used-now.Sub(b.last).Seconds()*float64(perSecond))
	}
	b.last = now
	if b.used+1 > float64(perSecond) {
		return false
	}
	b.used++
	return true
}
