package core

import (
	"maps"
	"strconv"
	"sync"
	"testing"
)

func TestData(t *testing.T) {
	var d Data
	if d.Get("x") != nil || d.Map() == nil || len(d.Map()) != 0 {
		t.Errorf("a new Data holds %v", d.Map())
	}
	d.Delete("x")
	d.Set("x", 1)
	d.Set("__proto__", "y")
	d.Set("", nil)
	want := map[string]any{"x": 1, "__proto__": "y", "": nil}
	got := d.Map()
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	got["x"] = 2
	if d.Get("x") != 1 {
		t.Error("Map is not a copy")
	}
	d.Delete("x")
	if d.Get("x") != nil || len(d.Map()) != 2 {
		t.Errorf("after Delete: %v", d.Map())
	}
	d.merge(map[string]any{"__proto__": "z", "n": 3})
	if want := map[string]any{"__proto__": "z", "": nil, "n": 3}; !maps.Equal(d.Map(), want) {
		t.Errorf("after merge: got %v, want %v", d.Map(), want)
	}
}

// TestDataKeepsItsOwn: what the accept listener has given is copied.
func TestDataKeepsItsOwn(t *testing.T) {
	values := map[string]any{"role": "guest"}
	c := newFakeConn()
	if err := c.connect(New(Options{}), Identity{Username: "alice", UUID: "1", Data: values}); err != nil {
		t.Fatal(err)
	}
	values["role"] = "admin"
	if got := c.peer().Data().Get("role"); got != "guest" {
		t.Errorf("got role %v", got)
	}
	c.peer().Data().Set("role", "user")
	if values["role"] != "admin" {
		t.Error("the listener's own map was changed")
	}
}

func TestDataConcurrency(t *testing.T) {
	var d Data
	var running sync.WaitGroup
	for i := range 8 {
		running.Go(func() {
			name := strconv.Itoa(i % 3)
			for n := range 500 {
				d.Set(name, n)
				_ = d.Get(name)
				_ = d.Map()
				d.Delete(name)
			}
		})
	}
	running.Wait()
	if n := len(d.Map()); n != 0 {
		t.Errorf("%d values are left", n)
	}
}
