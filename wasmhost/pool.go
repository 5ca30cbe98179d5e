package wasmhost

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
)

// A pool holds the instances of a version. Taking one that is idle costs one atomic operation; only who finds
// none takes the lock.
type pool struct {
	version *version
	limit   int

	all     atomic.Pointer[[]*instance] // replaced under mu
	waiting atomic.Int64

	mu       sync.Mutex
	changed  sync.Cond
	making   int
	failures int // instances that were discarded and have not been replaced
	restarts bucket
	closed   bool
}

var (
	errBusy     = errors.New("too many events wait for an instance")
	errRestarts = errors.New("its instances fail faster than they may be replaced")
	errInstance = errors.New("the instance that the event belongs to has failed")
)

func (p *pool) init(v *version, limit int) {
	p.version, p.limit = v, limit
	p.changed.L = &p.mu
	p.all.Store(new([]*instance))
}

// take returns an instance that nobody has until it is put back: want, if that is not nil, or any. It waits
// when all are busy, which cannot be for long since fuel limits how long an event takes.
func (p *pool) take(want *instance) (*instance, error) {
	if want != nil {
		if want.busy.CompareAndSwap(false, true) {
			return want, nil
		}
		return p.wait(want)
	}
	for _, in := range *p.all.Load() {
		if in.busy.CompareAndSwap(false, true) {
			return in, nil
		}
	}
	return p.wait(nil)
}

func (p *pool) wait(want *instance) (*instance, error) {
	stats := &p.version.module.stats
	p.mu.Lock()
	defer p.mu.Unlock()
	if int(p.waiting.Load()) >= p.version.limits.Queue {
		return nil, errBusy
	}
	p.waiting.Add(1)
	stats.waiting.Add(1)
	defer func() {
		p.waiting.Add(-1)
		stats.waiting.Add(-1)
	}()
	for {
		if p.closed {
			return nil, ErrClosed
		}
		if want != nil {
			if want.dead {
				return nil, errInstance
			}
			if want.busy.CompareAndSwap(false, true) {
				return want, nil
			}
			p.changed.Wait()
			continue
		}
		for _, in := range *p.all.Load() {
			if in.busy.CompareAndSwap(false, true) {
				return in, nil
			}
		}
		if len(*p.all.Load())+p.making < p.limit {
			in, err := p.grow()
			if in != nil || err != nil {
				return in, err
			}
		}
		p.changed.Wait()
	}
}

// grow makes another instance, which the caller has. It returns neither one nor an error when the caller should
// wait for those that exist. p.mu is held, and released meanwhile.
func (p *pool) grow() (*instance, error) {
	if p.failures > 0 {
		if !p.restarts.take(p.version.limits.Restarts) {
			if len(*p.all.Load())+p.making > 0 {
				return nil, nil
			}
			return nil, errRestarts
		}
		p.failures--
	}
	p.making++
	p.mu.Unlock()
	in, err := p.version.make()
	p.mu.Lock()
	p.making--
	defer p.changed.Broadcast()
	if err != nil {
		p.failures++
		return nil, err
	}
	if p.closed {
		in.close()
		p.version.module.stats.instances.Add(-1)
		return nil, ErrClosed
	}
	in.busy.Store(true)
	all := append(slices.Clone(*p.all.Load()), in)
	p.all.Store(&all)
	return in, nil
}

// put gives an instance back.
func (p *pool) put(in *instance) {
	in.reset()
	in.busy.Store(false)
	// Who waits has announced itself before it looked at busy for the last time.
	if p.waiting.Load() > 0 {
		p.mu.Lock()
		p.changed.Broadcast()
		p.mu.Unlock()
	}
}

// renew puts an instance that is as new in the place of one that somebody has, or discards that.
func (p *pool) renew(in *instance, failed bool) {
	i := in.restorable()
	p.mu.Lock()
	may := i != nil && !p.closed && (!failed || p.restarts.take(p.version.limits.Restarts))
	p.mu.Unlock()
	if !may {
		p.discard(in, failed)
		return
	}
	next := in.restored(i)
	p.mu.Lock()
	in.dead = true
	all := slices.Clone(*p.all.Load())
	all[slices.Index(all, in)] = next
	p.all.Store(&all)
	p.changed.Broadcast()
	p.mu.Unlock()
	in.reset()
	p.version.module.stats.made.Add(1)
}

// discard takes an instance that somebody has out of the pool and closes it. It stays busy, so nobody gets it again.
func (p *pool) discard(in *instance, failed bool) {
	p.mu.Lock()
	in.dead = true
	all := slices.DeleteFunc(slices.Clone(*p.all.Load()), func(other *instance) bool { return other == in })
	p.all.Store(&all)
	if failed {
		p.failures++
	}
	p.changed.Broadcast()
	p.mu.Unlock()
	in.reset()
	in.close()
	p.version.module.stats.instances.Add(-1)
}

// close calls last for every instance, when nobody has it, and closes it. Nobody gets one afterwards.
func (p *pool) close(last func(*instance)) {
	p.mu.Lock()
	p.closed = true
	p.changed.Broadcast()
	for p.making > 0 {
		p.changed.Wait()
	}
	for len(*p.all.Load()) > 0 {
		i := slices.IndexFunc(*p.all.Load(), func(in *instance) bool { return in.busy.CompareAndSwap(false, true) })
		if i < 0 {
			p.waiting.Add(1) // so that put tells
			if i = slices.IndexFunc(*p.all.Load(), func(in *instance) bool { return !in.busy.Load() }); i < 0 {
				p.changed.Wait()
			}
			p.waiting.Add(-1)
			continue
		}
		in := (*p.all.Load())[i]
		p.mu.Unlock()
		last(in)
		p.discard(in, false)
		p.mu.Lock()
	}
	p.mu.Unlock()
}
