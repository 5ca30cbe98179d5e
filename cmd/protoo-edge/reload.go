package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/api"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/certificate"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/config"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/metrics"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/systemd"
	"github.com/protoo-go/protoo/core"
)

// hangups returns the signals that ask for a reload. Where there is nothing to read again SIGHUP ends
// the process, as it does when the terminal is closed.
func (s *server) hangups() chan os.Signal {
	c := make(chan os.Signal, 1)
	if _, files := s.source.(*certificate.Files); files || s.cfg.File != "" || s.modules.Len() > 0 || s.cfg.Identity.JWT.Keys != "" {
		signal.Notify(c, syscall.SIGHUP)
	}
	return c
}

// reload applies what it can of the configuration as it is now. If anything is wrong with that, nothing changes.
func (s *server) reload(load func() (*config.Config, error)) (*api.Reloaded, error) {
	s.notify(systemd.Reloading()...)
	defer s.notify(systemd.Ready)
	next, err := load()
	if err != nil {
		s.notReloaded(err)
		return nil, err
	}
	if files, ok := s.source.(*certificate.Files); ok && next.TLS.Cert != "" {
		if err := files.Load(next.TLS.Cert, next.TLS.Key); err != nil {
			s.notReloaded(err)
			return nil, err
		}
	}
	applyIdentity, err := s.gate.Reload(gateOptions(next, s.log))
	if err != nil {
		err = identityMistake(next, err)
		s.notReloaded(err)
		return nil, err
	}
	applied, restart := s.cfg.Apply(next)
	applyIdentity()
	s.modules.Reload(s.cfg.Wasms())
	setLevel(s.level, s.cfg)
	setGCPercent(s.cfg.Memory.GCPercent)
	s.app.Set(core.SettingGracePeriod, s.cfg.Core.GracePeriod)
	s.bounds.set(s.cfg)
	s.api.setKeys(s.cfg)
	s.outgoing.setSecrets(s.cfg)
	s.reloaded.add(true)
	s.log.Info("configuration reloaded", "applied", describeChanges(applied))
	if len(restart) > 0 {
		s.log.Warn("a restart is needed for the rest", "settings", describeChanges(restart))
	}
	return newReloaded(applied, restart), nil
}

func (s *server) notReloaded(err error) {
	s.reloaded.add(false)
	if mistakes, ok := errors.AsType[config.Mistakes](err); ok {
		for _, m := range mistakes {
			s.log.Error("mistake in the configuration", "error", m)
		}
		err = errors.New("the configuration has mistakes")
	}
	s.log.Error("configuration not reloaded, nothing has changed", "error", err)
}

// describeChanges writes settings as "key: from -> to".
func describeChanges(changes []config.Change) []string {
	lines := []string{}
	for _, c := range changes {
		line := c.Key
		if c.From != "" || c.To != "" {
			line += ": " + c.From + " -> " + c.To
		}
		lines = append(lines, line)
	}
	return lines
}

// reloadRequest asks run for a reload, and gets what has come of it.
type reloadRequest chan reloadResult

type reloadResult struct {
	reloaded *api.Reloaded
	err      error
}

// askToReload has run read the configuration again, and waits for that.
func (s *server) askToReload(ctx context.Context) (*api.Reloaded, error) {
	ask := make(reloadRequest, 1)
	select {
	case s.reloads <- ask:
	case <-s.ending:
		return nil, fmt.Errorf("the server is ending: %w", api.ErrBusy)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	result := <-ask // run answers whatever it has taken
	if mistakes, ok := errors.AsType[config.Mistakes](result.err); ok {
		invalid := &api.InvalidError{Detail: "the configuration has mistakes, nothing has changed"}
		for _, m := range mistakes {
			invalid.Mistakes = append(invalid.Mistakes, m.Error())
		}
		return nil, invalid
	}
	if result.err != nil {
		return nil, &api.InvalidError{Detail: result.err.Error()}
	}
	return result.reloaded, nil
}

// newReloaded describes changes for the API.
func newReloaded(applied, restart []config.Change) *api.Reloaded {
	changes := func(from []config.Change) []api.Change {
		to := []api.Change{}
		for _, c := range from {
			to = append(to, api.Change{Key: c.Key, From: c.From, To: c.To})
		}
		return to
	}
	return &api.Reloaded{Applied: changes(applied), Restart: changes(restart)}
}

// reloadCount counts reloads of the configuration.
type reloadCount struct {
	mu           sync.Mutex
	done, failed uint64
	lastFailed   bool
	last         time.Time // that was done; the start counts
}

func (r *reloadCount) add(ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lastFailed = !ok
	if !ok {
		r.failed++
		return
	}
	r.done++
	r.last = time.Now()
}

func (r *reloadCount) figures(b *metrics.Batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	const name, help = "protoo_reloads_total", "Reloads of the configuration, by the outcome."
	b.Counter(name, help, float64(r.done), "outcome", "applied")
	b.Counter(name, help, float64(r.failed), "outcome", "refused")
	b.Bool("protoo_reload_last_successful", "Whether the last reload was applied, if there was one.", !r.lastFailed)
	b.Gauge("protoo_reload_last_success_timestamp_seconds", "When the configuration that is in effect was loaded.", float64(r.last.Unix()))
}
