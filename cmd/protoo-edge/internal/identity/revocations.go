package identity

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/protoo-go/protoo/core"
)

// CloseRevoked is the code that a peer is closed with when what it was let in by is revoked: that of a refused handshake with status 403.
const CloseRevoked = 4403

const reasonRevoked = "revoked"

// A Revocation says who is no longer to be let in. It is about a token, or about a user, a user's device, or a device of whatever user.
type Revocation struct {
	TokenID  string // the token's "jti"; alone
	Username string
	UUID     string

	// Since is when it was revoked: tokens that were issued later are good. Zero is now.
	Since time.Time
	// Expires is when the revocation is forgotten, because by then all tokens that it is about have expired. Zero is
	// Since and the life that the revocations have by default.
	Expires time.Time
}

// target is what a revocation is about.
type target struct{ tokenID, username, uuid string }

func (r *Revocation) target() target { return target{r.TokenID, r.Username, r.UUID} }

var (
	// ErrTooMany says that there are as many revocations as there may be. None is forgotten to make room for another.
	ErrTooMany = errors.New("identity: too many revocations")
	// ErrTarget says that a revocation is about nobody, or not well said.
	ErrTarget = errors.New("identity: a revocation needs a token's id, or a username or a uuid, each of at most 256 bytes of UTF-8")
)

// Revocations is the list of what was revoked. Its methods may be called by any goroutine. It lives in memory: a server that starts again has to be told again.
type Revocations struct {
	most int
	life time.Duration

	// close ends the peers that a revocation is about, and returns how many there were. It is called without the lock.
	close func(Revocation) int

	mu    sync.Mutex
	all   map[target]Revocation
	swept time.Time // when what has expired was forgotten last
}

// newRevocations returns an empty list that holds at most most.
func newRevocations(most int, life time.Duration, end func(Revocation) int) *Revocations {
	return &Revocations{most: most, life: life, close: end, all: make(map[target]Revocation)}
}

// Revoke refuses from now on what the revocation is about, closes the peers that were let in by it with [CloseRevoked], and returns how
// many these were. An earlier revocation of the same is replaced, unless it lasts longer or is about more. It fails with ErrTarget or ErrTooMany, and then nothing has changed.
func (r *Revocations) Revoke(what Revocation) (closed int, err error) {
	named := what.Username != "" || what.UUID != ""
	if named == (what.TokenID != "") {
		return 0, ErrTarget
	}
	for _, s := range [...]string{what.TokenID, what.Username, what.UUID} {
		if len(s) > maxName || !utf8.ValidString(s) {
			return 0, ErrTarget
		}
	}
	now := time.Now()
	if what.Since.IsZero() {
		what.Since = now
	}
	r.mu.Lock()
	if what.Expires.IsZero() {
		what.Expires = what.Since.Add(r.life)
	}
	if err := r.enter(what, now); err != nil {
		r.mu.Unlock()
		return 0, err
	}
	r.mu.Unlock()
	return r.close(what), nil
}

// maxName bounds the names in a revocation, as core bounds those of peers.
const maxName = 256

// enter is called with the lock held.
func (r *Revocations) enter(what Revocation, now time.Time) error {
	key := what.target()
	old, again := r.all[key]
	if !again && len(r.all) >= r.most {
		r.sweep(now)
		if len(r.all) >= r.most {
			return fmt.Errorf("%w: %d", ErrTooMany, r.most)
		}
	}
	if again {
		what.Since = latest(what.Since, old.Since)
		what.Expires = latest(what.Expires, old.Expires)
	} else {
		// The strings may be parts of something larger.
		what.TokenID, what.Username, what.UUID = strings.Clone(what.TokenID), strings.Clone(what.Username), strings.Clone(what.UUID)
		key = what.target()
	}
	r.all[key] = what
	return nil
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Remove takes a revocation back, and tells whether there was one. Its times do not count.
func (r *Revocations) Remove(what Revocation) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	old, found := r.all[what.target()]
	delete(r.all, what.target())
	return found && time.Now().Before(old.Expires)
}

// List returns what is revoked now, in the order of the times since when.
func (r *Revocations) List() []Revocation {
	now := time.Now()
	r.mu.Lock()
	list := make([]Revocation, 0, len(r.all))
	for _, what := range r.all {
		if now.Before(what.Expires) {
			list = append(list, what)
		}
	}
	r.mu.Unlock()
	slices.SortFunc(list, func(a, b Revocation) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.TokenID, b.TokenID), cmp.Compare(a.Username, b.Username), cmp.Compare(a.UUID, b.UUID))
	})
	return list
}

// Len returns how many there are, with those that have expired and are not forgotten yet.
func (r *Revocations) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.all)
}

// sweep forgets what has expired. The lock is held. It looks at all of them at most once in a second.
func (r *Revocations) sweep(now time.Time) {
	if now.Sub(r.swept) < time.Second && !r.swept.IsZero() {
		return
	}
	r.swept = now
	for key, what := range r.all {
		if !now.Before(what.Expires) {
			delete(r.all, key)
		}
	}
}

// limit changes how many there may be, and how long they last. Those that exist stay as they are.
func (r *Revocations) limit(most int, life time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.most, r.life = most, life
}

// revoked tells whether somebody is not to be let in. issued is zero where that is not known.
func (r *Revocations) revoked(id core.Identity, tokenID string, issued time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) == 0 {
		return false
	}
	now := time.Now()
	for _, key := range [...]target{
		{username: id.Username},
		{username: id.Username, uuid: id.UUID},
		{uuid: id.UUID},
		{tokenID: tokenID},
	} {
		what, found := r.all[key]
		if found && now.Before(what.Expires) && what.concerns(issued) {
			return true
		}
	}
	return false
}

// concerns tells whether a token that was issued at a time is one that was revoked. Tokens tell it in whole seconds, so that one of the same second is.
func (r *Revocation) concerns(issued time.Time) bool {
	return r.TokenID != "" || issued.IsZero() || issued.Unix() <= r.Since.Unix()
}
