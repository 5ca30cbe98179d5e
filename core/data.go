package core

import (
	"maps"
	"sync"
)

// Data holds an application's own values about a peer. Its zero value is empty
// and ready for use, by any number of goroutines.
type Data struct {
	mu     sync.RWMutex
	values map[string]any
}

// Get returns the value stored under name, or nil.
func (d *Data) Get(name string) any {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.values[name]
}

// Set stores value under name.
func (d *Data) Set(name string, value any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.values == nil {
		d.values = make(map[string]any)
	}
	d.values[name] = value
}

// Delete removes what is stored under name.
func (d *Data) Delete(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.values, name)
}

// Map returns a copy of all that is stored; never nil.
func (d *Data) Map() map[string]any {
	d.mu.RLock()
	defer d.mu.RUnlock()
	all := make(map[string]any, len(d.values))
	maps.Copy(all, d.values)
	return all
}

func (d *Data) merge(values map[string]any) {
	if len(values) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.values == nil {
		d.values = make(map[string]any, len(values))
	}
	maps.Copy(d.values, values)
}
