package main

import (
	"context"
	"errors"
	"time"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/drain"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/systemd"
)

// errTerminated is the cause of a context that ends because the process was told to, which gives clients time to go elsewhere. An
// interrupt, which somebody at a terminal waits for, does not.
var errTerminated = errors.New("terminated")

// askToDrain makes run end as SIGTERM does. It does not wait, and may be called more than once.
func (s *server) askToDrain() {
	select {
	case s.asked <- struct{}{}:
	default: // has been asked already
	}
}

// shutDown disconnects everybody and stops the server: gently, as the settings of drain say, or at once.
func (s *server) shutDown(gently bool) error {
	close(s.ending)
	plan := &s.cfg.Drain
	ctx, cancel := context.WithTimeout(context.Background(), plan.Timeout)
	defer cancel()
	s.health.SetDraining()
	s.notify(systemd.Stopping)
	s.log.Info("shutting down", "peers", s.app.Stats().Peers, "gently", gently)
	if gently {
		wait(ctx, plan.Delay)
	}
	s.drain.Begin()
	s.api.drain()
	stopped := make(chan error, 1)
	go func() { stopped <- s.http.Shutdown(ctx) }() // it closes the listeners at once, and waits for answers
	if gently {
		s.drain.Run(ctx, s.app, drain.Plan{Window: plan.Window, RequestTimeout: plan.RequestTimeout, ReconnectAfter: plan.ReconnectAfter})
		stats := s.drain.Stats()
		s.log.Info("clients closed", "closed", stats.Closed, "cut", stats.Cut)
	}
	closed := make(chan error, 1)
	go func() { closed <- s.app.Close(true) }()
	err := <-stopped
	if err == nil {
		select {
		case err = <-closed:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	s.api.close(ctx)
	s.outgoing.close(ctx, s.cfg)
	s.closeTracer(ctx)
	_ = s.internal.Close() // what operators ask is answered at once
	if errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("some connections have not ended in time", "time", plan.Timeout)
		return s.http.Close()
	}
	return err
}

// wait returns after d, or when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// notify tells the service manager, if there is one. The server goes on without it.
func (s *server) notify(state ...string) {
	if err := systemd.Notify(state...); err != nil {
		s.log.Warn("the service manager cannot be told", "error", err)
	}
}
