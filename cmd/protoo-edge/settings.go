package main

import (
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// settings are what can be chosen about serving.
type settings struct {
	Addr     string
	Grace    time.Duration
	LogLevel level
}

func (s *settings) flags() *pflag.FlagSet {
	f := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	f.StringVar(&s.Addr, "addr", "127.0.0.1:8080", "listen on `host:port`; port 0 is any free one")
	f.DurationVar(&s.Grace, "grace", 2*time.Second, "how long a client that lost its connection may take to come back before it is offline")
	f.TextVar(&s.LogLevel, "log-level", level{slog.LevelInfo}, "log what is of `level` debug, info, warn or error, or above; debug shows connections")
	return f
}

// check finds values that parse and make no sense.
func (s *settings) check() error {
	if s.Grace < 0 {
		return usageError("--grace must not be negative, got " + s.Grace.String())
	}
	return nil
}

// A level is what slog has, with names and errors that fit a command line.
type level struct{ slog.Level }

func (l *level) UnmarshalText(text []byte) error {
	if l.Level.UnmarshalText(text) != nil {
		return errors.New("must be debug, info, warn or error")
	}
	return nil
}

func (l level) MarshalText() ([]byte, error) { return []byte(strings.ToLower(l.String())), nil }
