package certificate

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/certificate/certtest"
)

// pair names the files that the authorities of package certtest write.
func pair(dir string) (cert, key string) {
	return filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
}

// touch gives the files the time of the test, which is not that of the file system.
func touch(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{"cert.pem", "key.pem"} {
		if err := os.Chtimes(filepath.Join(dir, name), time.Now(), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
}

func serial(t *testing.T, s Source) *big.Int {
	t.Helper()
	c, err := s.GetCertificate(&tls.ClientHelloInfo{ServerName: "edge.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	return c.Leaf.SerialNumber
}

func TestFilesReload(t *testing.T) {
	authority := certtest.NewAuthority(t)
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		first := authority.Write(t, dir, certtest.Validity{})
		touch(t, dir)
		var loaded []*big.Int
		var failed []error
		cert, key := pair(dir)
		f, err := NewFiles(cert, key, Options{Hooks: Hooks{
			Loaded: func(leaf *x509.Certificate) { loaded = append(loaded, leaf.SerialNumber) },
			Failed: func(err error) { failed = append(failed, err) },
		}})
		if err != nil {
			t.Fatal(err)
		}
		expect := func(want *big.Int, loads, failures int) {
			t.Helper()
			if got := serial(t, f); got.Cmp(want) != 0 {
				t.Errorf("got certificate %x, want %x", got, want)
			}
			if len(loaded) != loads || len(failed) != failures {
				t.Fatalf("%d were loaded and %d were not, want %d and %d: %v", len(loaded), len(failed), loads, failures, failed)
			}
		}
		expect(first, 1, 0)

		// A change is seen at the first handshake after the interval.
		second := authority.Write(t, dir, certtest.Validity{})
		time.Sleep(checkInterval - 1)
		touch(t, dir)
		expect(first, 1, 0)
		time.Sleep(time.Nanosecond)
		expect(second, 2, 0)
		time.Sleep(checkInterval)
		expect(second, 2, 0)

		// Files of the same time and size have not changed, and are not read.
		text, err := os.ReadFile(cert)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(cert)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(cert, make([]byte, len(text)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(cert, time.Now(), info.ModTime()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(checkInterval)
		expect(second, 2, 0)

		// While only one of the files is new they do not fit.
		other := t.TempDir()
		third := authority.Write(t, other, certtest.Validity{})
		otherCert, otherKey := pair(other)
		if err := os.Rename(otherCert, cert); err != nil {
			t.Fatal(err)
		}
		for range 3 { // which is said once
			time.Sleep(checkInterval)
			expect(second, 2, 1)
		}
		if !strings.Contains(failed[0].Error(), "private key does not match") {
			t.Errorf("got %v", failed[0])
		}
		if err := os.Rename(otherKey, key); err != nil {
			t.Fatal(err)
		}
		time.Sleep(checkInterval)
		expect(third, 3, 1)

		// What has gone is missed once, too.
		if err := os.Remove(key); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			time.Sleep(checkInterval)
			expect(third, 3, 2)
		}
		if !errors.Is(failed[1], os.ErrNotExist) {
			t.Errorf("got %v", failed[1])
		}
		fourth := authority.Write(t, dir, certtest.Validity{})
		touch(t, dir)
		time.Sleep(checkInterval)
		expect(fourth, 4, 2)
	})
}

// TestFilesLoad names other files.
func TestFilesLoad(t *testing.T) {
	authority := certtest.NewAuthority(t)
	one, two := t.TempDir(), t.TempDir()
	first, second := authority.Write(t, one, certtest.Validity{}), authority.Write(t, two, certtest.Validity{})
	loads := 0
	f, err := NewFiles(filepath.Join(one, "cert.pem"), filepath.Join(one, "key.pem"), Options{Hooks: Hooks{Loaded: func(*x509.Certificate) { loads++ }}})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Load(filepath.Join(one, "cert.pem"), filepath.Join(two, "key.pem")); err == nil {
		t.Error("a key that does not fit was taken")
	}
	if got := serial(t, f); got.Cmp(first) != 0 {
		t.Errorf("got certificate %x, want %x", got, first)
	}
	for range 2 { // the same certificate is no news
		if err := f.Load(pair(two)); err != nil {
			t.Error(err)
		}
	}
	if loads != 2 {
		t.Errorf("%d were loaded, want 2", loads)
	}
	if got := serial(t, f); got.Cmp(second) != 0 {
		t.Errorf("got certificate %x, want %x", got, second)
	}
}

func TestSelfMade(t *testing.T) {
	dir := t.TempDir()
	cert, key := pair(dir)
	(*certtest.Authority)(nil).Write(t, dir, certtest.Validity{})
	if _, err := NewFiles(cert, key, Options{RefuseSelfMade: true}); !errors.Is(err, ErrSelfMade) {
		t.Errorf("got %v", err)
	}
	if _, err := NewFiles(cert, key, Options{}); err != nil {
		t.Errorf("got %v", err)
	}
	certtest.NewAuthority(t).Write(t, dir, certtest.Validity{})
	f, err := NewFiles(cert, key, Options{RefuseSelfMade: true})
	if err != nil {
		t.Fatal(err)
	}
	(*certtest.Authority)(nil).Write(t, dir, certtest.Validity{})
	if err := f.Load(cert, key); !errors.Is(err, ErrSelfMade) {
		t.Errorf("got %v", err)
	}
}

func TestFilesFail(t *testing.T) {
	dir := t.TempDir()
	cert, key := pair(dir)
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		prepare func()
		want    string
	}{
		{func() {}, "open " + cert + ":"},
		{func() { write(cert, "x") }, "open " + key + ":"},
		{func() { write(key, "x") }, cert + " with " + key + ": tls: failed to find any PEM data in certificate input"},
	} {
		tt.prepare()
		if _, err := NewFiles(cert, key, Options{}); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
}

// TestFilesUnderHandshakes changes the files while many ask for the certificate.
func TestFilesUnderHandshakes(t *testing.T) {
	authority := certtest.NewAuthority(t)
	dir := t.TempDir()
	authority.Write(t, dir, certtest.Validity{})
	cert, key := pair(dir)
	f, err := NewFiles(cert, key, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var done atomic.Bool
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for !done.Load() {
				f.next.Store(0) // the time to look has come
				if c, err := f.GetCertificate(nil); err != nil || c == nil {
					t.Errorf("got %v, %v", c, err)
					return
				}
			}
		})
	}
	for range 20 {
		authority.Write(t, dir, certtest.Validity{})
		if err := f.Load(cert, key); err != nil {
			t.Error(err)
		}
	}
	done.Store(true)
	asking.Wait()
}
