package wasmhost

import (
	"context"
	"crypto/ed25519"
	"errors"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/protoo-go/protoo/core"
	"github.com/protoo-go/protoo/wasmhost/kv"
)

// ModuleOptions say what a module may do, and what happens when it fails. The zero value grants nothing, and sets
// the default limits.
type ModuleOptions struct {
	// App is where the module finds peers, and hears of those that come and go. Without it there are only those of the
	// application that a request is handled in. [Module.Reload] does not change it.
	App *core.App
	// Grants are the capabilities that the module may use. Loading fails when it asks for another.
	Grants []Capability
	// Settings are the operator's, for the module to read.
	Settings core.JSON
	// Limits bound what the module can use.
	Limits Limits
	// OnError says what happens to a request or connection for which the module fails.
	OnError OnError
	// SHA256 is the digest that the file must have, in hexadecimal. By default any file will do.
	SHA256 string
	// PublicKeys are those of whom the operator trusts: one of them has to have signed the module, see [Sign]. By
	// default it need not be signed.
	PublicKeys []ed25519.PublicKey
	// Events are those that the manifest has to list, for what the module is needed.
	Events []Event
	// Manifest is for a module that has none of its own.
	Manifest *Manifest
	// Store is where the module keeps its keys and values, so that several can share one. By default
	// each module has its own, which survives a reload.
	Store *kv.Store
}

// OnError says what happens when a module fails.
type OnError string

// What can happen.
const (
	// Fail fails the request with 500 or 503, refuses the connection, and takes the data out of a response. It is the default.
	Fail OnError = "fail"
	// Skip goes on as if the module were not there.
	Skip OnError = "skip"
)

// A Module is a WebAssembly module that serves as middleware. Any goroutine may use it.
type Module struct {
	host    *Host
	app     *core.App
	current atomic.Pointer[version] // nil when it is closed
	stats   counters
	metrics metrics
	logger  logger
	pending pendings

	reloading sync.Mutex

	mu              sync.Mutex
	serial          int
	store           *kv.Store
	versionsChanged sync.Cond
	versions        []*version // that are not closed, oldest first
}

// Manifest returns the manifest of the version that serves.
func (m *Module) Manifest() Manifest {
	if v := m.current.Load(); v != nil {
		return v.manifest
	}
	return Manifest{}
}

// Reload replaces the module's file and options without losing a request. The version that serves finishes what it has
// begun, and is closed then or after Limits.DrainTimeout; what it still keeps is for the new one to decide about. When the new one cannot be loaded, Reload fails
// as Load does and the old one goes on.
func (m *Module) Reload(ctx context.Context, file []byte, o ModuleOptions) error {
	m.reloading.Lock()
	defer m.reloading.Unlock()
	if m.current.Load() == nil {
		return ErrClosed
	}
	v, err := m.load(ctx, file, o)
	if err != nil {
		return err
	}
	old := m.current.Swap(v)
	old.retire(old.limits.DrainTimeout)
	m.limitVersions(v.limits.Versions)
	return nil
}

// limitVersions closes the oldest of the versions that have been replaced when there are more than allowed.
func (m *Module) limitVersions(most int) {
	m.mu.Lock()
	var old []*version
	if n := len(m.versions) - 1 - most; n > 0 {
		old = append(old, m.versions[:n]...)
	}
	m.mu.Unlock()
	for _, v := range old {
		v.closeSoon()
	}
}

// Close ends the module: requests that it keeps fail with 503, and so do those that come to it from now on. It waits
// until no event is being handled.
func (m *Module) Close() error {
	m.reloading.Lock()
	defer m.reloading.Unlock()
	v := m.current.Swap(nil)
	if v == nil {
		return ErrClosed
	}
	v.retire(0)
	m.mu.Lock()
	old := append([]*version(nil), m.versions...)
	m.mu.Unlock()
	for _, v := range old {
		v.closeSoon()
	}
	m.wait()
	m.pending.close()
	m.host.forget(m)
	return nil
}

// wait returns when all versions are closed.
func (m *Module) wait() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.versions) > 0 {
		m.versionsChanged.Wait()
	}
}

// acquire returns the version that serves, which is not closed before release; nil if the module is closed.
func (m *Module) acquire() *version {
	for {
		v := m.current.Load()
		if v == nil || v.hold() {
			return v
		}
	}
}

// fail takes note of a failure and makes an error of it. Its kind is known, or found out from err.
func (v *version) fail(kind Kind, event string, err error) *Error {
	if known, ok := errors.AsType[*Error](err); ok {
		return known
	}
	var large *tooLargeError
	var bad *badResultError
	switch {
	case kind != "":
	case errors.As(err, &large):
		kind = KindLimit
	case errors.As(err, &bad):
		kind = KindFrame
	default:
		kind = kindOf(err)
	}
	text, stack, _ := strings.Cut(err.Error(), "\nwasm stack trace:\n")
	failure := &Error{
		Module: v.manifest.Name, Version: v.manifest.Version,
		Kind: kind, Event: event, Stack: stack, Err: &tracedError{strings.TrimSuffix(text, " (recovered by wazero)"), err},
	}
	v.module.stats.failed(kind)
	if hook := v.module.host.options.OnError; hook != nil {
		hook(failure)
	}
	return failure
}

// tracedError is an error without the stack in its text.
type tracedError struct {
	text string
	err  error
}

func (e *tracedError) Error() string { return e.text }
func (e *tracedError) Unwrap() error { return e.err }

// Notify tells the module something, as the event notification: a name and data. It waits until the module has taken note, and fails with an [*Error] if it refuses or fails.
func (m *Module) Notify(name string, data core.JSON) error {
	v, in, err := m.begin(EventNotification)
	if v == nil {
		return ErrClosed
	}
	defer v.release()
	if in == nil {
		return err
	}
	var t turn
	in.event.name, in.event.data = name, data
	if err := v.done(in, v.perform(in, &t)); err != nil {
		return err
	}
	v.flush(&t, nil)
	if t.action == actionError {
		return t.err()
	}
	return nil
}

// presence tells the module of a peer. Failures go to the host's hook: nobody waits for this.
func (m *Module) presence(kind Event, p *core.Peer) {
	v, in, _ := m.begin(kind)
	if v == nil {
		return
	}
	defer v.release()
	if in == nil {
		return
	}
	var t turn
	in.event.peer = p
	if v.done(in, v.perform(in, &t)) != nil {
		return
	}
	if t.changes {
		if err := t.more.fits(p, v.limits.PeerData); err != nil {
			_ = v.refuse(kind, err) // for the hook
			return
		}
	}
	t.applyTo(p)
	v.flush(&t, nil)
}
