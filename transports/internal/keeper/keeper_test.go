package keeper

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

type conn struct {
	place  Place
	mu     sync.Mutex
	visits int
}

func (c *conn) check(uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.visits++
}

func newKeeper(interval, patience time.Duration) *Keeper[conn] {
	return New(interval, patience, (*conn).check, func(c *conn) *Place { return &c.place })
}

// TestVisits has connections come and go for a while, and counts how often those that stay are visited.
func TestVisits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const interval = 16 * time.Second
		k := newKeeper(interval, time.Minute)
		random := rand.New(rand.NewPCG(1, 2))
		var staying, passing []*conn
		for range 100 {
			c := new(conn)
			k.Add(c)
			staying = append(staying, c)
			for range random.IntN(3) {
				p := new(conn)
				k.Add(p)
				passing = append(passing, p)
			}
		}
		if got := len(k.All()); got != len(staying)+len(passing) {
			t.Errorf("%d connections, expected %d", got, len(staying)+len(passing))
		}
		random.Shuffle(len(passing), func(i, j int) { passing[i], passing[j] = passing[j], passing[i] })
		for _, p := range passing {
			k.Remove(p)
			k.Remove(p) // does nothing
		}
		time.Sleep(10*interval + time.Second/2)
		synctest.Wait()
		for _, c := range staying {
			if c.visits != 10 {
				t.Fatalf("%d visits in ten intervals", c.visits)
			}
		}
		if all := k.All(); len(all) != len(staying) || slices.ContainsFunc(passing, func(c *conn) bool { return c.visits > 0 }) {
			t.Errorf("%d connections are left, expected %d", len(all), len(staying))
		}

		gone := make(chan struct{})
		go func() { k.Wait(); close(gone) }()
		for _, c := range staying {
			select {
			case <-gone:
				t.Fatal("Wait has returned too early")
			default:
			}
			k.Remove(c)
			synctest.Wait()
		}
		<-gone
		k.Wait() // with nobody there

		before := k.Now()
		time.Sleep(10 * interval)
		if now := k.Now(); now != before {
			t.Errorf("%d turns with nobody there", now-before)
		}
	})
}

func TestPatience(t *testing.T) {
	for _, tt := range []struct {
		interval, patience time.Duration
		want               uint32
	}{
		{16 * time.Second, 10 * time.Second, 10},
		{16 * time.Second, 1, 1},
		{16 * time.Second, 10*time.Second + 1, 11},
		{0, time.Second, 1000},
	} {
		if k := newKeeper(tt.interval, tt.patience); k.Patience != tt.want {
			t.Errorf("%v, every %v: %d turns, expected %d", tt.patience, tt.interval, k.Patience, tt.want)
		}
	}
}
