package certificate

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// checkInterval is how often a handshake looks whether the files have changed. Two calls of stat are
// little beside a handshake, and with this they are nothing.
const checkInterval = 5 * time.Second

// Hooks are told what happens to the files of a certificate. The zero value tells nobody. They may be called by any
// goroutine, one at a time.
type Hooks struct {
	Loaded func(leaf *x509.Certificate) // it is served from now on
	Failed func(error)                  // what was served before is served on
}

// Files is a certificate in two files. It is loaded again when they have changed, which a handshake looks for,
// so that nothing runs while nobody connects. Connections that exist keep the certificate they began with.
type Files struct {
	options Options

	current atomic.Pointer[tls.Certificate]
	next    atomic.Int64 // when to look again, in Unix nanoseconds

	mu     sync.Mutex // held while loading
	cert   string
	key    string
	seen   [2]version // of the files, when they were looked at last
	failed string     // the error that was reported last
}

// Options say which certificates Files takes.
type Options struct {
	// RefuseSelfMade refuses a certificate that has signed itself: its clients cannot know whom they talk to.
	RefuseSelfMade bool
	Hooks          Hooks
}

// version tells two states of a file apart.
type version struct {
	modified time.Time
	size     int64
}

// ErrSelfMade is why RefuseSelfMade refuses.
var ErrSelfMade = errors.New("the certificate is self-made")

// NewFiles loads a certificate and its private key, both in PEM.
func NewFiles(cert, key string, o Options) (*Files, error) {
	f := &Files{options: o}
	if err := f.Load(cert, key); err != nil {
		return nil, err
	}
	return f, nil
}

// Load loads a certificate from the files named, and looks at those from then on. If it fails, all stays as it was.
func (f *Files) Load(cert, key string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	seen := look(cert, key)
	if err := f.load(cert, key); err != nil {
		return err
	}
	f.cert, f.key, f.seen, f.failed = cert, key, seen, ""
	return nil
}

func (f *Files) load(cert, key string) error {
	pair, err := Read(cert, key)
	if err != nil {
		return err
	}
	if f.options.RefuseSelfMade && SelfMade(pair.Leaf) {
		return fmt.Errorf("%s: %w", cert, ErrSelfMade)
	}
	f.next.Store(time.Now().Add(checkInterval).UnixNano())
	old := f.current.Swap(pair)
	if loaded := f.options.Hooks.Loaded; loaded != nil && (old == nil || !bytes.Equal(old.Leaf.Raw, pair.Leaf.Raw)) {
		loaded(pair.Leaf)
	}
	return nil
}

// Read reads a certificate with its chain and its private key, both in PEM.
func Read(cert, key string) (*tls.Certificate, error) {
	certPEM, err := os.ReadFile(cert)
	if err != nil {
		return nil, err
	}
	keyPEM, err := os.ReadFile(key)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("%s with %s: %w", cert, key, err)
	}
	return &pair, nil
}

// SelfMade tells whether a certificate has signed itself.
func SelfMade(leaf *x509.Certificate) bool {
	return leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) == nil
}

// GetCertificate returns the certificate, after a look at the files if the last one was some time ago. While one
// handshake loads what has changed, the others get what was there before.
func (f *Files) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if now := time.Now(); now.UnixNano() >= f.next.Load() && f.mu.TryLock() {
		f.refresh(now)
		f.mu.Unlock()
	}
	return f.current.Load(), nil
}

// refresh loads the files if they have changed. Certificate and key are written one after the other, so that for a
// moment they may not fit: it tries again at the next look, and reports an error once.
func (f *Files) refresh(now time.Time) {
	f.next.Store(now.Add(checkInterval).UnixNano())
	seen := look(f.cert, f.key)
	if seen == f.seen {
		return
	}
	if err := f.load(f.cert, f.key); err != nil {
		if report := f.options.Hooks.Failed; report != nil && err.Error() != f.failed {
			report(err)
		}
		f.failed = err.Error()
		return
	}
	f.seen, f.failed = seen, ""
}

// look is called before the files are read: what changes meanwhile is seen next time.
func look(files ...string) (seen [2]version) {
	for i, name := range files {
		if info, err := os.Stat(name); err == nil { // which says more when it is read
			seen[i] = version{info.ModTime(), info.Size()}
		}
	}
	return seen
}
