package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"slices"
	"strings"
)

// A Key is what a back end shows to be let in. The server knows only its hash.
type Key struct {
	Name  string            // for the log
	Hash  [sha256.Size]byte // SHA-256 of the key
	Allow []string          // of [Operations]; all of them if it is empty
}

// Hash returns what a [Key] holds of a key.
func Hash(key string) [sha256.Size]byte { return sha256.Sum256([]byte(key)) }

func (k *Key) allows(operation string) bool {
	return len(k.Allow) == 0 || slices.Contains(k.Allow, operation)
}

// SetKeys replaces the keys, for every call from now on.
func (s *Server) SetKeys(keys []Key) {
	keys = slices.Clone(keys)
	s.keys.Store(&keys)
}

// authenticate returns the key that a call shows, nil if it shows none of ours. How long it takes says nothing about them.
func (s *Server) authenticate(r *http.Request) *Key {
	scheme, shown, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	hash := Hash(strings.TrimSpace(shown))
	var found *Key
	keys := *s.keys.Load()
	for i := range keys {
		if subtle.ConstantTimeCompare(hash[:], keys[i].Hash[:]) == 1 {
			found = &keys[i]
		}
	}
	if !strings.EqualFold(scheme, "Bearer") {
		return nil
	}
	return found
}
