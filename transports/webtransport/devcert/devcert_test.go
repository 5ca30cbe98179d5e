package devcert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

const day = 24 * time.Hour

func get(t *testing.T, s *Source) *x509.Certificate {
	t.Helper()
	c, err := s.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.Leaf
}

func hashes(t *testing.T, s *Source) [][sha256.Size]byte {
	t.Helper()
	h, err := s.Hashes()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestCertificate has what browsers ask for.
func TestCertificate(t *testing.T) {
	s, err := New("localhost", "127.0.0.1", "::1")
	if err != nil {
		t.Fatal(err)
	}
	c := get(t, s)
	if key, ok := c.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
		t.Errorf("got a %T", c.PublicKey)
	}
	if d := c.NotAfter.Sub(c.NotBefore); d > 14*day {
		t.Errorf("it is valid for %v", d)
	}
	if now := time.Now(); now.Sub(c.NotBefore) < 59*time.Minute || c.NotAfter.Sub(now) < 12*day {
		t.Errorf("it is valid from %v to %v", c.NotBefore, c.NotAfter)
	}
	for _, host := range []string{"localhost", "127.0.0.1", "::1"} {
		if err := c.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	if h := hashes(t, s); len(h) != 1 || h[0] != sha256.Sum256(c.Raw) {
		t.Errorf("got hashes %x", h)
	}
}

// TestRotation lets half a year pass, asking every hour: whoever has asked for the hashes can connect for days.
func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New()
		if err != nil {
			t.Fatal(err)
		}
		type page struct {
			loaded time.Time
			hashes [][sha256.Size]byte
		}
		var pages []page
		certificates := make(map[[sha256.Size]byte]bool)
		for range 180 * 24 {
			now := time.Now()
			c := get(t, s)
			if now.Before(c.NotBefore) || now.After(c.NotAfter.Add(-day)) {
				t.Fatalf("%v: the certificate is valid from %v to %v", now, c.NotBefore, c.NotAfter)
			}
			hash := sha256.Sum256(c.Raw)
			certificates[hash] = true
			for _, p := range pages {
				if !slices.Contains(p.hashes, hash) {
					t.Fatalf("a page that was loaded %v ago cannot connect", now.Sub(p.loaded))
				}
			}
			pages = append(pages, page{now, hashes(t, s)})
			if now.Sub(pages[0].loaded) >= 5*day {
				pages = pages[1:]
			}
			time.Sleep(time.Hour)
		}
		// A successor is made when its predecessor is six days old, and used five days later, for six days.
		if n := len(certificates); n < 28 || n > 31 {
			t.Errorf("there were %d certificates", n)
		}
	})
}

// TestLongPause has nobody ask for months.
func TestLongPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New()
		if err != nil {
			t.Fatal(err)
		}
		for _, pause := range []time.Duration{5 * day, 2 * day, 90 * day, 10 * day, 30 * day} {
			time.Sleep(pause)
			c := get(t, s)
			if now := time.Now(); now.Before(c.NotBefore) || now.After(c.NotAfter.Add(-day)) {
				t.Errorf("after %v: the certificate is valid from %v to %v", pause, c.NotBefore, c.NotAfter)
			}
			if h := hashes(t, s); h[0] != sha256.Sum256(c.Raw) {
				t.Error("the hash is not the certificate's")
			}
		}
	})
}
